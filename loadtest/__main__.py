"""``python -m loadtest``."""

import sys

try:
    from loadtest.cli import entry
except ModuleNotFoundError as error:
    sys.exit(f"{error}: install the load test's own packages with pip install -e '.[loadtest]'")

entry()
