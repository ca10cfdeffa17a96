"""Pieces of Python that no commands of a page stand around: run, with what the reader is to bring."""

import ast
import base64
import hmac
import inspect
import secrets
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from pydantic import SecretStr
from starlette.routing import Mount

from hub.app import Hub
from hub.auth import claims
from hub.outgoing.signing import keys_of, signed
from hub.plugins.loading import load
from hub.protocol.errors import HubError
from hub.testing import HubTestClient

from ..support.markdown import Block
from .pages import before, of

(MOUNTED,) = [block for block in of("README.md", "python") if block.file is None]
HANDLERS, USES, TESTING = of("docs/handlers.md", "python")
(PLUGIN,) = of("docs/plugins.md", "python")
(TOKEN,) = of("docs/tokens.md", "python")
MAKE_TOKEN = of("docs/python.md", "python")[-1]
(SIGNED,) = of("docs/webhooks.md", "python")
BEFORE = [block for block in before() if block.kind == "python"]
LOOKS_AT = [MOUNTED, HANDLERS, USES, TESTING, PLUGIN, TOKEN, MAKE_TOKEN, SIGNED, *BEFORE]

SECRET = "a-secret-of-at-least-thirty-two-bytes"


def run(block: Block, **names: Any) -> dict[str, Any]:
    """What it has defined, beside what stands before it."""
    exec(compile(block.text, str(block), "exec"), names)
    return names


async def run_async(block: Block, **names: Any) -> None:
    """As in ``python -m asyncio``: await stands at the top."""
    code = compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.iscoroutine(result):
        await result


def test_the_hub_in_an_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_JWT_SECRET", SECRET)
    app = run(MOUNTED)["app"]
    (route,) = app.routes
    assert isinstance(route, Mount)
    assert route.path == "/hub"


# docs/handlers.md


class Application:
    """What the page leaves to its reader."""

    def __init__(self) -> None:
        self.saved: list[tuple[str, str]] = []

    async def is_banned(self, user: str) -> bool:
        return user == "mallory"

    async def team_of(self, user: str) -> str:
        return "red"

    async def role_of(self, user: str, channel: str) -> str | None:
        return None if channel == "doc:closed" else "reader"

    def cleaned(self, payload: Any) -> Any:
        return {"text": payload["text"].replace("damn", "…")}

    async def save(self, name: str, by: str) -> None:
        self.saved.append((name, by))


def handlers() -> tuple[Hub, Application]:
    application = Application()
    brought = {name: getattr(application, name) for name in dir(application) if not name.startswith("_")}
    source = HANDLERS.text.replace('jwt_secret="…"', f"jwt_secret={SECRET!r}, namespaces=CHAT")
    chat = {"chat": {"client_publish": True}, "team": {}}
    block = Block(HANDLERS.page, HANDLERS.line, HANDLERS.heading, HANDLERS.kind, source, None)
    hub: Hub = run(block, CHAT=chat, **brought)["hub"]
    return hub, application


def test_each_handler_of_the_page_does_what_it_says() -> None:
    hub, application = handlers()
    with HubTestClient(hub) as client:
        with pytest.raises(HubError, match="this account is closed"):
            client.connect("mallory")
        ann = client.connect("ann")
        ann.subscribe("chat:1")
        ann.publish("chat:1", "said", {"text": "damn it"})
        assert ann.receive("said")["payload"] == {"text": "… it"}
        ann.subscribe("doc:7")
        assert ann.call("rename", {"name": "Plan"}) == {"ok": True}
        assert ann.receive("renamed")["payload"] == {"name": "Plan"}
    assert application.saved == [("Plan", "ann")]


async def test_what_the_page_does_with_the_hub() -> None:
    hub, _ = handlers()
    async with hub.lifespan():
        await run_async(USES, hub=hub)


def test_the_test_of_the_page_passes() -> None:
    hub, _ = handlers()
    names = {"hub": hub, "pytest": pytest, "HubError": HubError}
    test: Callable[[], None] = run(TESTING, **names)["test_a_closed_document_takes_no_readers"]
    test()


def test_the_plugin_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    example = run(PLUGIN)["Example"]
    monkeypatch.setattr("tests.docs.test_programs.Example", example, raising=False)
    (plugin,) = load(["tests.docs.test_programs:Example"])
    hub = Hub(jwt_secret=SECRET)
    plugin.handlers(hub)
    with HubTestClient(hub) as client:
        client.connect("ann").subscribe("doc:7")  # its handler says nothing against it


# Tokens and signatures


@pytest.mark.parametrize(
    ("block", "call"), [(TOKEN, ("ann", "42")), (MAKE_TOKEN, ())], ids=["tokens", "python"]
)
def test_the_tokens_that_are_made_are_good(
    block: Block, call: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_JWT_SECRET", SECRET)
    names = run(block)
    (make,) = [names[each] for each in ("hub_token", "make_token") if each in names]
    found = jwt.decode(make(*call), SECRET, ["HS256"])
    identity = claims.identity(found, found["exp"] - 60)
    assert identity.grants.subscribe.matches("job:42")


def test_a_signature_is_checked_as_the_hub_makes_it() -> None:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    body = b'{"id":"job:42/k3f9:17"}'
    headers = signed(keys_of([SecretStr(secret)]), "job:42/k3f9:17", 1763690000, body)
    names = {"base64": base64, "hmac": hmac, "secret": secret, "headers": headers}
    assert run(SIGNED, body=body, **names)["good"]
    assert not run(SIGNED, body=body + b" ", **names)["good"]


@pytest.mark.parametrize("block", BEFORE, ids=str)
def test_what_stood_before_is_python(block: Block) -> None:
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
