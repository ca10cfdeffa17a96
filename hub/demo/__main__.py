"""``python -m hub.demo``."""

import sys

from .app import main

sys.exit(main())
