"""`hub.client` for the scenarios: what it hands over, a line of JSON each."""

import asyncio
import json
import os

from hub.client import Client, Event, Gap, Snapshot, Timing


def line(item: Event | Gap | Snapshot) -> dict[str, object]:
    """An item in the words of docs/conformance."""
    if isinstance(item, Event):
        return {"event": {"offset": item.offset, "payload": item.payload}}
    if isinstance(item, Gap):
        return {"gap": {"from": item.first, "to": item.last, "cause": item.cause}}
    return {"snapshot": [event.payload for event in item.events]}


async def main() -> None:
    async with Client(os.environ["HUB_URL"], token=lambda: os.environ["HUB_TOKEN"], timing=Timing()) as hub:
        async for item in hub.subscribe(os.environ["HUB_CHANNEL"]):
            print(json.dumps(line(item)), flush=True)


asyncio.run(main())
