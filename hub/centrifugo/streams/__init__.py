"""The Centrifugo protocol over plain HTTP: answers that do not end, and `/emulation` for the way up.

Nothing else imports this folder but the composition root, and only where `Settings.centrifugo` is on.
May import: `http`, `transport`, `centrifugo` and what lies below them.
"""
