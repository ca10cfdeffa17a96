"""HTTP that the hub sends out: signed requests, answers read within bounds, addresses that may be asked.

May import: settings, runtime and protocol; httpx.
"""
