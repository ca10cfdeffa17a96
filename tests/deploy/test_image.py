"""What can be checked of the image and of compose.yaml without Docker."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from ..cli.readme import ROOT
from ..support.certificates import Authority
from ..support.server import free_port, running_hub

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = (ROOT / "compose.yaml").read_text()
NGINX = (ROOT / "deploy" / "nginx.conf").read_text()


def health(port: int, **settings: str) -> int:
    """The exit status of the image's health check."""
    found = re.search(r"^HEALTHCHECK .*?(\[.*?\])$", DOCKERFILE, re.M | re.S)
    assert found is not None
    program, *arguments = json.loads(found[1].replace("\\\n", ""))
    assert program == "python"
    environment = {**os.environ, "HUB_PORT": str(port), **settings}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL, check=False
    )
    return done.returncode


def test_the_health_check_asks_whether_the_process_lives() -> None:
    with running_hub() as hub:
        assert health(hub.port) == 0
    assert health(free_port()) != 0


def test_it_asks_a_hub_that_speaks_tls_too(tmp_path: Path) -> None:
    own = str(Authority(tmp_path).issue("CN=hub", "DNS:hub.example"))
    with running_hub(tls_cert=own) as hub:
        assert health(hub.port, HUB_TLS_CERT=own) == 0
        assert health(hub.port) != 0


def test_the_image_runs_as_nobody_special_and_drains_when_stopped() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER hub$", last, re.M)
    assert re.search(r"^STOPSIGNAL SIGTERM$", last, re.M)
    assert 'ENTRYPOINT ["hub"]' in last


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.M))
    sources = {
        name.removeprefix("./")
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
        for name in line.split()
    }
    assert sources == kept
    assert all((ROOT / name).exists() for name in sources)


def test_nginx_knows_the_nodes_of_compose() -> None:
    nodes = set(re.findall(r"^  (hub\d): \*node$", COMPOSE, re.M))
    assert len(nodes) == 3
    assert set(re.findall(r"server (hub\d):8000", NGINX)) == nodes
    grace = re.search(r"stop_grace_period: (\d+)s", COMPOSE)
    assert grace is not None
    assert int(grace[1]) > 35  # HUB_DRAIN_NOTICE and HUB_DRAIN_SECONDS
