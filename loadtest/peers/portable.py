"""The portable lane as users build it: the hub mounted into an app of theirs, served by uvicorn."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.app import Hub

hub = Hub()
app = Starlette(lifespan=hub.lifespan, routes=[Mount("/", hub.app)])

if __name__ == "__main__":
    uvicorn.run(
        app,
        host=sys.argv[1],
        port=int(sys.argv[2]),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
