"""The ground that every layer stands on: timers, tasks, token buckets, backoff, counters.

Nothing here knows what a channel, a token or a socket is.
May import: nothing of `hub` but itself.
"""
