"""Load test of the hub and of what one would pick instead: ``python -m loadtest SCENARIO``."""
