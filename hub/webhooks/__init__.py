"""``[[webhooks]]``: others are told over HTTP of events and of what happens, at least once and in order.

May import: what lies below it; nothing of it is imported where no setting names one.
"""
