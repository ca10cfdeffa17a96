"""The browser client beside the API, so that a page needs no build step: ``import { Hub } from "/hub.js"``.

`static` links to what `client_js` builds; a wheel holds the files themselves.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from .context import HttpContext

FOLDER = Path(__file__).parent / "static"
SCRIPTS = ("hub.js", "shared.js", "msgpack.js", "stream.js", "channeltoken.js", "job-board.js")
_FILES = StaticFiles(directory=FOLDER, follow_symlink=True)


async def script(_context: HttpContext, request: Request) -> Response:
    """`GET /hub.js`, what it may load, and the board of jobs: public, asked for anew by their `ETag`."""
    name = request.url.path.rpartition("/")[2]
    response = await _FILES.get_response(name, request.scope)
    response.headers["cache-control"] = "no-cache"
    return response
