"""The guardian of a worker child, in a process of its own that dies."""

import subprocess
import sys
import time

import psutil
import pytest

from tests.stack import ROOT

CHILD = """
import os, signal, subprocess, sys, time
import psutil
from opscenter.engine.guardian import Guardian

guardian = Guardian()
guardian.watch(0)
if sys.argv[1] == "killed":
    (process,) = psutil.Process().children()
    process.kill()
    while process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
runs = subprocess.Popen(["sleep", "60"], process_group=0)
guardian.watch(runs.pid)
print(runs.pid, *sorted(one.status() for one in psutil.Process().children()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("guardian", ["alive", "killed"])
def test_what_a_dead_child_was_running_is_killed(guardian: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, guardian], cwd=ROOT, capture_output=True, text=True, timeout=30)
    pid, *children = done.stdout.split()
    assert len(children) == 2, done.stderr  # what it ran, and one guardian; a dead one leaves no zombie
    assert psutil.STATUS_ZOMBIE not in children
    give_up = time.monotonic() + 5
    while psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < give_up, "it outlives the child that ran it"
        time.sleep(0.02)
