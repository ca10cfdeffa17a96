"""What happened is asked for when it is over: ten minutes ago it is known, and of what is older that it is not."""

import asyncio
from pathlib import Path

import pytest

from ..cli.command import hub as command
from ..support.clock import OwnClock
from ..support.server import running_hub
from ..support.wire import connect
from .test_troubleshooting import SETTINGS, _does_not_read, _ended, _is_gone, _publish_until
from .test_why import OPS


async def test_a_slow_client_ten_minutes_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = OwnClock(tmp_path)
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    with running_hub(**SETTINGS) as hub:
        for name in clock.environment:
            monkeypatch.delenv(name)
        async with connect(hub.ws_url, hub.token("sid", subscribe=["doc:*"])) as sid:
            await _does_not_read(sid, "doc:sid")
            await _publish_until(hub, "doc:sid", lambda: _ended(hub, "sid"))
            _is_gone(sid)

        async def asked(minutes: float) -> list[str]:
            clock.step(minutes * 60)
            words = ("explain", "--user", "sid", "--channel", "doc:sid")
            result = await asyncio.to_thread(command, *words, folder=tmp_path, url=hub.url, api_key=OPS)
            assert result.status == 0, result.err
            return result.out.splitlines()

        for minutes in (0, 10):
            answer, *steps = await asked(minutes)
            assert " of sid ended at " in answer, steps
            assert "with 4101 slow_consumer: the client did not read, " in answer
            assert not any("remember" in step for step in steps)
        answer, *steps = await asked(16)
        assert answer.startswith("sid was not seen here since ")
        assert answer.endswith("what was before that is beyond what is remembered")
        assert any(step.endswith("after the event: who was connected then is not known") for step in steps)
