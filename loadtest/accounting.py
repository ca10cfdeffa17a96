"""What a server costs, as the operating system counts it: CPU, memory and Redis's own statistics."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


class Gone(Exception):
    """The measured process has ended."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, in seconds, to the nanosecond.

    The clock of another process, as clock_getcpuclockid(3) makes its id; /proc/<pid>/stat counts the
    same time but only in ticks of 10 ms.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError as error:
        raise Gone(f"process {pid} has ended") from error


def pss_bytes(pid: int, field: str = "Pss") -> int:
    """Proportional set size: private memory plus a fair share of what is shared with others. ``Pss_Anon``
    leaves out files: their share changes whenever some other process maps them."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Gone(f"process {pid} has ended") from error
    raise Gone(f"process {pid} has no memory left to count")


def process_tree(root: int) -> list[int]:
    """``root`` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended between the listing and the look: nobody's child any more
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry))
    tree, todo = [], [root]
    while todo:
        pid = todo.pop()
        tree.append(pid)
        todo.extend(children.get(pid, ()))
    return tree


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@dataclass(frozen=True, slots=True)
class Usage:
    """A reading: CPU in seconds since the process began, memory in bytes (PSS; ``anon``: what of it belongs to
    no file), when (monotonic)."""

    cpu: float
    pss: int
    anon: int
    at: float

    def since(self, earlier: Usage) -> Usage:
        return Usage(
            self.cpu - earlier.cpu, self.pss - earlier.pss, self.anon - earlier.anon, self.at - earlier.at
        )


def read_usage(root: int, *, memory: bool = False) -> Usage:
    """The tree under ``root``; memory only on demand, since reading it walks every page."""
    tree = process_tree(root)
    pss, anon = (sum(pss_bytes(pid, field) for pid in tree) if memory else 0 for field in ("Pss", "Pss_Anon"))
    return Usage(sum(cpu_seconds(pid) for pid in tree), pss, anon, time.perf_counter())


def parse_info(text: str) -> dict[str, str]:
    """The answer of Redis to INFO as a flat mapping."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and line[0] != "#")
    return {name: value.strip() for name, value in pairs}


def command_calls(info: dict[str, str], field: str = "calls") -> dict[str, int]:
    """Calls of each command (or its ``usec`` in all), from INFO commandstats: ``cmdstat_xadd:calls=7,usec=…``."""
    found = {}
    for name, value in info.items():
        if name.startswith("cmdstat_"):
            fields = dict(pair.split("=", 1) for pair in value.split(","))
            found[name.removeprefix("cmdstat_")] = int(fields[field])
    return found
