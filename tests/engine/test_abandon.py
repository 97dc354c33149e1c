"""A child whose supervisor hangs gives its run up before the lease is over: another worker may start the instance then."""

import os
import signal
import subprocess

import pytest

from opscenter.engine import children
from opscenter.engine.children import LEASE, Roster
from opscenter.engine.stopping import StopSwitch

SECONDS = LEASE.total_seconds()


@pytest.fixture
def at(monkeypatch):
    """Set the clock of the host."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(children, "clock", lambda: seconds)

    return set_to


@pytest.mark.parametrize(
    ("started", "renewed", "now", "over"),
    [
        (1000, 0, 1000, False),
        (1000, 0, 1000 + SECONDS - 5, False),
        (1000, 0, 1000 + SECONDS - 3, True),
        (1000, 1020, 1000 + SECONDS, False),
        (1000, 1020, 1020 + SECONDS - 3, True),
        (1000, 900, 1000 + SECONDS - 5, False),
    ],
)
def test_a_lease_runs_from_the_start_or_the_last_renewal(at, started, renewed, now, over):
    roster = Roster(1)
    roster.renewed(renewed)
    at(now)
    assert roster.lease_is_over(started) is over


def test_a_run_whose_lease_is_over_is_killed_and_counts_as_abandoned():
    process = subprocess.Popen(["/bin/sleep", "60"], process_group=0)
    over = False
    switch = StopSwitch(lambda: False, lambda: over)
    switch.guard(process.pid)
    switch.look()
    assert process.poll() is None and not switch.abandoned
    over = True
    switch.look()
    assert process.wait(5) == -signal.SIGKILL
    assert switch.abandoned and switch.pulled


def test_a_renewal_is_seen_by_all_processes_of_the_worker():
    roster = Roster(1)
    assert roster.lease_is_over(0.0)
    far = children.clock() + 1000
    if (pid := os.fork()) == 0:
        roster.renewed(far)
        os._exit(0)
    os.waitpid(pid, 0)
    assert not roster.lease_is_over(0.0)
