"""The demo, ``python -m hub.demo``: simulated jobs, a dashboard, a whiteboard.

A team's own app would mount the hub as it does.
May import: everything.
"""
