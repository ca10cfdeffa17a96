"""nginx before two nodes, by the configuration that the repository ships."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from ..support.pace import SCALE
from ..support.server import RunningHub, free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"
START_S = 10.0


def configuration(port: int, hubs: Sequence[RunningHub], folder: Path) -> str:
    """The shipped file, with the addresses and folders of a test in it and nothing else changed."""
    text = SHIPPED.read_text()
    (options,) = set(re.findall(r"server hub\d:8000 (.*);", text))
    text = re.sub(r"(\s*server hub\d:8000 .*;)+", "\n@nodes@", text, count=1)
    text = text.replace("@nodes@", "\n".join(f"server 127.0.0.1:{hub.port} {options};" for hub in hubs))
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    text = text.replace("/dev/stdout", f"{folder}/access.log").replace("/dev/stderr", f"{folder}/error.log")
    return f"daemon off;\npid {folder}/nginx.pid;\n{text}"


@contextlib.asynccontextmanager
async def nginx(folder: Path, hubs: Sequence[RunningHub]) -> AsyncIterator[int]:
    """Its port."""
    port = free_port()
    place = folder / "nginx"
    place.mkdir()
    file = place / "nginx.conf"
    file.write_text(configuration(port, hubs, place))
    process = await asyncio.create_subprocess_exec("nginx", "-e", str(place / "start.log"), "-c", str(file))
    try:
        await _answering(port, process)
        yield port
        for name in ("access.log", "error.log"):
            assert "eyJ" not in (place / name).read_text(), f"a token stands in nginx's {name}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _answering(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_S * SCALE):
        while True:
            assert process.returncode is None, "nginx ended at once"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
