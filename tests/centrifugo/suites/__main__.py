"""Runs the SDKs' own test suites, unchanged, each in a network of its own, where their ports are free:

python -m tests.centrifugo.suites [python] [go] [javascript]

Python's are in its source distribution, Go's in its module; JavaScript's are in its repository alone, a checkout of
which ``CENTRIFUGE_JS`` names. What is left out is named, and why, in `LEFT_OUT`; what fails, and why, in `FAIL`.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .network import bring_up_loopback
from .serve import PORT

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BUILD = ROOT / "build" / "centrifugo"
PYTHON = "centrifuge-python==0.7.0"
GO = "github.com/centrifugal/centrifuge-go@v0.12.1"
JAVASCRIPT = (
    "centrifuge",
    "centrifuge.protobuf",
    "compaction",
    "utils",
    "recovery",
    "getstate",
    "map",
    "map.protobuf",
)
START_S, SUITE_S = 30.0, 400.0

LEFT_OUT = {
    "python": {},
    "go": {"Fossil|Delta": "they demand delta compression, which the hub does not speak"},
    "javascript": {
        "delta": "it demands delta compression, which the hub does not speak; so does a whole file, delta.test.ts",
        "streamless resubscribe": "a map without positions: those of the hub are numbered, and recover",
        "after TTL expires": "a key's own time to live; the hub's is of the namespace, and not told",
        "map_client_key": "keys that the server makes of the client's id",
        "map client presence": "presence as a map of its own",
        "agsFilter": "filters by tags",
    },
}
NO_FILES = "debounce, shared_poll: whole files left out, on publishing by debounce and on polls"
FAIL = {
    "go": {"TestPublishProtobuf": "it publishes bytes that are no JSON, and payloads of the hub are JSON"}
}


@dataclass(frozen=True)
class Suite:
    """A command, where it runs, and which lines of its output are its summary."""

    name: str
    command: Sequence[str]
    folder: str
    summary: str
    environment: dict[str, str] = field(default_factory=dict)


def python() -> Suite:
    """Its source distribution, unpacked."""
    folder = BUILD / "python"
    if not folder.exists():
        words = ["--quiet", "--no-deps", "--no-binary", "centrifuge-python", "-d", str(BUILD), PYTHON]
        subprocess.run([sys.executable, "-m", "pip", "download", *words], check=True)
        (packed,) = BUILD.glob("centrifuge_python-*.tar.gz")
        with tarfile.open(packed) as archive:
            archive.extractall(BUILD, filter="data")
        (BUILD / packed.name.removesuffix(".tar.gz")).rename(folder)
    words = [sys.executable, "-m", "unittest", "discover", "-s", "tests", "-t", "."]
    return Suite("python", words, str(folder), r"^(?:Ran \d+ tests.*|OK$|FAILED.*|(?:ERROR|FAIL): .*)")


def go() -> Suite:
    """The module's tests, compiled."""
    words = ["go", "mod", "download", "-json", GO]
    found = subprocess.run(words, cwd=BUILD, check=True, capture_output=True)
    binary = BUILD / "go.test"
    subprocess.run(
        ["go", "test", "-c", "-o", str(binary), "."], cwd=json.loads(found.stdout)["Dir"], check=True
    )
    skip = "|".join(LEFT_OUT["go"])
    words = [str(binary), "-test.v", "-test.skip", skip, "-test.timeout", f"{SUITE_S:.0f}s"]
    return Suite("go", words, str(BUILD), r"^--- (?:FAIL|SKIP).*")


def javascript() -> Suite:
    """The files of the checkout that are about what the hub has, bundled."""
    checkout = os.environ.get("CENTRIFUGE_JS")
    if not checkout:
        raise SystemExit("CENTRIFUGE_JS names no checkout of github.com/centrifugal/centrifuge-js")
    modules, out = HERE / "javascript" / "node_modules", BUILD / "javascript"
    shutil.rmtree(out, ignore_errors=True)
    environment = {"NODE_PATH": str(modules)}
    words = ["--bundle", "--platform=node", "--external:bufferutil", "--external:utf-8-validate"]
    words += [f"--outdir={out}", "--log-level=warning"]
    words += [f"{checkout}/src/{name}.test.ts" for name in JAVASCRIPT]
    bundler = str(modules / ".bin" / "esbuild")
    subprocess.run([bundler, *words], check=True, env={**os.environ, **environment})
    config = json.dumps({"rootDir": str(out), "testEnvironment": "node"})
    words = ["node", str(modules / ".bin" / "jest"), "--config", config, "--verbose", "--forceExit"]
    words += ["--runInBand", "-t", f"^(?!.*({'|'.join(LEFT_OUT['javascript'])})).*$"]
    return Suite("javascript", words, str(out), r"^Tests:.*|^\s+✕.*", environment)


SUITES = {"python": python, "go": go, "javascript": javascript}


def inside(suite: Suite) -> bool:
    """In the network of its own: the hub, the suite, its summary. Whether only what is known to fails."""
    bring_up_loopback()
    log = BUILD / f"{suite.name}.log"
    with hub(suite.name), log.open("w") as output:
        ended = subprocess.run(
            suite.command,
            cwd=suite.folder,
            env={**os.environ, **suite.environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=SUITE_S + 30,
            check=False,
        )
    text = log.read_text(errors="replace")
    print(summary(suite, text))
    if suite.name == "go":
        failed = set(re.findall(r"^--- FAIL: (\S+)", text, re.MULTILINE))
        return failed == set(FAIL["go"])
    return ended.returncode == 0


def summary(suite: Suite, output: str) -> str:
    """What a suite says at its end, and what it was spared."""
    lines = [match.group().strip() for match in re.finditer(suite.summary, output, re.MULTILINE)]
    if suite.name == "go":
        passed, failed = (len(re.findall(f"^--- {how}", output, re.MULTILINE)) for how in ("PASS", "FAIL"))
        lines.append(f"{passed} of {passed + failed} passed")
    lines += [f"known to fail: {what}: {why}" for what, why in FAIL.get(suite.name, {}).items()]
    lines += [f"left out: {what}: {why}" for what, why in LEFT_OUT[suite.name].items()]
    if suite.name == "javascript":
        lines.append(NO_FILES)
    return "\n".join([suite.name, *(f"  {line}" for line in lines), f"  output: {BUILD / suite.name}.log"])


@contextlib.contextmanager
def hub(suite: str) -> Iterator[None]:
    """The suite's server, until the block ends."""
    path = BUILD / f"hub-{suite}.log"
    with path.open("w") as log:
        words = [sys.executable, "-m", "tests.centrifugo.suites.serve", suite]
        process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)
        try:
            if not is_live(process):
                raise SystemExit(f"the hub did not start:\n{path.read_text()[-2000:]}")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def is_live(process: "subprocess.Popen[bytes]") -> bool:
    """Wait until the hub answers; False where it does not."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", PORT, timeout=1.0)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            time.sleep(0.1)
        finally:
            connection.close()
    return False


def alone(name: str) -> bool:
    """Fetch and build while there is a network, then run without."""
    suite = json.dumps(asdict(SUITES[name]()))
    words = [sys.executable, "-m", "tests.centrifugo.suites", "--inside", suite]
    return (
        subprocess.run(["unshare", "--net", "--map-root-user", *words], cwd=ROOT, check=False).returncode == 0
    )


def main() -> int:
    """The command; 1 where a suite is red."""
    parser = argparse.ArgumentParser(prog="python -m tests.centrifugo.suites")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"some of {', '.join(SUITES)}")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        return 0 if inside(Suite(**json.loads(args.inside))) else 1
    if unknown := set(args.suites) - set(SUITES):
        parser.error(f"there is no suite {', '.join(unknown)}")
    BUILD.mkdir(parents=True, exist_ok=True)
    red = [name for name in args.suites or SUITES if not alone(name)]
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
