"""Chaos: a graph of instances runs while the processes of the product are killed at random; then everything must be right."""

import os
import random
import signal
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from tests.processes.lab import Lab
from tests.stack import Stack

STUCK_AFTER = 120.0
"""Seconds: a lease, the pauses before a scheduler and a worker are started again, and the start of either on a busy machine
are over long before."""
VICTIM_WITHIN = 12.0
"""Seconds; what dies again and again is started again after up to ten."""
Victims = Callable[[Stack], list[int]]
PROGRAMS = ("bash", "python")
"""How the names of nodes' programs begin; the product's own processes have names of their own."""


def _of(kind: str) -> Victims:
    return lambda stack: stack.pids(kind)


def _below_worker(*, busy: bool) -> Victims:
    """Children of the worker's cluster that run a program, or run none: idle ones, the sentinel, pusher, monitor."""

    def find(stack: Stack) -> list[int]:
        found = []
        for worker in stack.pids("worker"):
            for process in psutil.Process(worker).children(recursive=True):
                is_busy = any(child.name().startswith(PROGRAMS) for child in process.children())
                if not process.name().startswith((*PROGRAMS, "sleep")) and is_busy is busy:
                    found.append(process.pid)
        return found

    return find


KILLS: dict[str, Victims] = {
    "web": _of("web"),
    "scheduler": _of("scheduler"),
    "courier": _of("courier"),
    "worker": _of("worker"),
    "busy child": _below_worker(busy=True),
    "idle child": _below_worker(busy=False),
    "postgres": _of("postgres"),
}


@dataclass(frozen=True)
class Stamp:
    """One run of an instance, as it told outside: under which attempt, from when to when (None: it was killed)."""

    attempt: int
    start: float
    end: float | None


class Chaos:
    """One graph, its kills, and what is asked of it in the end.

    Args:
        file: where runs append their stamps (those of SQL nodes: rows of a database); whoever runs the nodes may write there.
        seed: of the order and the moments of the kills.

    Attributes:
        killed: the kinds of what was killed.
        given_up: how often an instance lost so many workers that it had to be rerun by hand.
    """

    def __init__(self, stack: Stack, lab: Lab, file: Path, seed: int) -> None:
        self._stack, self._ask, self._file = stack, lab.ask, file
        self._random = random.Random(seed)
        self._span = ("0", "0")
        self._count = 0
        self._database = ""
        self.killed: list[str] = []
        self.given_up = 0

    def start(self, count: int) -> None:
        """Make the graph: layers of shell, python, SQL and virtual instances, each waiting for two of the layer above."""
        made = self._ask("mixed", str(self._file), str(count))
        ids, self._database = made["ids"], made["database"]
        self._span, self._count = (str(ids[0]), str(ids[-1])), len(ids)

    def kill(self, times: int, between: tuple[float, float]) -> None:
        """Kill that many processes, each kind equally often, with random pauses."""
        kinds = [list(KILLS)[n % len(KILLS)] for n in range(times)]
        self._random.shuffle(kinds)
        for kind in kinds:
            time.sleep(self._random.uniform(*between))
            if self._kill_one(kind):
                self.killed.append(kind)

    def _kill_one(self, kind: str) -> bool:
        """A process of this kind, once there is one; False if none came in time (no child is busy while leases run out)."""
        give_up = time.monotonic() + VICTIM_WITHIN
        while time.monotonic() < give_up:
            try:
                victims = sorted(KILLS[kind](self._stack))
                if victims:
                    os.kill(self._random.choice(victims), signal.SIGKILL)
                    return True
            except (psutil.NoSuchProcess, ProcessLookupError):
                pass
            time.sleep(0.05)
        return False

    def wait_done(self, within: float) -> None:
        """Every instance succeeds: none is stuck, none in another state.

        How long all of them take tells of the machine more than of the product, so the limit is wide; but one after the other
        succeeds, without a long pause. One that lost three workers is not started again by itself, rightly: an operator
        reruns it.
        """
        began = went_on = time.monotonic()
        succeeded = 0
        while (states := self._ask("states", *self._span)) != {"SUCCESS": self._count}:
            now = time.monotonic()
            if states.get("SUCCESS", 0) > succeeded:
                succeeded, went_on = states["SUCCESS"], now
            assert now - went_on < STUCK_AFTER, self._told(f"nothing succeeded for {STUCK_AFTER} s", states)
            assert now - began < within, self._told(f"not done after {within} s, but not stuck", states)
            if states.get("FAILURE"):
                self.given_up += self._ask("rerun_given_up", *self._span)
            time.sleep(0.3)

    def _told(self, what: str, states: dict[str, int]) -> str:
        waits = "\n".join(self._ask("waits_for", *self._span))
        return f"{what}: {states} after {self.killed}\n{waits}\n{self._stack.log()[-3000:]}"

    def check(self) -> None:
        """What was told outside agrees with what is recorded, and no two attempts of one instance overlap."""
        recorded = {(i, n): (state, start, end) for i, n, state, start, end in self._ask("recorded", *self._span)}
        told = self._stamps()
        for instance, stamps in told.items():
            for stamp in stamps:
                state, _, end = recorded[instance, stamp.attempt]
                assert (stamp.end is not None) or state == "lost", (instance, stamp, state)
                assert stamp.end is None or stamp.end <= end + 0.05, (instance, stamp, end)
            numbers = [stamp.attempt for stamp in stamps]
            assert numbers == sorted(set(numbers)), f"instance {instance} ran twice under one number: {stamps}"
            for before, after in pairwise(stamps):
                ended = before.end or recorded[instance, before.attempt][2]  # a killed one has said no end
                assert ended <= after.start, f"instance {instance}: {before} overlaps {after}"
        told_runs = {(instance, stamp.attempt) for instance, stamps in told.items() for stamp in stamps}
        # a lost attempt may have been lost before its shell came to its first line; any other has run
        assert {key for key, (state, *_) in recorded.items() if state != "lost"} <= told_runs <= set(recorded)
        assert self._ask("wrong_counts", *self._span) == 0

    def _stamps(self) -> dict[int, list[Stamp]]:
        """By instance, in the order of their starts. A run is told apart by its process, its attempt by its start."""
        runs: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
        with closing(sqlite3.connect(self._database)) as database:
            rows = database.execute("SELECT instance, run, what, at FROM stamps").fetchall()
        for name, process, what, at in [*map(str.split, self._file.read_text().splitlines()), *rows]:
            runs[int(name), process][what] = float(at)
        recorded: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
        for one, number, _, start, end in self._ask("recorded", *self._span):
            recorded[one].append((number, start, end))
        found: dict[int, list[Stamp]] = defaultdict(list)
        for (instance, _), times in sorted(runs.items(), key=lambda run: run[1]["start"]):
            numbers = [n for n, start, end in recorded[instance] if start <= times["start"] <= end + 0.05]
            assert numbers, f"instance {instance} ran at {times} outside of its attempts {recorded[instance]}"
            found[instance].append(Stamp(numbers[-1], times["start"], times.get("end")))
        return found
