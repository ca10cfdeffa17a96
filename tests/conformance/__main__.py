"""Plays the hub against a client, scenario by scenario (docs/conformance/README.md).

python -m tests.conformance --listen 8123 [NAME...]        a client of yours connects; its wire is judged
python -m tests.conformance --client "go run ." [NAME...]  it is started for each; what it prints is judged too
"""

import argparse
import asyncio
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .player import Failed, Player

Chosen = list[tuple[str, dict[str, Any]]]
AT_ONCE = 4
SCENARIOS = Path(__file__).parents[2] / "docs" / "conformance" / "scenarios"


def scenarios(names: Sequence[str] = ()) -> Chosen:
    """All of them in order, or those whose name begins with one of `names`."""
    paths = sorted(SCENARIOS.glob("*.json"))
    chosen = [path for path in paths if not names or path.stem.startswith(tuple(names))]
    return [(path.stem, json.loads(path.read_text())) for path in chosen]


async def listen(port: int, chosen: Chosen) -> int:
    """Play each to whoever connects; the number that failed."""
    failed = 0
    for name, scenario in chosen:
        player = Player(scenario)
        async with player.listening(port) as at:
            print(f"{name} on ws://127.0.0.1:{at}/ws: {scenario['says']}", flush=True)
            print(
                f"  subscribe {scenario['channel']}; to be handed over: {json.dumps(scenario['hands_over'])}",
                flush=True,
            )
            failed += not await _judged(name, player)
    return failed


async def drive(command: Sequence[str], chosen: Chosen, folder: Path | None = None) -> int:
    """Start the client for each, a few at once; the number that failed."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, scenario: dict[str, Any]) -> bool:
        async with room:
            return await _driven(command, name, scenario, folder)

    return [*await asyncio.gather(*(one(name, scenario) for name, scenario in chosen))].count(False)


async def _driven(command: Sequence[str], name: str, scenario: dict[str, Any], folder: Path | None) -> bool:
    lines: list[dict[str, Any]] = []
    player = Player(scenario, lines.copy)
    async with player.listening() as port:
        environment = {
            "HUB_URL": f"ws://127.0.0.1:{port}/ws",
            "HUB_TOKEN": "t0",
            "HUB_CHANNEL": scenario["channel"],
        }
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
        )
        reading = asyncio.create_task(_read(process, lines))
        try:
            return await _judged(name, player)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reading


async def _read(process: asyncio.subprocess.Process, lines: list[dict[str, Any]]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        lines.append(json.loads(line))


async def _judged(name: str, player: Player) -> bool:
    try:
        await player.play()
    except Failed as error:
        print(f"FAILED {name}: {error}", flush=True)
        return False
    print(f"ok     {name}", flush=True)
    return True


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description=(__doc__ or "").partition("\n")[0]
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--listen", type=int, metavar="PORT")
    how.add_argument("--client", metavar="COMMAND")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    chosen = scenarios(args.names)
    if args.client:
        return min(1, asyncio.run(drive(shlex.split(args.client), chosen)))
    return min(1, asyncio.run(listen(args.listen, chosen)))


if __name__ == "__main__":
    sys.exit(main())
