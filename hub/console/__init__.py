"""The console: a page for who runs the hub, and what it asks for beside the hub's own routes.

Nothing here is readable without `admin`; a node without it would be a node all the same.
May import: `http`, `observe` and all that lies below them.
"""
