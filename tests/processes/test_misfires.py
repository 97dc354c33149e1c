"""A scheduler that was killed comes back hours later: each task's misfire policy says what of the missed runs."""

import os
import signal

import pytest

from tests.processes.lab import Lab
from tests.processes.test_two_schedulers import wait_for
from tests.stack import Stack

pytestmark = pytest.mark.processes
EXPECTED = {
    "All": (["NORMAL", "NORMAL", "NORMAL"], 3),
    "Latest": (["MISSED", "MISSED", "NORMAL"], 1),
    "None": (["MISSED", "MISSED", "MISSED"], 0),
}
"""By policy: how the instances of three hours were run, and how many attempts that took."""


def test_after_hours_without_a_scheduler() -> None:
    with Stack(demo=False) as stack, Lab(stack.env) as lab:
        wait_for(lambda: list(lab.ask("schedulers").values()) == [True], 30)
        stack.up.suspend()  # so that it does not start the scheduler again
        for pid in stack.pids("scheduler"):
            os.kill(pid, signal.SIGKILL)
        made = {policy: lab.ask("hours_ahead", policy) for policy in EXPECTED}
        lab.ask("let_pass", "4")
        stack.up.resume()
        spans = {policy: (str(ids[0]), str(ids[-1])) for policy, ids in made.items()}
        wait_for(lambda: all(lab.ask("states", *span) == {"SUCCESS": 3} for span in spans.values()), 60)
        found = {
            policy: (lab.ask("kinds", *span), lab.ask("attempts", *span).get("success", 0))
            for policy, span in spans.items()
        }
        assert found == EXPECTED
