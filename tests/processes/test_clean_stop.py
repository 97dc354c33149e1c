"""A worker that is asked to stop: what ends within its grace time ends there, the rest starts again on another worker."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.processes.lab import Lab
from tests.processes.test_crashes import Work
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def stack():
    with Stack({"OPSCENTER_WORKERS": "2"}, demo=False) as started:
        yield started


@pytest.fixture(scope="module")
def lab(stack):
    with Lab(stack.env) as opened:
        yield opened


@pytest.fixture
def work(stack, lab, tmp_path):
    tmp_path.chmod(0o777)
    return Work(stack, lab, tmp_path / "beats")


@pytest.fixture
def second(stack, lab):
    """Starts a second worker of two children, and waits until it is there."""
    workers = []

    def start(grace):
        before = lab.ask("live_workers")
        workers.append(
            subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "worker", "--processes", "2", "--grace", str(grace)],
                env=stack.env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
        give_up = time.monotonic() + 30
        while lab.ask("live_workers") == before:
            assert time.monotonic() < give_up
            time.sleep(0.1)
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        worker.wait(5)


def wait_for_both(work, second):
    """How many of the instances the second worker runs, once all four children are busy."""
    give_up = time.monotonic() + 20
    while len(running := work.lab("running", *work.span)) < 4:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    mine = {child.pid for child in psutil.Process(second.pid).children(recursive=True)}
    return len(mine & set(running))


def test_what_runs_longer_than_the_grace_time_starts_again_on_another_worker(work, second):
    worker = second(0)
    work.start(4)
    assert wait_for_both(work, worker) == 2
    asked = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(9) == 0
    assert time.monotonic() - asked < 7, "a grace time of 0 adds nothing to what stopping takes"
    assert work.lab("attempts", *work.span)["handed"] == 2
    work.wait_done()
    work.assert_no_overlap()
    assert work.lab("attempts", *work.span) == {"success": 4, "handed": 2}
    assert work.lab("reruns_left", *work.span) == {"1": 4}


def test_what_ends_within_the_grace_time_ends_where_it_is(work, second):
    worker = second(30)
    work.start(4)
    assert wait_for_both(work, worker) == 2
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    work.wait_done()
    assert work.lab("attempts", *work.span) == {"success": 4}
