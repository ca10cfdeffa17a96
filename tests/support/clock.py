"""A wall clock of a process's own, which a test sets ahead; what measures how long something takes goes on."""

import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class OwnClock:
    """`environment` is for the process that is to have it; it works in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / "clock.so"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE], check=True)
        self._file = folder / "clock"
        self._file.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self._file)}

    def step(self, seconds: float) -> None:
        """It is so far ahead of the machine's from now on."""
        with self._file.open("r+b") as clock:  # in place: the process has it mapped
            clock.write(struct.pack("=q", int(seconds * 1000)))
