"""The contract as pure values and functions: messages, codes, positions, frames.

No asyncio, no clock, no Starlette, no Redis: time and randomness are parameters.
May import: nothing of `hub` but itself.
"""
