"""The engine: time between two nodes, nodes a second, waves, fan-in."""

import itertools
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.figures import Figure, percentile
from tests.processes.lab import Lab
from tests.stack import Stack

WORKERS = 4
HOPS = 200
NO_OPS = 600
_PATIENCE = 300.0


def hop(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Stamp written by the second shell minus stamp written by the first, on an idle system."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "stamps"
        file.touch()
        _wait(lab, lab.ask("chain", str(file), "20"))  # warm
        file.write_text("")
        _wait(lab, lab.ask("chain", str(file), str(HOPS + 1)))
        stamps = [float(line) for line in file.read_text().split()]
    hops = [(after - before) * 1000 for before, after in itertools.pairwise(stamps)]
    assert len(hops) == HOPS
    yield Figure("hop p50", percentile(hops, 0.5), "ms", most=10)
    yield Figure("hop p99", percentile(hops, 0.99), "ms", most=50)


def no_ops(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Shell no-ops a second, beside a bare subprocess loop with as many processes in the same run."""
    bare = _bare_loop()
    ids = lab.ask("no_ops", str(NO_OPS))
    _wait(lab, ids)
    made = lab.ask("transitions", str(ids[0]), str(ids[-1]))
    ours = NO_OPS / made["seconds"]
    yield Figure("shell no-ops", ours, "1/s")
    yield Figure("bare subprocess loop", bare, "1/s")
    yield Figure("shell no-ops to bare loop", ours / bare, "ratio", least=0.5)


def _bare_loop() -> float:
    """Shells a second of ``WORKERS`` processes that do nothing but start one after another."""
    loop = (
        "import subprocess, sys\n"
        f"for _ in range({NO_OPS // WORKERS}):\n"
        "    subprocess.run(['/bin/bash', '-c', 'true'], stdout=subprocess.PIPE, check=True)\n"
    )
    began = time.monotonic()
    processes = [subprocess.Popen(["/usr/bin/env", "python3", "-c", loop]) for _ in range(WORKERS)]
    assert all(process.wait() == 0 for process in processes)
    return NO_OPS / (time.monotonic() - began)


def wave(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """100 layers of 100 virtual nodes with two upstreams each, run by the scheduler; transitions written a second."""
    ids = lab.ask("layers", "100", "100")
    _wait(lab, ids)
    made = lab.ask("transitions", str(ids[0]), str(ids[-1]))
    yield Figure("virtual wave, transitions", made["count"] / made["seconds"], "1/s")
    yield Figure("virtual wave, instances", len(ids) / made["seconds"], "1/s", least=10_000)


def fan_in(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """One instance that waits for 1,000, ended one by one by 8 at once."""
    yield from _ended_by_eight(stack, lab, "fan-in of 1,000", 1000, 1, 1)


def dense(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Two layers of 1,000, each of the second waiting for each of the first; ended by 8 at once."""
    yield from _ended_by_eight(stack, lab, "two layers of 1,000 x 1,000", 1000, 1000, 25)


def _ended_by_eight(stack: Stack, lab: Lab, name: str, above: int, below: int, batch: int) -> Iterator[Figure]:
    ids = lab.ask("waiting", str(above), str(below))
    labs = [Lab(stack.env) for _ in range(8)]
    try:
        with ThreadPoolExecutor(8) as pool:
            for one in labs:
                one.ask("states", "1", "1")  # connected
            began = time.monotonic()
            ends = [
                pool.submit(one.ask, "finish", str(ids[0]), str(ids[above - 1]), str(n), "8", str(batch))
                for n, one in enumerate(labs)
            ]
            for end in ends:
                end.result()
            seconds = time.monotonic() - began
    finally:
        for one in labs:
            one.close()
    assert lab.ask("wrong_counts", str(ids[0]), str(ids[-1])) == 0
    assert lab.ask("states", str(ids[above]), str(ids[-1])) == {"WAIT_RESOURCE": below}
    yield Figure(f"{name}, ended by 8 at once, counts right", seconds, "s")


def _wait(lab: Lab, ids: list[int]) -> None:
    """Until all of these have succeeded."""
    _until(lambda: lab.ask("states", str(ids[0]), str(ids[-1])) == {"SUCCESS": len(ids)})


def _until(done: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not done():
        assert time.monotonic() < give_up, "not done in time"
        time.sleep(0.5)
