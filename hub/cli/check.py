"""``hub check``: everything that is wrong, in words, before the hub is started."""

import argparse
import asyncio
import logging
import secrets
import time
from collections.abc import Collection
from pathlib import Path

from ..assembly import make_broker, make_tls_files
from ..auth.jwks import JwksKeys
from ..auth.oidc import OidcKeys
from ..broker.base import Inbox, Member, ShardHealth
from ..protocol import ids
from ..protocol.event import Event
from ..runtime.redaction import redacted
from ..settings import Settings, unknown_variables
from . import configuration, logs, preflight
from .failure import Failure

_BROKER_DEADLINE_S = 5.0


def run(args: argparse.Namespace) -> int:
    """The command; status 1 where a problem was found."""
    logs.set_up(logging.ERROR)
    try:
        settings = configuration.load(broker=args.broker)
    except Failure as failure:
        _say("problem", [*failure.lines, *unknown_variables()])
        return 1
    _say("ok", [f"settings: can be read; {_keys(settings)}"])
    problems = [*unknown_variables(), *preflight.problems(settings)]
    if not problems:
        problems = _look_at_certificate(settings)
        problems += asyncio.run(_try(settings))
        problems += _try_bridges(settings, args.sample)
    _say("problem", problems)
    _say("note", preflight.remarks(settings))
    return 1 if problems else 0


def _look_at_certificate(settings: Settings) -> list[str]:
    """Whether the hub's own certificate is good today, and for how long it will be."""
    files = make_tls_files(settings)
    if files is None:
        return []
    from ..tls.files import expiry  # what a hub without TLS need not read

    _, certificate = files.load()
    said = expiry(certificate)
    until = time.strftime("%Y-%m-%d", time.gmtime(certificate.ends))
    if said is None:
        _say("ok", [f"TLS: the certificate for {certificate.who} is good until {until}"])
    elif certificate.begins <= time.time() < certificate.ends:
        _say("note", [f"HUB_TLS_CERT: {said}"])
    else:
        return [f"HUB_TLS_CERT: {said}"]
    return []


async def _try(settings: Settings) -> list[str]:
    """Use what the settings name, as a node would."""
    problems = []
    if settings.jwks_url is not None:
        keys = JwksKeys(settings.jwks_url)
        found = await keys.probe()
        await keys.close()
        problems += [f"HUB_JWKS_URL: {text}" for text in found]
        if not found:
            _say("ok", ["keys: the key set was fetched"])
    if settings.oidc_issuer is not None:
        provider = OidcKeys(settings.oidc_issuer)
        found = await provider.probe()
        await provider.close()
        problems += [f"HUB_OIDC_ISSUER: {text}" for text in found]
        if not found:
            _say("ok", [f"keys: {provider.issuer} was discovered, and its key set fetched"])
    return problems + await _try_broker(settings)


def _try_bridges(settings: Settings, sample: str | None) -> list[str]:
    """Connect to what bridges read, and map a sample. Nothing is read, no group or lease is entered."""
    if not settings.bridges:
        return ["--sample: there are no [[bridges]] that it could be tried with"] if sample else []
    from ..bridge.mapping import Mapper  # libraries that a hub without bridges need not have
    from ..bridge.settings import bridges
    from . import bridge

    problems = []
    body = None if sample is None else bridge.sample(Path(sample))
    for each in bridges(settings.bridges):
        found, good = asyncio.run(bridge.probed(each))
        if good:
            _say("ok", [f"bridge {each.name}: {each.kind}, {found}"])
        else:
            problems.append(f"bridge {each.name}: {found}")
        if body is not None:
            lines, well = bridge.mapped(Mapper(each), body)
            said = [f"bridge {each.name}: the sample: {line}" for line in lines]
            if well:
                _say("ok", said)
            else:
                problems += said
    return problems


async def _try_broker(settings: Settings) -> list[str]:
    """Start the broker and wait until every shard was heard, or a deadline has passed."""
    if settings.broker == "memory://":
        _say("ok", ["broker: in the memory of this process"])
        return []
    if settings.broker.startswith("sqlite:"):  # a running hub may have it: it was looked at, and that is all
        _say("ok", [f"broker: {settings.broker}, a file of this machine"])
        return []
    broker = make_broker(settings, ids.node_id(secrets.randbits(ids.NODE_BITS)), visitor=True)
    try:
        await broker.start(_Deaf())
    except Exception as error:  # a refusal of whatever kind, in its own words
        return [f"HUB_BROKER: {error}"]
    try:
        deadline = time.monotonic() + _BROKER_DEADLINE_S
        while not all(map(_heard, broker.health())) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # a broker has no event for "heard"
        shards = broker.health()
    finally:
        await broker.close()
    _say("ok", [f"broker: {_shard(shard)}" for shard in shards if _heard(shard)])
    return [f"HUB_BROKER: {_shard(shard)}" for shard in shards if not _heard(shard)]


def _heard(shard: ShardHealth) -> bool:
    """Whether a message to itself came back; a shard that was just started is not called deaf yet."""
    return shard.usable and shard.deaf_s == 0 and shard.rtt_s > 0


def _shard(shard: ShardHealth) -> str:
    if not shard.usable:
        return f"{shard.name} can't be used: {shard.why}"
    if not _heard(shard):
        why = shard.why or "may its user use pub/sub?"
        return f"{shard.name} answers, but a message to itself did not come back: {why}"
    return f"{shard.name} answers; a message to itself comes back in {shard.rtt_s * 1000:.1f} ms"


def _keys(settings: Settings) -> str:
    sources = (("a secret", settings.jwt_secret), ("a public key", settings.jwt_public_key))
    given = [
        name
        for name, value in (*sources, ("a key set", settings.jwks_url), ("a provider", settings.oidc_issuer))
        if value
    ]
    return f"tokens by {' and '.join(given) or 'no key'}; {len(settings.api_keys)} API keys"


def _say(what: str, lines: Collection[str]) -> None:
    for line in lines:
        print(f"{what:<8} {redacted(line)}")


class _Deaf:
    """A `broker.base.Listener` that takes no interest."""

    def on_event(self, epoch: str, event: Event) -> None: ...

    def on_presence(self, channel: str, change: str, member: Member) -> None: ...

    def on_ack(self, channel: str, user: str, inbox: Inbox) -> None: ...

    def on_lost(self, channels: Collection[str]) -> None: ...

    def on_erased(self, channel: str) -> None: ...

    def on_command(self, data: bytes) -> None: ...
