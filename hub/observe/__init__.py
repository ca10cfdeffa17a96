"""What happened, kept for a while and told in words: the clients' log, the flight recorder, `explain`.

Nothing here is called for a delivery. What it keeps is bounded in bytes; what it says holds no token, no payload.
May import: `cluster` and all that lies below it.
"""
