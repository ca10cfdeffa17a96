"""Two workers of one server, told apart by a lock that ends with its process."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection

from hub.runtime.sole_worker import SoleWorker


def worker(says: Connection) -> None:
    with SoleWorker("hub-test") as mine:
        says.send(mine.alone)
        signal.pause()


def test_the_second_worker_of_a_server_is_told_and_a_killed_one_leaves_nothing() -> None:
    context = multiprocessing.get_context("spawn")
    started: list[multiprocessing.process.BaseProcess] = []
    found = []
    for dead in (None, None, 0):
        if dead is not None:
            started[dead].kill()
            started[dead].join()
        mine, its = context.Pipe()
        process = context.Process(target=worker, args=(its,), daemon=True)
        process.start()
        started.append(process)
        assert mine.poll(60)
        found.append(mine.recv())
    for each in started:
        each.kill()
        each.join()
    assert found == [True, False, True]


def test_two_programs_of_one_shell_are_no_workers() -> None:
    assert multiprocessing.parent_process() is None
    with SoleWorker("hub-test") as first, SoleWorker("hub-test") as second:
        assert (first.alone, second.alone) == (True, True)


def test_who_leaves_makes_room() -> None:
    parent = os.getpid()
    with SoleWorker("hub-test", parent) as first, SoleWorker("hub-test", parent) as second:
        assert (first.alone, second.alone) == (True, False)
    with SoleWorker("hub-test", parent) as third:
        assert third.alone
