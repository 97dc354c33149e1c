"""Many HTTP nodes that poll a slow service: does one courier keep their intervals?"""

import os
import time
from collections.abc import Iterator

import psutil

from bench.figures import Figure, percentile
from tests.http_node.slow_service import SlowService
from tests.processes.lab import Lab
from tests.stack import Stack

NODES = int(os.environ.get("BENCH_NODES", "5000"))
INTERVAL = 30
ANSWER = 1.0
_POLLS = 3
"""Of each node, so that two intervals are seen."""
_PATIENCE = 400.0


def polling(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """5,000 nodes poll every 30 s a service that takes 1 s to answer; the intervals between polls as the service sees them."""
    with SlowService(ANSWER) as service:
        ids = lab.ask("polling", service.url, str(NODES), str(INTERVAL))
        give_up = time.monotonic() + _PATIENCE
        before = None
        while sum(len(times) >= _POLLS for times in list(service.polls.values())) < NODES:
            assert time.monotonic() < give_up, f"{len(service.polls)} of {NODES} nodes were polled"
            if before is None and len(service.polls) == NODES:  # all submits are over
                before = (time.monotonic(), _cpu(stack))
            time.sleep(0.2)
        assert before is not None
        busy = (_cpu(stack) - before[1]) / (time.monotonic() - before[0]) * 100
        intervals = service.intervals()
        service.finish()
        while lab.ask("states", str(ids[0]), str(ids[-1])) != {"SUCCESS": NODES}:
            assert time.monotonic() < give_up, "not all ended"
            time.sleep(0.5)
    yield Figure(
        f"polling, {NODES} nodes every {INTERVAL} s, interval p1",
        percentile(intervals, 0.01),
        "s",
        least=INTERVAL * 0.9,
    )
    yield Figure("polling, interval p50", percentile(intervals, 0.5), "s")
    yield Figure("polling, interval p99", percentile(intervals, 0.99), "s", most=INTERVAL * 1.1)
    yield Figure("polling, requests under way at most", service.most_at_once, "requests")
    yield Figure("polling, courier", busy, "% of a core")


def _cpu(stack: Stack) -> float:
    (courier,) = stack.pids("courier")
    spent = psutil.Process(courier).cpu_times()
    return spent.user + spent.system
