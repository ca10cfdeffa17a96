"""A process that serves: listeners, workers and their supervisor, a planned departure.

May import: `app` and all that lies below it.
"""
