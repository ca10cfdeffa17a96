"""The command line: its grammar, and the one place where an error becomes a line and an exit status."""

import argparse
import difflib
import importlib
import os
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from .. import __version__
from ..runtime.redaction import redacted
from .failure import Failure
from .plain import plain

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction["_Parser"]  # it has no public name

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

# As argparse words it; the choices stand in quotes before Python 3.14.
_NO_SUCH = re.compile(r"invalid choice: '(?P<word>[^']*)' \(choose from (?P<choices>.*)\)", re.DOTALL)
_MEANT = {"run": "serve", "start": "serve", "up": "serve", "server": "serve", "new": "init"}

EVENT_HELP = "the event's type, as job_status"


def main(argv: list[str] | None = None) -> int:
    """The entry point; returns the exit status."""
    args = _parser().parse_args(argv)
    if getattr(args, "settings_file", None):
        os.environ["HUB_CONFIG"] = args.settings_file  # every command reads the settings by itself
    try:
        status: int = _module(args.module).run(args)
        sys.stdout.flush()
    except Failure as failure:
        for line in failure.lines:
            print(f"hub: {plain(redacted(line))}", file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has enough; nothing may be flushed into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _module(name: str) -> ModuleType:
    """A verb's module: each imports what it needs only when it is asked for.

    Raises:
        Failure: the hub's packages are not installed; the client's need them as little as its users do.
    """
    try:
        return importlib.import_module(f".{name}", __package__)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "hub"):
            raise
        raise Failure(
            f"{missing} is not installed: the command needs more than the Python client does",
            "pip install 'notification-hub[server]'",
        ) from None


class _Parser(argparse.ArgumentParser):
    """argparse's, which says what was meant instead of all that there is."""

    def error(self, message: str) -> NoReturn:
        found = _NO_SUCH.search(message)
        if found is not None:
            choices = re.findall(r"[\w-]+", found["choices"])
            near = difflib.get_close_matches(found["word"], choices, n=1)
            meant = _MEANT.get(found["word"]) if "serve" in choices else None
            hint = f"did you mean {meant or near[0]}?" if meant or near else f"there are {', '.join(choices)}"
            message = f"there is no {found['word']}; {hint}"
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hub",
        description="A real-time notification hub.",
        epilog="Settings come from HUB_* in the environment and from hub.toml (or --config): docs/settings.md.",
    )
    parser.add_argument("--version", action="version", version=f"hub {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        _init,
        _serve,
        _dev,
        _token,
        _publish,
        _subscribe,
        _check,
        _explain,
        _inspect,
        _why,
        _history,
        _snapshot,
        _presence,
        _disconnect,
        _revoke,
        _drain,
        _top,
        _bridge,
        _deadletters,
        _export,
        _replay,
        _webhooks,
    ):
        add(verbs)
    return parser


def _verb(verbs: "Verbs", name: str, module: str, help: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
    parser.set_defaults(module=module)
    return parser


def _settled(verbs: "Verbs", name: str, module: str, help: str) -> argparse.ArgumentParser:
    """A verb that reads settings."""
    parser = _verb(verbs, name, module, help)
    parser.add_argument(
        "--config", dest="settings_file", metavar="FILE", help="the file of settings (HUB_CONFIG, hub.toml)"
    )
    return parser


def _init(verbs: "Verbs") -> None:
    verb = _verb(verbs, "init", "init", "write hub.toml with fresh keys, and .env for an application")
    verb.add_argument("--port", type=int, default=8000, help="the hub's port (8000)")


def _serve(verbs: "Verbs") -> None:
    verb = _settled(verbs, "serve", "serve", "run a node")
    _listening(verb)
    verb.add_argument("--dev", action="store_true", help="make keys up where none are set, and print them")


def _dev(verbs: "Verbs") -> None:
    text = "run a node to try things out: keys that are not set are made up, and any page may connect"
    verb = _settled(verbs, "dev", "serve", text)
    _listening(verb)
    verb.set_defaults(dev=True)


def _listening(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--host", help="the address to listen on (127.0.0.1)")
    verb.add_argument("--port", type=int, help="the port to listen on (8000); 0 picks a free one")
    verb.add_argument("--broker", metavar="URL", help="memory:// (the default), sqlite:///path or redis://…")
    verb.add_argument("--workers", type=int, metavar="N", help="processes on the same port; needs redis://")
    verb.add_argument("--bridges", action="store_true", help="run [[bridges]] inside, for development")


def _token(verbs: "Verbs") -> None:
    verb = _settled(verbs, "token", "tokens", "sign a token with HUB_JWT_SECRET and print it")
    verb.add_argument("--user", required=True, metavar="U", help="who it speaks for: the claim sub")
    verb.add_argument(
        "--for-channel", metavar="C", help="a channel token: for this channel only, to go with subscribe"
    )
    for grant, text in (
        ("subscribe", "may subscribe to channels like P (* is any run of characters)"),
        ("publish", "may publish to channels like P"),
        ("presence", "may see and have presence in channels like P"),
        ("channels", "is subscribed to this channel by the hub"),
    ):
        metavar = "C" if grant == "channels" else "P"
        verb.add_argument(
            f"--{grant}", action="extend", nargs="*", metavar=metavar, help=f"{text}; repeatable"
        )
    verb.add_argument("--info", metavar="JSON", help="what presence shows of the user")
    verb.add_argument("--service", action="store_true", help="a backend: may do all that an API key may")
    verb.add_argument("--admin", choices=("read", "write"), help="a person who runs the hub")
    verb.add_argument("--ttl", default="1h", help="how long it is good: 90s, 15m, 1h, 7d (1h)")


def _publish(verbs: "Verbs") -> None:
    verb = _settled(verbs, "publish", "publish", "publish one event to a running hub")
    verb.add_argument("channel", metavar="CHANNEL")
    verb.add_argument("event", metavar="EVENT", help=EVENT_HELP)
    verb.add_argument("payload", metavar="JSON", help="- reads it from standard input")
    verb.add_argument("--key", help="what the event is about within its channel")
    verb.add_argument("--final", action="store_true", help="the last event of its key")
    verb.add_argument(
        "--version",
        type=_version,
        metavar="[A:]N",
        help="only newer than the key's: a number, or attempt:number",
    )
    verb.add_argument("--event-id", metavar="ID", help="stored once however often it is repeated")
    verb.add_argument("--event-id-ttl", metavar="D", help="for so long: 30s, 24h, 7d (5m)")
    verb.add_argument("--meta", metavar="JSON", help='strings that travel with it: {"traceparent":"00-…"}')
    verb.add_argument(
        "--source",
        type=_source,
        metavar="NAME@[G:]N",
        help="where it stands in a source that hands on in rising order; what is not above is a repetition",
    )
    verb.add_argument(
        "--lease-ms",
        type=int,
        metavar="MS",
        help="if the key is silent for so long, the hub says lease_expired",
    )
    _remote(verb)


def _version(text: str) -> int | list[int]:
    """What `--version` says: ``7``, or ``1:7``."""
    attempt, colon, number = text.rpartition(":")
    return [int(attempt), int(number)] if colon else int(number)


def _source(text: str) -> dict[str, object]:
    """What `--source` says: ``orders:kafka/3@17``, or with a generation ``…@2:17``."""
    name, at, position = text.rpartition("@")
    if not at:
        raise ValueError(text)
    return {"name": name, "position": _version(position)}


def _subscribe(verbs: "Verbs") -> None:
    verb = _settled(verbs, "subscribe", "subscribe", "print events as they come, as lines of JSON")
    verb.add_argument("channels", nargs="*", metavar="CHANNEL", help="none: those that the token brings")
    verb.add_argument(
        "--since",
        action="append",
        default=[],
        metavar="E:O",
        help="begin after this position; with several channels CHANNEL@E:O, repeatable",
    )
    verb.add_argument(
        "--max-rate", type=float, metavar="N", help="at most so many times a second, then the newest"
    )
    _remote(verb)


def _check(verbs: "Verbs") -> None:
    verb = _settled(verbs, "check", "check", "say what is wrong with the settings, the keys and the broker")
    verb.add_argument("--broker", metavar="URL", help="check this one instead of HUB_BROKER")
    verb.add_argument("--sample", metavar="FILE", help="show what bridges would make of this message")


def _explain(verbs: "Verbs") -> None:
    text = "say whether a token is good here, exactly why, and what it allows"
    verb = _settled(verbs, "explain-token", "explain", text)
    verb.add_argument("token", metavar="JWT", help="- reads it from standard input")
    _remote(verb, whose="who may ask the running hub what was revoked; else the token itself does")


def _inspect(verbs: "Verbs") -> None:
    text = "show connections of a running hub: channels, positions, outbox, last error"
    verb = _settled(verbs, "inspect", "inspect", text)
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--user", metavar="U")
    which.add_argument("--connection", metavar="C")
    which.add_argument("--channel", metavar="N")
    verb.add_argument("--past", action="store_true", help="those of the last 15 minutes, and refusals")
    _remote(verb)


def _why(verbs: "Verbs") -> None:
    verb = _settled(verbs, "explain", "why", "say why an event came to somebody, or did not")
    who = verb.add_mutually_exclusive_group(required=True)
    who.add_argument("--user", metavar="U")
    who.add_argument("--connection", metavar="C")
    verb.add_argument("--channel", required=True, metavar="N")
    verb.add_argument(
        "event", nargs="?", metavar="EVENT", help="its offset or its event_id; without it the last one"
    )
    _remote(verb)


def _question(verbs: "Verbs", what: str, text: str) -> argparse.ArgumentParser:
    verb = _verb(verbs, what, "channels", text)
    verb.set_defaults(what=what)
    verb.add_argument("channel", metavar="CHANNEL")
    return verb


def _history(verbs: "Verbs") -> None:
    verb = _question(
        verbs, "history", "show stored events of a channel: the newest, or those after a position"
    )
    verb.add_argument("--since", metavar="E:O", help="those after this position")
    verb.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (20)")
    _remote(verb)


def _snapshot(verbs: "Verbs") -> None:
    _remote(_question(verbs, "snapshot", "show the newest event of each key of a channel"))


def _presence(verbs: "Verbs") -> None:
    verb = _question(verbs, "presence", "show who is present in a channel")
    verb.add_argument("--by-user", action="store_true", help="one line a user")
    _remote(verb)


def _action(verbs: "Verbs", what: str, text: str) -> argparse.ArgumentParser:
    verb = _verb(verbs, what, "control", text)
    verb.set_defaults(what=what)
    return verb


def _disconnect(verbs: "Verbs") -> None:
    verb = _action(verbs, "disconnect", "close a user's connections, or one, on every node")
    whom = verb.add_mutually_exclusive_group(required=True)
    whom.add_argument("--user", metavar="U")
    whom.add_argument("--connection", metavar="C")
    verb.add_argument("--reconnect", action="store_true", help="their clients come back; else they stay away")
    _remote(verb)


def _revoke(verbs: "Verbs") -> None:
    verb = _action(verbs, "revoke", "take tokens back, and close their connections on every node")
    which = verb.add_mutually_exclusive_group(required=True)
    which.add_argument("--user", metavar="U", help="all tokens of this user that were issued up to now")
    which.add_argument("--jti", metavar="ID", help="the one with this claim jti")
    _remote(verb)


def _drain(verbs: "Verbs") -> None:
    text = "have the node at the address depart: its clients are sent elsewhere, spread out in time"
    _remote(_action(verbs, "drain", text))


def _top(verbs: "Verbs") -> None:
    text = "show what the nodes are doing, like top: rates, slow consumers, channels by traffic"
    verb = _verb(verbs, "top", "top", text)
    verb.add_argument("--every", type=float, default=2.0, metavar="S", help="seconds between two looks (2)")
    verb.add_argument("--count", type=int, metavar="N", help="end after so many looks")
    verb.add_argument("--once", action="store_true", help="one look, with rates since the nodes' start")
    _remote(verb)


def _bridge(verbs: "Verbs") -> None:
    text = "hand on messages of Kafka, RabbitMQ, NATS, Redis Streams or PostgreSQL to a running hub"
    verb = _verb(verbs, "bridge", "bridge", text)
    verb.add_argument(
        "action",
        nargs="?",
        choices=("replay",),
        help="read a topic of Kafka from its beginning again, as new",
    )
    verb.add_argument("--config", metavar="FILE", help="where [[bridges]] stand (HUB_CONFIG, hub.toml)")
    verb.add_argument("--only", metavar="NAME", help="this bridge alone")
    verb.add_argument("--host", default="127.0.0.1", help="where /readyz and /metrics are (127.0.0.1)")
    verb.add_argument("--port", type=int, default=0, help="their port (0 picks a free one)")
    verb.add_argument("--sample", metavar="FILE", help="show what becomes of this message; send nothing")
    verb.add_argument("--schema", choices=("postgres",), help="print what makes the outbox table, and end")
    _remote(verb)


def _deadletters(verbs: "Verbs") -> None:
    verb = _settled(verbs, "deadletters", "deadletters", "see, repeat or drop what could not be handed on")
    what = verb.add_subparsers(dest="verb", required=True, metavar="list|show|replay|drop")
    listing = what.add_parser("list", help="a line for each, oldest first")
    listing.add_argument("--origin", default="", metavar="P", help="those that came from P, as orders:")
    _remote(listing)
    for name, count, help in (
        ("show", 1, "one of them, as it came"),
        ("replay", "+", "publish them, behind what came since"),
        ("drop", "+", "let them go"),
    ):
        each = what.add_parser(name, help=help)
        each.add_argument("ids", nargs=count, metavar="ID")
        _remote(each)


def _export(verbs: "Verbs") -> None:
    verb = _verb(verbs, "export", "capture", "print the stored events of a channel as lines of JSON")
    verb.set_defaults(verb="export")
    verb.add_argument("channel", metavar="CHANNEL")
    verb.add_argument("--since", metavar="T", help="from a time (RFC 3339, or ms) or after a position E:O")
    verb.add_argument("--until", metavar="T", help="up to a time, not included, or to a position E:O")
    _remote(verb)


def _replay(verbs: "Verbs") -> None:
    text = "publish exported events, in order, each once however often it is repeated"
    verb = _verb(verbs, "replay", "capture", text)
    verb.set_defaults(verb="replay")
    verb.add_argument("file", metavar="FILE", help="lines of JSON; - reads standard input")
    verb.add_argument("--into", required=True, metavar="CHANNEL", help="a stored channel")
    _remote(verb)


def _webhooks(verbs: "Verbs") -> None:
    verb = _verb(
        verbs, "webhooks", "webhooks", "see the webhooks of a running hub, try them, switch them off and on"
    )
    what = verb.add_subparsers(dest="verb", required=True, metavar="list|test|disable|enable")
    _remote(what.add_parser("list", help="a line for each"))
    for name, help in (
        ("test", "send it a test, at once"),
        ("disable", "send it nothing; what waits stays"),
        ("enable", "send it what waits"),
    ):
        each = what.add_parser(name, help=help)
        each.add_argument("name", metavar="NAME")
        _remote(each)


def _remote(verb: argparse.ArgumentParser, whose: str = "or an API key") -> None:
    """Where the hub is, and who asks. Others can see a command line: the environment is the better place."""
    verb.add_argument("--url", help="the hub's address (HUB_URL, else by HUB_HOST and HUB_PORT)")
    verb.add_argument(
        "--token", metavar="JWT", dest="bearer", help=f"{whose} (HUB_API_KEY, HUB_TOKEN, else the hub's)"
    )
    verb.add_argument("--json", action="store_true", help="print answers as they are, a line of JSON each")
