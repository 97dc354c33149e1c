"""Chaos for long: thousands of instances under hundreds of kills, with a seed that is printed so that a run can be repeated."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure
from tests.processes.chaos import Chaos
from tests.processes.lab import Lab
from tests.stack import Stack

INSTANCES = int(os.environ.get("CHAOS_INSTANCES", "20000"))
KILLS = int(os.environ.get("CHAOS_KILLS", "1000"))
SEED = int(os.environ.get("CHAOS_SEED", "20261121"))
_WITHIN = 3600.0


def chaos(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Everything is killed at random while the graph runs; asserts that all came right in the end."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        file = Path(folder) / "stamps"
        file.touch()
        file.chmod(0o666)
        trial = Chaos(stack, lab, file, SEED)
        began = time.monotonic()
        trial.start(INSTANCES)
        trial.kill(KILLS, (0.2, 2.0))
        trial.wait_done(_WITHIN)
        trial.check()
        yield Figure(f"chaos, seed {SEED}, kills survived", len(trial.killed), "kills", least=KILLS * 0.8)
        yield Figure("chaos, rerun by hand after three lost workers", trial.given_up, "reruns")
        yield Figure(f"chaos, {INSTANCES} instances", time.monotonic() - began, "s")
