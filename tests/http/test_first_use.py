"""What is used is there before a hub serves: an import in the midst of it holds everybody up."""

import subprocess
import sys

ASKED = """
import asyncio, sys, httpx
from hub.app import Hub

async def main():
    hub = Hub(jwt_secret="s" * 32, api_keys={"svc": "k" * 32})
    async with hub.lifespan():
        before = set(sys.modules)
        transport = httpx.ASGITransport(app=hub.app)
        headers = {"Authorization": "Bearer " + "k" * 32}
        async with httpx.AsyncClient(transport=transport, base_url="http://hub", headers=headers) as http:
            event = {"channel": "job:1", "event": "x", "payload": 1, "key": "a"}
            assert (await http.post("/v1/publish", json=event)).status_code == 200
            for path in ("", "/history", "/snapshot"):
                assert (await http.get("/v1/channels/job:1" + path)).status_code == 200
            for path in ("/livez", "/metrics", "/openapi.json", "/v1/connections", "/v1/top"):
                assert (await http.get(path)).status_code == 200, path
        print(*sorted(set(sys.modules) - before))

asyncio.run(main())
"""


def test_nothing_is_imported_while_requests_are_served() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKED], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == []
