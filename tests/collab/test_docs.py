"""Every command and program of docs/jobs.md and docs/collaboration.md is run, in the order of the page."""

import asyncio
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..cli.command import clean_environment
from ..support.markdown import ROOT, blocks
from ..support.pace import SCALE
from ..support.server import JWT_SECRET, RunningHub, running_hub

PAGES = {name: ROOT / "docs" / name for name in ("jobs.md", "collaboration.md")}
LOOKS_AT = [block for page in PAGES.values() for block in blocks(page, "sh", "js", "python", "toml")]
PRELUDE = f"""
import {{ WebSocket }} from "{ROOT}/client_js/node_modules/ws/wrapper.mjs";
const {{ HUB_URL, HUB_TOKEN }} = process.env;
const say = (name) => (...values) => console.log(name, JSON.stringify(values));
const [apply, reload, showCursor, showMembers] = ["apply", "reload", "showCursor", "showMembers"].map(say);
const show = (jobs) => console.log("show", JSON.stringify(Object.fromEntries(jobs)));
Object.assign(globalThis, {{ WebSocket, HUB_URL, HUB_TOKEN, apply, reload, showCursor, showMembers, show }});
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as running:
        yield running


class Shell:
    """Programs with the environment that the page speaks of, in a folder of their own."""

    def __init__(self, hub: RunningHub, folder: Path, token: str) -> None:
        self.folder = folder
        self.environment = {
            **clean_environment(url=hub.url, api_key=hub.api_key, token=token, jwt_secret=JWT_SECRET),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "NO_PROXY": "*",
        }

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *words,
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def run(self, *words: str) -> str:
        process = await self.start(*words)
        async with asyncio.timeout(20 * SCALE):
            printed = (await process.communicate())[0].decode()
        assert process.returncode == 0, printed
        return printed

    async def python(self, text: str) -> asyncio.subprocess.Process:
        name = text.splitlines()[0].removeprefix("# ")
        (self.folder / name).write_text(text)
        return await self.start(sys.executable, name)

    async def node(self, text: str) -> asyncio.subprocess.Process:
        imports = text.replace("notification-hub-client", f"{ROOT}/client_js/dist/hub.js")
        (self.folder / "prelude.mjs").write_text(PRELUDE)
        (self.folder / "page.mjs").write_text('import "./prelude.mjs";\n' + imports)
        return await self.start("node", "page.mjs")


async def until(process: asyncio.subprocess.Process, *marks: str) -> str:
    """Read until all marks were printed."""
    assert process.stdout is not None
    printed = ""
    async with asyncio.timeout(20 * SCALE):
        while any(mark not in printed for mark in marks):
            try:
                line = (await process.stdout.readline()).decode()
            except asyncio.CancelledError:
                raise AssertionError(f"not printed: {marks}\n{printed}") from None
            assert line, f"it ended: {printed}"
            printed += line
    return printed


async def stop(*processes: asyncio.subprocess.Process) -> None:
    for process in processes:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_jobs(hub: RunningHub, tmp_path: Path) -> None:
    sh = Shell(hub, tmp_path, hub.token("ann", subscribe=["job:*"]))
    publish, snapshot, js, board, _element, _toml, versions, worker, cli = [
        block.text for block in blocks(PAGES["jobs.md"])
    ]
    assert (await sh.run("bash", "-ec", publish)).count('"offset"') == 3
    assert '"succeeded"' in await sh.run("bash", "-ec", snapshot)
    page = await sh.node(js)
    viewer = await sh.python(board)
    await until(page, 'show {"41":{"state":"succeeded"},"42":{"state":"queued"}}')
    await until(viewer, "{'42': 'queued', '41': 'succeeded'}")
    await stop(viewer)  # its jobs all have a state, those of the next block do not
    function = publish.splitlines()[0]
    told = (await sh.run("bash", "-ec", f"{function}\n{versions}")).splitlines()
    assert ['"stale":true' in line for line in told] == [False, True, False]
    await until(page, '"43":{"progress":20}', '"43":{"progress":0}')
    assert await (await sh.python(worker)).wait() == 0
    await until(page, '"44":{"state":"running","step":2}', '"44":{"last":{"type":"job_status"')
    await sh.run("bash", "-ec", cli)
    await until(page, '"45":{"state":"running"}', '"45":{"state":"failed"}')
    await stop(page)


async def test_collaboration(hub: RunningHub, tmp_path: Path) -> None:
    sh = Shell(hub, tmp_path, "")
    token, edits, room, bot, curl, _toml, notify, inbox = [
        block.text for block in blocks(PAGES["collaboration.md"])
    ]
    sh.environment["HUB_TOKEN"] = hub.secret(
        (await sh.run("bash", "-ec", f'{token}\necho "$HUB_TOKEN"')).strip()
    )
    page = await sh.node(f"{edits}\ndoc.unsubscribe();\n{room}")
    await until(page, '"colour":"#c62f2f"')
    hub.publish("doc:7", "insert", {"at": 5, "text": "!"})
    told = await (await sh.python(bot)).communicate()
    assert "ann tab-1 {'colour': '#c62f2f', 'selection': [3, 9]}" in told[0].decode()
    assert "ann bot {'doing': 'spell checking'}" in told[0].decode()
    listed = await sh.run("bash", "-ec", curl)
    assert '{"user":"ann","members":1,"info":{"name":"Ann"}}' in listed
    await stop(page)
    await sh.run("bash", "-ec", notify)
    assert (await (await sh.python(inbox)).communicate())[0].decode() == "unread: 1\nafter ack: 0\n"


def test_the_settings_that_are_named_are_settings(hub: RunningHub, tmp_path: Path) -> None:
    """The lines of hub.toml."""
    schema = tmp_path / "edit.schema.json"
    schema.write_text('{"type":"object","required":["at"]}')
    lines = [block.text for page in PAGES.values() for block in blocks(page, "toml")]
    assert len(lines) == 2
    toml = "".join(lines).replace("/etc/hub/edit.schema.json", str(schema))
    with running_hub(**tomllib.loads(toml)) as made:
        http = made.http()
        body = {"channel": "doc:1", "event": "insert", "payload": {"text": "x"}}
        refused = http.post("/v1/publish", json=body)
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_message")
        assert "at" in refused.json()["reason"]
        assert http.get("/v1/channels/build:1").json()["mode"] == "state"
