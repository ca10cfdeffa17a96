"""The systems that a bridge reads: a module each, imported when a bridge of that kind starts.

May import: `bridge`, `runtime`, and the one library of its system.
"""

from importlib.resources import files

SCHEMAS = {"postgres": files(__package__).joinpath("postgres.sql")}
"""What makes the tables that a kind reads."""
