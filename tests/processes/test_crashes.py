"""Kills: whatever dies, every ready instance runs within a minute, and no two attempts of one instance overlap."""

import itertools
import os
import signal
import time
from collections import defaultdict
from pathlib import Path

import psutil
import pytest

from tests.processes.lab import Lab
from tests.stack import Stack

pytestmark = pytest.mark.processes
WITHIN = 60.0
BEATS = 30  # of 50 ms: a run takes about two seconds


@pytest.fixture(scope="module")
def stack():
    with Stack({"OPSCENTER_WORKERS": "3"}) as started:
        yield started


@pytest.fixture(scope="module")
def lab(stack):
    with Lab(stack.env) as opened:
        yield opened


@pytest.fixture
def work(stack, lab, tmp_path):
    tmp_path.chmod(0o777)
    return Work(stack, lab, tmp_path / "beats")


class Work:
    """Instances that say outside what they do, second by second."""

    def __init__(self, stack: Stack, lab: Lab, file: Path) -> None:
        self.stack, self.lab, self.file = stack, lab.ask, file
        self.ids: list[int] = []

    def start(self, count: int, beats: int = BEATS, *, says: bool = False) -> None:
        self.ids = self.lab("make", str(self.file), str(count), str(beats), "says" if says else "")

    @property
    def span(self) -> tuple[str, str]:
        return str(self.ids[0]), str(self.ids[-1])

    def wait_running(self) -> list[int]:
        give_up = time.monotonic() + 20
        while not (found := self.lab("running", *self.span)):
            assert time.monotonic() < give_up, "nothing runs"
        return found

    def wait_done(self) -> None:
        """All succeed within the limit, counted from now."""
        give_up = time.monotonic() + WITHIN
        while (states := self.lab("states", *self.span)) != {"SUCCESS": len(self.ids)}:
            assert time.monotonic() < give_up, f"{states}\n{self.stack.log()[-3000:]}"
            time.sleep(0.3)

    def assert_no_overlap(self) -> None:
        """The beats of one run of an instance lie wholly before those of the next, and each has had a whole run."""
        beats = self.assert_runs_apart()
        assert len(beats) == len(self.ids)
        assert all(any(len(times) == BEATS for times in runs.values()) for runs in beats.values())

    def assert_runs_apart(self) -> dict[str, dict[str, list[float]]]:
        """The beats of one run of an instance lie wholly before those of the next; all beats, by instance and run."""
        beats: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for line in self.file.read_text().splitlines():
            instance, process, at = line.split()
            beats[instance][process].append(float(at))
        for runs in beats.values():
            spans = sorted((min(times), max(times)) for times in runs.values())
            assert all(before[1] < after[0] for before, after in itertools.pairwise(spans)), spans
        return beats


def children_of_cluster(stack: Stack) -> list[psutil.Process]:
    """The forked processes below the worker's sentinel."""
    (worker,) = stack.pids("worker")
    (sentinel,) = sentinels(worker)
    return sentinel.children()


def sentinels(worker: int) -> list[psutil.Process]:
    """The process between the worker and the children of its cluster."""
    return [child for child in psutil.Process(worker).children() if child.children()]


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_a_worker_child_is_killed_while_it_runs_a_shell(work):
    work.start(6)
    victims = work.wait_running()
    kill(victims[0])
    work.wait_done()
    work.assert_no_overlap()
    assert work.lab("attempts", *work.span) == {"success": 6, "lost": 1}


def test_idle_worker_children_are_killed(stack, work):
    """The killed ones may take the lock of the queue with them (django-q2#23): the supervisor must get over it."""
    time.sleep(2)
    for _ in range(3):
        for child in children_of_cluster(stack):
            kill(child.pid)
        time.sleep(0.2)
    work.start(4)
    work.wait_done()
    work.assert_no_overlap()


def test_the_supervisor_is_killed_while_its_children_run(stack, work):
    work.start(4)
    work.wait_running()
    kill(*stack.pids("worker"))
    work.wait_done()
    work.assert_no_overlap()


def test_the_scheduler_is_killed(stack, work):
    kill(*stack.pids("scheduler"))
    work.start(3)
    work.wait_done()
    work.assert_no_overlap()


def test_postgresql_is_killed_while_shells_run(stack, work):
    work.start(6)
    work.wait_running()
    kill(*stack.pids("postgres"))
    work.wait_done()
    work.assert_no_overlap()
    assert work.lab("attempts", *work.span)["success"] == 6


def test_the_cluster_dies_while_postgresql_is_away(stack, work):
    """The worker has a new one when the database is back; it does not end itself."""
    (worker,) = stack.pids("worker")
    (sentinel,) = sentinels(worker)
    stack.up.suspend()  # so that it does not start the database again
    try:
        kill(*stack.pids("postgres"), sentinel.pid)
        time.sleep(3)  # it notices within one
    finally:
        stack.up.resume()
    work.start(4)
    work.wait_done()
    assert stack.pids("worker") == [worker]
