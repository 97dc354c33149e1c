"""Everything is killed while extensions think: nothing is lost, and nothing is done twice."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from opscenter.base.procs import wait_gone
from tests.extensions.receiver import Receiver
from tests.processes.freezing import Callers, say
from tests.processes.lab import Lab
from tests.stack import Stack

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]
KINDS = {"web", "scheduler", "worker", "courier", "postgres"}
LIMIT = 5
"""Seconds that pass while nobody is there to notice."""
WITHIN = 30.0


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack({"OPSCENTER_OUTBOUND_ALLOW": "127.0.0.1"}, demo=False) as started:
        yield started


@pytest.fixture
def lab(stack: Stack) -> Iterator[Lab]:
    with Lab(stack.env) as opened:
        yield opened


def kill_everything(stack: Stack) -> None:
    """All processes at once, the database too; none has a chance to put anything away."""
    assert all(stack.pids(kind) for kind in KINDS)
    others = stack.tree()[1:]
    stack.stop(signal.SIGKILL)
    for process in others:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass  # what outlives its parent kills itself
    wait_gone(others, 10)


def test_everything_is_killed_while_extensions_think(stack: Stack, lab: Lab) -> None:
    """One message has arrived, one has not yet, one is never answered."""
    with Receiver() as guard, Receiver(503) as closed, Receiver() as silent, ThreadPoolExecutor() as pool:
        places = [
            lab.ask("guarded", "1", receiver.url, "1", str(limit))
            for receiver, limit in ((guard, 600), (closed, 600), (silent, LIMIT))
        ]
        for place in places:
            Callers(stack, place).freeze(place["tasks"][0])
        (arrived,), (refused,), _ = guard.wait(1), closed.wait(1), silent.wait(1)
        assert [outcome(lab, place) for place in places] == [(False, 0, ["checking None"])] * 3
        kill_everything(stack)

        verdict = pool.submit(say, arrived.message["data"], "OK")  # finds nobody for a while
        closed.answer(200)
        time.sleep(LIMIT)
        assert not verdict.done()
        stack.start()
        assert verdict.result() == 200
        again = closed.wait(2, WITHIN)[1]
        assert (again.id, again.body) == (refused.id, refused.body)
        assert say(again.message["data"], "FAIL") == 200

        expected = [(True, 1, ["applied True"]), (False, 0, ["blocked False"]), (False, 0, ["blocked False"])]
        give_up = time.monotonic() + WITHIN
        while (found := [outcome(lab, place) for place in places]) != expected:
            assert time.monotonic() < give_up, f"{found}\n{stack.log()[-3000:]}"
            time.sleep(0.2)
        assert say(arrived.message["data"], "OK") == 200, "a repeat is accepted"
        assert say(arrived.message["data"], "FAIL") == 409
        assert [outcome(lab, place) for place in places] == expected
        assert {got.id for got in guard.got} == {arrived.id}, "at least once, and always as the same message"


def outcome(lab: Lab, place: dict[str, Any]) -> tuple[bool, int, list[str]]:
    """Of a place's only task: whether it is frozen, how often it was said to be, what its operations came to."""
    (fate,) = lab.ask("fates", str(place["workspace"])).values()
    return fate["frozen"], fate["applied"], fate["operations"]
