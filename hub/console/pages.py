"""The page's files, as they stand in `static`: no build, no inline code, nothing from elsewhere."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from ..http.answers import refusal
from ..http.context import HttpContext
from ..protocol.codes import ErrorCode
from ..protocol.errors import HubError

FOLDER = Path(__file__).parent / "static"
_FILES = StaticFiles(directory=FOLDER)

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


async def page(_context: HttpContext, request: Request) -> Response:
    """`GET /console`."""
    return await _file("index.html", request)


async def part(_context: HttpContext, request: Request) -> Response:
    """`GET /console/{name}`: a script, the style sheet."""
    return await _file(request.path_params["name"], request)


async def home(_context: HttpContext, _request: Request) -> Response:
    """`GET /`, where an app has nothing else there. Relative, so that it holds below a path and behind a proxy."""
    return RedirectResponse("console", 307, HEADERS)


async def _file(name: str, request: Request) -> Response:
    try:
        response = await _FILES.get_response(name, request.scope)
    except HTTPException as error:
        why = HubError(ErrorCode.BAD_MESSAGE, "the console has no such file")
        return refusal(why, error.status_code, HEADERS)
    response.headers.update(HEADERS)
    return response
