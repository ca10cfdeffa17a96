"""The SDKs' own test suites, unchanged, against a hub: ``python -m tests.centrifugo.suites``."""
