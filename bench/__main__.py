"""``python -m bench [NAME ...]``: run all benchmarks, or those named; exits with 1 when a figure misses its target."""

import json
import sys
from collections.abc import Iterator

from bench import chaos, checks, courier, engine, events, jobs, million, polling, scheduling, wire
from bench.figures import Figure
from tests.processes.lab import Lab
from tests.stack import Stack

BENCHMARKS = {
    "hop": engine.hop,
    "no_ops": engine.no_ops,
    "wave": engine.wave,
    "fan_in": engine.fan_in,
    "dense": engine.dense,
    "trigger": wire.trigger,
    "checks": checks.verdicts,
    "courier": courier.courier,
    "events": events.events,
    "generation": scheduling.generation,
    "idle": million.idle,
    "pages": million.pages,
    "polling": polling.polling,
    "rerun": jobs.rerun,
    "freezes": checks.freezes,
    "chaos": chaos.chaos,
}

BY_NAME_ONLY = {"chaos", "freezes"}
"""Too long for a look at the figures."""


def run(names: list[str]) -> Iterator[Figure]:
    """All figures, as they come."""
    env = {"OPSCENTER_WORKERS": str(engine.WORKERS), "OPSCENTER_OUTBOUND_ALLOW": "127.0.0.1"}
    with Stack(env) as stack, Lab(stack.env) as lab:
        for name in names:
            yield from BENCHMARKS[name](stack, lab)


def main(names: list[str]) -> int:
    """Print the figures; 1 when one misses its target."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.stderr.write(f"No such benchmark: {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.\n")
        return 2
    missed = False
    for figure in run(names or [name for name in BENCHMARKS if name not in BY_NAME_ONLY]):
        sys.stdout.write(json.dumps(figure.as_json()) + "\n")
        sys.stdout.flush()
        missed |= figure.met is False
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
