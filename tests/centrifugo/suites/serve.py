"""A hub as the suites expect their Centrifugo: ``python -m tests.centrifugo.suites.serve go``.

Three rules of the hub do not hold here, and nowhere else: a secret has 32 bytes or more (the suites sign with
``secret``), an API key 16, and nobody comes in without a token (two of them connect with none, and may do
everything).
"""

import json
import os
import sys
from typing import Any

from hub.auth import api_keys, from_settings, keys
from hub.auth.grants import EVERYTHING
from hub.auth.identity import Grants, Identity
from hub.auth.keys import Key
from hub.auth.tokens import Authenticator
from hub.centrifugo.tokens import ENDLESS
from hub.cli.main import main

PORT = 8000
API_KEY = "test-api-key"
MAP = {"mode": "state", "client_publish": True}
MAPS = ("streamless", "positioned", "shortttl", "clientkey", "prestest", "tagged", "mapdelta")
HISTORY = {"mode": "log", "history_size": 100, "history_ttl": 300, "client_publish": True}
SMALL = {**HISTORY, "history_size": 2}
RATE = {"publish_rate": 100_000, "publish_burst": 100_000}


class Anonymous(Authenticator):
    """Takes no token for one, and tokens of nobody; what is signed is checked. All may do everything."""

    async def verify(self, token: str) -> Identity:
        if token:
            await super().verify(token)
        return Identity("anybody", ENDLESS, Grants(EVERYTHING, EVERYTHING, EVERYTHING))

    async def _proven_claims(self, token: str) -> tuple[Key, dict[str, Any]]:
        key, found = await super()._proven_claims(token)
        return key, {"sub": "anybody", **found}


def settings(suite: str) -> dict[str, object]:
    """What the suites' own compose files say, in the hub's words."""
    plain = {**HISTORY, **RATE, "presence": suite != "go"}
    return {
        "jwt_secret": "secret",
        "centrifugo": True,
        "centrifugo_tokens": True,
        "centrifugo_personal": suite == "python",
        "namespaces": {
            "plain": plain,
            "user": {"client_publish": True, "presence": True},
            "smallhistory": {**SMALL, **RATE},
            "recovery": {**HISTORY, **RATE},
            **{name: {**MAP, **RATE} for name in MAPS},
            "smallstream": {**MAP, **RATE, "history_size": 2},
        },
        "api_keys": {"suite": API_KEY},
        "command_rate": 100_000,
        "command_burst": 100_000,
        "user_command_rate": 100_000,
        "user_command_burst": 100_000,
        "max_connections_per_user": 10_000,
        "node_secret": "a-secret-of-nodes-of-32-bytes-or-more",
        "drain_notice": 0,
        "drain_seconds": 0,
    }


def serve(suite: str) -> int:
    keys.MIN_SECRET_BYTES = api_keys.MIN_BYTES = 1
    if suite != "python":
        setattr(from_settings, "Authenticator", Anonymous)  # noqa: B010  # it is no name that the module gives away
    for name, value in settings(suite).items():
        os.environ[f"HUB_{name.upper()}"] = value if isinstance(value, str) else json.dumps(value)
    return main(["serve", "--host", "127.0.0.1", "--port", str(PORT)])


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1]))
