"""The contract as pure values and functions: no asyncio, no clock, no Starlette, no Redis."""
