"""Centrifugo's server API, for its libraries on services: another way to say what the hub's HTTP API says.

Nothing else imports this folder but the composition root, and only where `Settings.centrifugo` is on.
May import: `http`, `centrifugo` and what lies below them.
"""
