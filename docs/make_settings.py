"""Writes docs/settings.md from the settings in the code: ``make docs``. A test compares the two."""

import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from hub.namespaces import SHIPPED, Mode, Namespace
from hub.settings import Settings

PAGE = Path(__file__).with_name("settings.md")

HEAD = """# Settings

This page is made from `hub/settings.py` by `make docs`.

A setting is read from the environment, `HUB_` and its name in capitals, or from `hub.toml` in the working
directory (or the file that `HUB_CONFIG` or `--config` names), by its name in small letters. The environment wins,
and the options of `hub serve` win over both. `hub init` writes a first `hub.toml` with fresh keys.
Lists and tables are JSON in the environment. Times are in seconds unless the name ends in `_ms`; sizes are bytes.

```toml
# hub.toml
port = 8000
allowed_origins = ["https://app.example.com"]

[namespaces.chat]
mode = "log"
client_publish = true
```

`hub check` reads the same settings and says in words what is wrong with them: names that are no settings, keys
that are too short, a broker that does not answer. Keep secrets out of files that others can read.

More variables are for the commands that talk to a running hub, `hub bridge` among them: `HUB_URL` (with its
path, where the hub is mounted in another app), `HUB_API_KEY` and `HUB_TOKEN`: the key is tried first, but for
`hub subscribe`. Over TLS, `HUB_CA` is a file of the certificates that are believed in place of the machine's,
and `HUB_CERT` the certificate that is shown, in one file with its key, or with `HUB_CERT_KEY` beside it.
"""

NAMESPACES_HEAD = """
## Namespaces

What stands before the first colon of a channel's name is its namespace, and the namespace says how the channel
behaves. `HUB_NAMESPACES` adds namespaces, and changes single rules of those that are there:

```sh
export HUB_NAMESPACES='{"chat":{"mode":"log","client_publish":true},"job":{"history_ttl":3600}}'
```

A channel of no known namespace is refused. These are shipped:

"""

SECTIONS: dict[str, dict[str, str]] = {
    "Where it listens": {
        "host": "The address to listen on; `0.0.0.0` for all of this machine, `0.0.0.0,::` for IPv6 too.",
        "port": "The port; 0 picks a free one.",
        "workers": "Processes that share the port. More than one needs `redis://`.",
        "path": "Where WebSockets are served.",
        "centrifugo": "`true`: the SDKs of Centrifugo are served too, at `/connection/websocket` and over HTTP "
        "([centrifugo.md](centrifugo.md)).",
        "centrifugo_tokens": "`true`: they bring Centrifugo's tokens and channel names, in place of the hub's.",
        "centrifugo_default_namespace": "The namespace of their channels whose names have none.",
        "centrifugo_personal": "Whether each of their users is subscribed to `#user` by the hub.",
        "centrifugo_anonymous": "Whether who has no token, or one without a user, is let in to listen.",
        "redis_credentials": "`package.module:name` of a redis-py `CredentialProvider`, or of what makes one: "
        "asked at each connect, so that passwords may rotate.",
        "redis_address_remap": "`package.module:name` of a function from (host, port), as Sentinels or a Cluster "
        "say, to where this node reaches it.",
        "broker": "What stores events and joins nodes: `memory://`, `sqlite:///var/lib/hub/hub.db` (one node "
        "that forgets nothing), or `redis://host:6379/0`, `rediss://…` (TLS), "
        "`unix:///path.sock`, `redis+sentinel://host,host/master`, `redis+cluster://host,host`, or several "
        "single servers with commas between, over which channels are spread.",
        "prefix": "Begins every key in Redis.",
    },
    "TLS without a proxy": {
        "tls_cert": "The certificate of the hub's own port, with its chain: PEM, read anew when the file changes "
        "([deploying.md](deploying.md#tls-without-a-proxy)).",
        "tls_key": "Its key, PEM without a password. Unset: it stands in the same file.",
        "tls_client_ca": "Clients may show a certificate by one of these issuers (PEM; revocation lists count).",
        "tls_client_required": "Whether nobody is let in without one; health checks are nobody too.",
        "tls_client_header": "The header in which trusted proxies hand on the certificate of a client: "
        "`X-Client-Cert`.",
        "tls_clients": "Services by their certificates, with rights as of an API key that names them: "
        '`{"worker":{"san":"DNS:worker.example","publish":["job:*"]},'
        '"ops":{"subject":"CN=ops,O=Example","admin":"write"}}`.',
    },
    "Who may": {
        "jwt_secret": "The secret of tokens signed with HS256, HS384 or HS512: 32 random bytes or more.",
        "jwt_previous_secret": "The secret before that, still accepted while it is being changed.",
        "jwt_public_key": "The public key (PEM, or a PEM certificate) of tokens signed with RS, PS, ES or EdDSA.",
        "jwt_previous_public_key": "The public key before that, still accepted while it is being changed.",
        "jwt_algorithms": "The only signature algorithms that are accepted. Unset: those that the given keys fit.",
        "jwt_issuer": "What the claim `iss` must be. Unset: it is not looked at.",
        "jwt_audience": "What the claim `aud` must name. Unset: it is not looked at.",
        "jwks_url": "The address of an issuer's key set, fetched and kept.",
        "oidc_issuer": "An identity provider (OpenID Connect), whose keys are found by discovery: "
        "`https://login.example.com/realms/main`. Needs `jwt_audience` or `oidc_clients`.",
        "oidc_clients": "Applications whose tokens count: `azp` of a provider's token must be one of them.",
        "claim_user": "Where a provider's token says who the user is: a claim, or a path of claims.",
        "claim_roles": "Where it says which roles they have: `realm_access.roles`, `groups`, `scope`.",
        "claim_hub": "Whether the claim `hub` of a provider's token counts. Only where users can't write it.",
        "roles": 'What a role grants: `{"operator":{"subscribe":["job:*"]},'
        '"member":{"subscribe":["tenant:{org}:*"]}}`. Without `oidc_issuer` all tokens are read by roles.',
        "api_keys": "Keys of backend services by name, of 16 bytes or more: "
        '`{"backend":"a-key-of-16-bytes-or-more"}`, or with rights of its own '
        '`{"worker":{"key":"…","publish":["job:*"]},"ops":{"key":"…","admin":"write"}}`.',
        "node_secret": "What nodes sign for each other with. Unset: `jwt_secret`. Needed over Redis where there "
        "is no `jwt_secret`.",
        "query_token": "Whether a token may stand in the query (`?token=`), where proxies may log it.",
        "allowed_origins": "Pages that may connect and use the HTTP API: `https://app.example.com`, "
        "`https://*.example.com`, or `*`. Empty: pages of the hub's own host.",
        "require_origin": "Whether a WebSocket without `Origin`, which no browser sends, is refused.",
        "trusted_proxies": "Networks of proxies whose `X-Forwarded-For` is believed: `10.0.0.0/8`.",
    },
    "A connection": {
        "heartbeat_ms": "A ping is sent so often; a client silent for one and a half times as long is closed.",
        "auth_timeout": "How long a client may take to say who it is.",
        "close_timeout": "How long a client may take to finish the closing handshake.",
        "message_bytes": "The largest message of a client.",
        "frame_bytes": "The largest frame of the hub; longer snapshots are split.",
        "outbox_bytes": "What may wait for a client that does not read; beyond it the client is closed with 4101.",
        "write_buffer_bytes": "How much is handed to the socket before events queue, and may be merged, in the "
        "outbox: with TLS and in the portable lane. Else they queue as soon as the kernel takes no more.",
        "unsent_bytes": "How much the kernel takes from the hub before the client has it.",
        "max_channels": "Subscriptions of a connection.",
        "max_pending_commands": "Commands of a connection under way; beyond, it is not read from.",
        "command_rate": "Commands a second that a connection may send for long.",
        "command_burst": "Commands that it may send at once.",
        "service_command_rate": "The same for a connection of a service, which publishes for others.",
        "service_command_burst": "Commands that it may send at once.",
        "user_command_rate": "The same over all connections of a user to a node; each channel of a `subscribe` "
        "counts. Services have no such limit.",
        "user_command_burst": "Of these at once: what all pages of a user ask for after a deploy.",
        "reconnect_min_ms": "The window in which clients are asked to come back begins here,",
        "reconnect_max_ms": "and ends here.",
        "resume_ttl": "How long the `resume` value of a welcome is good.",
        "max_token_life": "Tokens that end later than so long from now are refused; 0: none is.",
        "revocation_ttl": "How long a revocation is remembered: longer than any token lives. A hub that sees a "
        "token which lives longer says so in its log, as that would be good again.",
    },
    "A node": {
        "max_connections": "Sockets of a process; 0: as many as it has file descriptors for, less 512.",
        "max_connections_per_user": "Connections of one user on a node.",
        "max_connections_per_address": "Connections of one address on a node; of IPv6, of a /64.",
        "max_http_connections_per_address": "TCP connections of one address that are no WebSockets; of IPv6, of a "
        "/64. Those of trusted proxies are not counted.",
        "http_keep_alive": "How long an HTTP connection is kept between two requests: longer than the balancer "
        "before it keeps its own (some for 600 s), which else meets a closed one now and then.",
        "max_connection_age": "After so long a connection is asked to open a new one; 0: never.",
        "accept_rate": "Handshakes a second that a node takes; beyond, newcomers are asked to wait.",
        "drain_notice": "Between the announcement of a departure and the first connection closed.",
        "drain_seconds": "Over how long a departing node spreads the closing of its connections.",
        "recovery_limit": "Events that a resuming client is sent at most; beyond, it is told of a gap.",
        "tail_bytes": "Memory for the newest events of channels with subscribers, from which clients resume.",
        "snapshot_bytes": "Memory for snapshots that are being sent, shared by those who begin at the same offset. "
        "At the limit slow readers begin anew, and newcomers to `state` channels wait up to 10 s.",
        "channel_linger": "How long a node listens to a channel whose last subscriber has left.",
        "position_check": "How often a node compares its positions with the store's, to find a silent loss.",
        "presence_grace": "How long a lost connection stays present, in case that it comes back.",
        "presence_batch": "For how long joins and leaves are gathered into one message.",
        "max_body_bytes": "The largest body of an HTTP request.",
        "ready_requires_all_shards": "Whether `/readyz` is red as soon as one of several Redis servers is down.",
        "metrics_public": "Whether `/metrics` needs no API key.",
        "log_level": "`DEBUG`, `INFO`, `WARNING` or `ERROR`.",
        "log_format": "`text`, or `json`: an object a line.",
        "recorder_bytes": "Memory for what is remembered of the last 15 minutes; 0: nothing is.",
        "audit": "An audit log, JSON lines: `stdout`, or a file, which others rotate. What services and people "
        "do to the hub is told before it is done, and refused where it can't be told (but draining and revoking).",
        "otel": "Traces by OpenTelemetry, over OTLP/HTTP (`pip install 'notification-hub[otel]'`); its "
        "`OTEL_*` variables say where to.",
        "otel_ratio": "So many of the traces that begin here are sampled; who sends `traceparent` has decided.",
        "console": "`false`: there is no page at `/console` ([console.md](console.md)).",
        "console_mint": '`true`: who has `admin:"write"` may mint tokens there; `hub serve --dev` sets it.',
        "consul": "A Consul agent, `http://127.0.0.1:8500`, in which the node registers while it serves.",
        "consul_token": "What that agent wants to see.",
        "consul_service": "The name of the service there.",
        "consul_address": "Where the node is found. Unset: `host`.",
        "consul_tags": "Its tags there.",
        "handler_timeout": "How long a handler of the program may take ([handlers.md](handlers.md)).",
        "handler_threads": "Threads for handlers that are plain functions.",
        "handler_calls": "Handlers that run at once; beyond, `unavailable`.",
        "plugins": "Plugins: `package.module:name`, or the name of an installed one ([plugins.md](plugins.md)).",
        "proxies": "Backends that are asked over HTTP ([handlers.md](handlers.md#over-http)).",
        "webhooks": "Endpoints that are told of events ([webhooks.md](webhooks.md)).",
        "webhook_waiting": "What may wait for an endpoint of one channel; beyond, the oldest go to "
        "the dead letters.",
        "webhook_allow": "Private networks that webhooks may go to: `10.0.0.0/8`. Empty: public addresses only.",
        "bridges": "What `hub bridge` reads of other systems; a node does nothing with it.",
        "hooks": "Webhooks of others that are taken in at `/v1/hooks/{name}`.",
        "cloudevents": "CloudEvents are taken in at `/v1/cloudevents` and `/v1/publish`; `{}`: the usual mapping.",
        "dapr": "Topics that a Dapr sidecar brings, and its `token`.",
    },
}

RULES = {
    "mode": "`log`: every event, in order. `state`: also a snapshot by key, and events of a key are merged for "
    "slow clients. `ephemeral`: neither stored nor numbered.",
    "history_size": "Events that are kept.",
    "history_ttl": "How long they are kept from the channel's last publication.",
    "meta_ttl": "How long the numbering is kept from the last publication, or the last check by a node with "
    "subscribers.",
    "snapshot_ttl": "How long a key stays in the snapshot after its final event,",
    "snapshot_idle_ttl": "or after its last one where none was final.",
    "snapshot_keys": "Keys of a snapshot.",
    "client_publish": "Whether users may publish, with a grant; services always may.",
    "client_subscribe": "Whether a token of Centrifugo's is enough to subscribe ([centrifugo.md](centrifugo.md)).",
    "client_anonymous": "Whether they are open to who has no user too, where `HUB_CENTRIFUGO_ANONYMOUS` is on.",
    "client_event": "The type of events that its SDKs publish.",
    "publish_rate": "Publications a second of one connection,",
    "publish_burst": "and at once.",
    "presence": "Whether subscribers may see who is there.",
    "inbox": "Whether users have a read cursor, and unread counts.",
    "schema_": "The file of a JSON Schema that payloads must fit (its name is `schema`).",
    "mask": "Paths (`payload.card.number`) whose values only subscribers see: no webhook, dead letter, console.",
    "mask_how": "What is in their place: nothing (`drop`), or a digest that tells equal ones apart (`hash`).",
}


def page() -> str:
    """The whole page."""
    described = {name for rows in SECTIONS.values() for name in rows}
    missing = set(Settings.model_fields) - described - {"namespaces"}
    assert not missing, f"docs/make_settings.py says nothing of {', '.join(sorted(missing))}"
    parts = [HEAD]
    for title, rows in SECTIONS.items():
        parts += [f"\n## {title}\n\n", _table("HUB_", {name.upper(): name for name in rows}, rows, Settings)]
    parts += [NAMESPACES_HEAD, _shipped(), "\nThe rules of a namespace:\n\n"]
    names = {field.alias or name: name for name, field in Namespace.model_fields.items()}
    return "".join([*parts, _table("", names, RULES, Namespace)])


def _table(prefix: str, names: dict[str, str], sentences: dict[str, str], model: Any) -> str:
    lines = ["| name | kind | default | |", "|---|---|---|---|"]
    for shown, name in names.items():
        field = model.model_fields[name]
        kind, default = _kind(field.annotation), _default(field)
        lines.append(f"| `{prefix}{shown}` | {kind} | {default} | {sentences[name]} |")
    return "\n".join(lines) + "\n"


def _shipped() -> str:
    lines = ["| namespace | rules that differ from the defaults below |", "|---|---|"]
    for name, rules in SHIPPED.items():
        text = ", ".join(f"{rule} = {_value(value)}" for rule, value in rules.items())
        lines.append(f"| `{name}` | {text} |")
    return "\n".join(lines) + "\n"


def _kind(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        (inner,) = (each for each in get_args(annotation) if each is not type(None))
        return _kind(inner)
    if origin in (list, tuple):
        return "list"
    if origin is dict:
        return "table"
    names = {
        str: "text",
        int: "integer",
        float: "number",
        bool: "true or false",
        SecretStr: "secret",
        Mode: "text",
    }
    if get_origin(annotation) is Literal:
        return "text"
    return names.get(annotation) or _kind(get_args(annotation)[0])


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if value is None or value in ([], {}, ()) else _value(value)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{value}`" if isinstance(value, str) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE} is written\n")
