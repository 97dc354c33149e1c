"""Scheduling: how fast a day is generated, beside PostgreSQL itself."""

import os
from collections.abc import Iterator

from bench.figures import Figure
from tests.processes.lab import Lab
from tests.stack import Stack

TASKS = int(os.environ.get("BENCH_TASKS", "100000"))


def generation(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """A day of 100,000 tasks with two upstream tasks each; and the very rows inserted by PostgreSQL from unindexed copies.
    Then some of it fails, and it is asked why the rest waits."""
    made = lab.ask("generation", str(TASKS))
    yield Figure("generation, instances", made["instances"] / made["seconds"], "1/s")
    yield Figure("INSERT ... SELECT of the same rows, instances", made["instances"] / made["postgres"], "1/s")
    yield Figure("generation to INSERT ... SELECT", made["postgres"] / made["seconds"], "ratio", least=0.4)
    for stuck in (1, 100):
        told = lab.ask("holdups", str(stuck))
        yield Figure(f"why {told['waiting']:,} instances wait, {stuck} failed", told["seconds"], "s", most=0.3)
