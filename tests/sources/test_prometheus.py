"""What is shipped for Prometheus and Grafana, against Debian's Prometheus: every expression of the dashboard and of
the alerts is asked of a server that scraped a hub and a bridge under load, and gives data."""

import asyncio
import json
import math
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..broker.redis.servers import RedisServer
from ..support.pace import SCALE
from ..support.server import RunningHub, free_port, running_hub
from ..support.wire import connect
from .feeds import redis_feed
from .process import BridgeProcess, Process, listens

pytestmark = pytest.mark.sources

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
SCRAPES_S = 1.0


def promtool(*args: str, folder: Path | None = None, stdin: str = "") -> str:
    done = subprocess.run(["promtool", *args], input=stdin, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def alerts() -> dict[str, str]:
    """Expressions by name."""
    text = ALERTS.read_text()
    return dict(re.findall(r"- alert: (\w+)\n\s+expr: (.+)\n", text))


def panels() -> list[tuple[str, str]]:
    """Title and expression of each query of the dashboard."""
    board = json.loads((DEPLOY / "grafana" / "hub.json").read_text())
    return [
        (panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])
    ]


def test_the_rules_are_rules_and_each_alert_is_tried() -> None:
    promtool("check", "rules", str(ALERTS))
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml", folder=ALERTS.parent)
    tried = set(re.findall(r"alertname: (\w+)", (ALERTS.parent / "alerts_test.yml").read_text()))
    assert tried == set(alerts())


def test_the_commands_of_the_alerts_are_there() -> None:
    named = set(re.findall(r"\bhub ((?!top;)[a-z-]+)", ALERTS.read_text())) - {"misses"}
    shown = subprocess.run([sys.executable, "-m", "hub", "--help"], capture_output=True, text=True).stdout
    assert {name for name in named if f"  {name} " in shown} >= {"top", "inspect", "explain", "deadletters"}


class Scraped:
    """A Prometheus that has scraped a hub and a bridge under load."""

    def __init__(self, hub: RunningHub, url: str) -> None:
        self.hub = hub
        self.url = url

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        answer = httpx.get(
            f"{self.url}/api/v1/query", params={"query": expression}, timeout=30 * SCALE, trust_env=False
        ).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


@asynccontextmanager
async def scraped_hub(folder: Path) -> AsyncIterator[Scraped]:
    """A Prometheus that has scraped a hub and a bridge under load."""
    for name in ("feed", "bridge"):
        (folder / name).mkdir()
    async with RedisServer(folder / "redis") as redis, redis_feed(folder / "feed") as feed:
        with (
            running_hub(
                broker=redis.url, outbox_bytes=65536, write_buffer_bytes=1024, unsent_bytes=4096
            ) as hub,
            BridgeProcess(hub.url, hub.api_key, feed.settings(), folder / "bridge") as bridge,
            _prometheus(folder / "server", {"hub": hub.port, "bridge": bridge.port}) as url,
        ):
            scraped = Scraped(hub, url)
            async with asyncio.timeout(120 * SCALE):
                await _load(scraped, feed)
            yield scraped


@contextmanager
def _prometheus(folder: Path, ports: dict[str, int]) -> Iterator[str]:
    """Its address."""
    folder.mkdir()
    port = free_port()
    every = f"{SCRAPES_S:g}s"
    settings = {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]}
            for name, at in ports.items()
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with Process(command, folder, listens(port)):
        yield f"http://127.0.0.1:{port}"


async def _load(scraped: Scraped, feed: Any) -> None:
    """Events, commands, a refused handshake, a client that does not read, records with no event in them; until all
    of it was scraped a few times."""
    hub = scraped.hub
    async with connect(hub.ws_url, hub.token("ann", subscribe=["job:*", "doc:*"])) as ann:
        await ann.ask("subscribe", channel="job:1")
        await ann.ask("subscribe", channel="nope:1")
        async with connect(hub.ws_url, hub.token("slow", subscribe=["doc:*"])) as slow:
            await slow.ask("subscribe", channel="doc:1")
            slow.websocket.transport.pause_reading()
            for number in range(300):
                await asyncio.to_thread(hub.publish, "doc:1", payload="x" * 30_000)
                if number % 30 == 29 and _closed(hub):
                    break
        for _ in range(5):
            await feed.raw(b"no JSON")
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{hub.url}/ws", headers={"Authorization": "Bearer x"})).status_code in (
                401,
                426,
            )
        while True:
            await asyncio.to_thread(hub.publish, "job:1", payload=1, key="a")
            times = await asyncio.to_thread(scraped.ask, "sum_over_time(up[1m])")
            if len(times) == 2 and all(float(each["value"][1]) >= 8 for each in times):
                return
            await asyncio.sleep(0.2)


def _closed(hub: RunningHub) -> bool:
    return (
        re.search(r'^hub_closed_total\{reason="slow_consumer"\S* 1\.0', hub.http().get("/metrics").text, re.M)
        is not None
    )


async def test_everything_that_is_shipped_has_data(tmp_path: Path) -> None:
    async with scraped_hub(tmp_path) as scraped:
        promtool("check", "metrics", stdin=scraped.hub.http().get("/metrics").text)
        without = [title for title, expression in panels() if not _has_data(scraped, expression)]
        assert without == [], "panels of the dashboard"
        halves = {
            name: measured for name, (measured, _) in _halves().items() if not name.startswith("HubTls")
        }
        blind = [name for name, measured in halves.items() if not scraped.ask(measured)]
        assert blind == [], "alerts"
        quiet = (
            "HubNodeDeaf",
            "HubShardAway",
            "HubNotReady",
            "HubEventsLost",
            "HubInternalErrors",
            "HubBridgeDown",
        )
        fired = [name for name in quiet if scraped.ask(alerts()[name])]
        assert fired == [], "nothing of the kind has happened"
        assert scraped.ask(alerts()["HubDeadLetters"]), "this has"


def _has_data(scraped: Scraped, expression: str) -> bool:
    filled = expression.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*")
    assert "$" not in filled
    found = scraped.ask(filled)
    # Who was too slow may have been cut before the first scrape: then there is no quantile.
    return bool(found) and (
        "outbox_wait" in filled or any(not math.isnan(float(each["value"][1])) for each in found)
    )


def _halves() -> dict[str, tuple[str, float]]:
    """What an alert measures, and its bound."""
    found = {}
    for name, expression in alerts().items():
        measured, _, bound = re.split(r" ([<>]) (?=[\d.]+$)", expression)
        found[name] = measured, float(bound)
    return found
