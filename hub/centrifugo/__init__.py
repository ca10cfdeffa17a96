"""The Centrifugo protocol, for its SDKs: another way to say the same commands and to hear the same events.

Nothing else imports this folder but the composition root, and only where `Settings.centrifugo` is on.
May import: `commands`, `connections` and what lies below them.
"""
