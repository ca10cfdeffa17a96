"""Who counts as returning before the token is checked."""

import time
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from hub.auth.addresses import TrustedProxies
from hub.auth.origins import Origins
from hub.auth.resume import ResumeTokens
from hub.auth.signing import Signer
from hub.commands.handshake import Handshaker, UpgradeRequest
from hub.connections.observer import NoObserver
from hub.protocol.codes import ErrorCode
from hub.protocol.errors import HubError
from hub.settings import Settings

RESUMES = ResumeTokens(Signer("s" * 32, "resume"), time.time)
RESUME = RESUMES.issue("c_1", "n_1", "ann")


def handshaker(asked: list[bool]) -> Handshaker:
    async def admit(_address: str, *, returning: bool) -> None:
        asked.append(returning)
        raise HubError(ErrorCode.UNAVAILABLE, "enough")

    node: Any = SimpleNamespace(
        admission=SimpleNamespace(admit=admit),
        counters=SimpleNamespace(refused={"unavailable": 0}),
        returning=lambda resume, user: RESUMES.check(resume, user),
        observer=NoObserver(),
        settings=Settings(),
    )
    return Handshaker(node, None, Origins(["*"]), TrustedProxies())  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["header", "subprotocol", "query"])
@pytest.mark.parametrize(
    ("resume", "user", "expected"),
    [
        (RESUME, "ann", True),
        (RESUME, "bob", False),
        ("x", "ann", False),
        (RESUME[:-1], "ann", False),
        (RESUMES.issue("c_1", "n_1", "bob"), "ann", False),
    ],
    ids=["own", "another's user", "made up", "cut short", "another's"],
)
async def test_only_a_resume_that_the_hub_gave_goes_first(
    place: str, resume: str, user: str, expected: bool
) -> None:
    token = jwt.encode({"sub": user}, "k" * 32, "HS256")
    query = f"resume={resume}" + (f"&token={token}" if place == "query" else "")
    headers = {"authorization": f"Bearer {token}"} if place == "header" else {}
    offered = ["hub.v1.json"] + ([f"hub.token.{token}"] if place == "subprotocol" else [])
    asked: list[bool] = []
    with pytest.raises(Exception, match="enough"):
        await handshaker(asked).decide(UpgradeRequest(query, headers, offered, "192.0.2.1", False))
    assert asked == [expected]


async def test_without_a_token_nobody_returns() -> None:
    asked: list[bool] = []
    with pytest.raises(Exception, match="enough"):
        await handshaker(asked).decide(UpgradeRequest(f"resume={RESUME}", {}, (), "192.0.2.1", False))
    assert asked == [False]
