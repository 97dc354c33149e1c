"""Two schedulers: one leads, the other takes over within seconds when the first is killed."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.processes.lab import Lab
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.processes
WITHIN = 5.0


@pytest.fixture
def stack():
    with Stack(demo=False) as started:
        yield started


@pytest.fixture
def lab(stack):
    with Lab(stack.env) as opened:
        yield opened


@pytest.fixture
def second(stack):
    """``manage.py scheduler`` beside the stack's own, with its heartbeat in the database."""
    started = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "scheduler"],
        env=stack.env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield started
    started.kill()
    started.wait(5)


def leaders(lab):
    """Process id of each scheduler that runs, and whether it leads."""
    return {int(pid): leads for pid, leads in lab.ask("schedulers").items()}


def wait_for(check, seconds):
    give_up = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < give_up, "not so in time"
        time.sleep(0.05)


def test_the_second_scheduler_takes_over_within_seconds_of_a_kill(stack, lab, second):
    (first,) = stack.pids("scheduler")
    wait_for(lambda: leaders(lab) == {first: True, second.pid: False}, 30)
    stack.up.suspend()  # so that it does not start the first again: whoever works now is the second
    try:
        os.kill(first, signal.SIGKILL)
        killed = time.monotonic()
        (made,) = lab.ask("layers", "1", "1")
        wait_for(lambda: lab.ask("states", str(made), str(made)) == {"SUCCESS": 1}, WITHIN)
        assert time.monotonic() - killed < WITHIN
    finally:
        stack.up.resume()
    wait_for(lambda: len(stack.pids("scheduler")) == 1, 10)
    (again,) = stack.pids("scheduler")
    # one that comes back waits, it does not take away; a heartbeat tells so within 3 s
    wait_for(lambda: (leaders(lab).get(again), leaders(lab)[second.pid]) == (False, True), 15)
