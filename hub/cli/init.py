"""``hub init``: a first ``hub.toml`` with keys of its own, and an ``.env`` for the application beside it."""

import argparse
import os
import secrets
from pathlib import Path

from .failure import Failure

SETTINGS = """\
# Settings of the hub; all of them, with their defaults: docs/settings.md, and `hub check` says what is wrong.
# It holds secrets: keep it out of version control.
port = {port}
jwt_secret = "{secret}"  # tokens are signed with it

# Pages that may connect. `hub dev` lets any, as long as none is named.
# allowed_origins = ["https://app.example.com"]

[api_keys]  # of backend services
backend = "{key}"

[api_keys.ops]  # of who runs it: /console takes it, and `hub explain` finds it here
key = "{ops}"
admin = "write"
subscribe = ["*"]
publish = ["*"]
presence = ["*"]
"""

ENVIRONMENT = """\
HUB_URL=http://127.0.0.1:{port}
HUB_API_KEY={key}
HUB_JWT_SECRET={secret}
"""

NEXT = """
Next, in three terminals:

  hub dev
  hub subscribe job:42
  hub publish job:42 job_status '{"state":"running","progress":40}' --key 42
"""


def run(args: argparse.Namespace) -> int:
    """The command."""
    keys = {name: secrets.token_urlsafe(24) for name in ("key", "ops")}
    given = {"port": args.port, "secret": secrets.token_urlsafe(32), **keys}
    settings, environment = SETTINGS.format(**given), ENVIRONMENT.format(**given)
    if not _write(Path("hub.toml"), settings):
        raise Failure("hub.toml is there already: nothing was written")
    if _write(Path(".env"), environment):
        print(
            "Wrote hub.toml, the hub's settings, and .env, what your application needs: keep both to yourself."
        )
    else:
        print("Wrote hub.toml, the hub's settings: keep it to yourself.")
        print("There is an .env already, which was left as it is. Your application needs:\n")
        print(environment, end="")
    print(NEXT, end="")
    print(
        f"\nhttp://127.0.0.1:{args.port}/console shows what goes on there; the key ops of hub.toml opens it."
    )
    return 0


def _write(path: Path, text: str) -> bool:
    """Write a file that only its owner may read; False where there is one of this name.

    Raises:
        Failure: it can't be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise Failure(f"{path} can't be written: {(error.strerror or str(error)).lower()}") from None
    with open(handle, "w") as file:
        file.write(text)
    return True
