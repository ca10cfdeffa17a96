"""Idle clients in processes of their own: one process may hold no more than its descriptors allow."""

from __future__ import annotations

import multiprocessing
import os
import time
from typing import TYPE_CHECKING, Self

from loadtest import machine
from loadtest.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection as Pipe
    from types import TracebackType

    from loadtest.targets.base import Target

_CONNECT_DEADLINE = 600.0


class CrowdFailed(Exception):
    """A load process could not bring its clients in."""


class Crowd:
    """``clients`` connections spread over ``processes``; they answer heartbeats and nothing else."""

    def __init__(
        self, target: Target, clients: int, channels: int, processes: int, *, first_slot: int
    ) -> None:
        context = multiprocessing.get_context("fork")
        self._clients = clients
        self._pipes: list[Pipe] = []
        self._children = []
        shares = [range(first_slot + index, first_slot + clients, processes) for index in range(processes)]
        for index, share in enumerate(shares):
            mine, theirs = context.Pipe()
            child = context.Process(target=_child, args=(target, share, channels, theirs, index), daemon=True)
            child.start()
            theirs.close()
            self._pipes.append(mine)
            self._children.append(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.terminate()
            child.join(10)

    def connect(self, progress: Callable[[int], None], meanwhile: Callable[[], object]) -> None:
        """Until all are in; ``meanwhile`` is called over and over, for those who are in already."""
        inside = [0] * len(self._pipes)
        ends = time.monotonic() + _CONNECT_DEADLINE
        while sum(inside) < self._clients:
            for index, pipe in enumerate(self._pipes):
                while pipe.poll():
                    inside[index] = self._said(pipe)
            meanwhile()
            progress(sum(inside))
            if time.monotonic() > ends:
                raise CrowdFailed(f"only {sum(inside)} of {self._clients} clients are in")

    def thrown_out(self) -> int:
        """How many connections the server ended since they were in."""
        lost = 0
        for pipe in self._pipes:
            pipe.send("lost?")
            while True:
                answer = pipe.recv()
                if isinstance(answer, tuple):
                    lost += answer[0]
                    break
        return lost

    @staticmethod
    def _said(pipe: Pipe) -> int:
        try:
            message = pipe.recv()
        except EOFError as error:
            raise CrowdFailed("a load process ended; its message is above") from error
        if isinstance(message, str):
            raise CrowdFailed(message)
        return int(message)


def _child(target: Target, slots: range, channels: int, pipe: Pipe, index: int) -> None:
    try:
        machine.need_descriptors(len(slots))
        # Distinct source addresses for each process keep the processes off each other's local ports.
        fleet = Fleet(target, sources=[f"127.0.{2 + index}.{last}" for last in range(1, 5)])
        own = tuple(range(1, channels + 1))
        reported = 0

        def report(live: int) -> None:
            nonlocal reported
            if live - reported >= 100 or live == len(slots):
                reported = live
                pipe.send(live)

        fleet.connect_all(
            [(slot, own) for slot in slots], in_flight=20, deadline=_CONNECT_DEADLINE, progress=report
        )
        fleet.on_closed = lambda connection, why: None  # counted in fleet.closed, asked for at the end
        while not pipe.poll():
            fleet.poll(0.1)
        pipe.recv()
        pipe.send((len(fleet.closed),))
        while os.getppid() != 1:
            fleet.poll(1.0)
    except Exception as error:  # told to the parent, which ends the run with it
        pipe.send(f"{type(error).__name__}: {error}")
