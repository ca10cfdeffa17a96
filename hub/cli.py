"""The command `hub`."""

import argparse
import sys

from .server import serve
from .settings import Settings


def main(argv: list[str] | None = None) -> int:
    """The entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="hub", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("serve", help="run a node")
    command.add_argument("--host")
    command.add_argument("--port", type=int)
    command.add_argument("--broker")
    command.add_argument("--dev", action="store_true")
    args = parser.parse_args(argv)
    given = {name: value for name, value in vars(args).items() if value is not None and name != "dev"}
    serve(Settings(**given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
