"""HTTP/1.1 for strangers: requests read strictly and one at a time, with a bound and a deadline in every phase.

May import: as `transport`; of its modules, `websocket` and `upgrade_response`.
"""
