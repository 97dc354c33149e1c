"""Jobs: operations on thousands of objects that a worker does in the background."""

import time
from collections.abc import Iterator

from bench.figures import Figure
from tests.processes.lab import Lab
from tests.stack import Stack

_PATIENCE = 120.0


def rerun(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """10,000 instances with 19,800 edges rerun: from confirming to the last row changed, while the first ones run again."""
    operation = str(lab.ask("rerun_all", "100", "100"))
    give_up = time.monotonic() + _PATIENCE
    while (found := lab.ask("job", operation))["status"] == "running":
        assert time.monotonic() < give_up, found
        time.sleep(0.2)
    assert (found["status"], found["done"]) == ("applied", 10_000)
    yield Figure("rerun of 10,000 instances, from confirming to the last row", found["seconds"], "s", most=10)
