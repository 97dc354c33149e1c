"""Many freezes at once under an extension that answers late, in disorder and twice, while processes are killed."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.processes.freezing import PATIENCE, Callers, Judge, verdict_on
from tests.processes.lab import Lab
from tests.stack import Stack

pytestmark = [pytest.mark.processes, pytest.mark.timeout(420)]

FREEZES = 2000
CALLERS = 12
KILL_AFTER = (500, 1300)
"""Numbers of requests after which courier and web are killed."""


def kill(stack: Stack, *kinds: str) -> None:
    for kind in kinds:
        for pid in stack.pids(kind):
            os.kill(pid, signal.SIGKILL)


def test_every_freeze_ends_as_its_verdict_says_exactly_once() -> None:
    judge = Judge()
    with Stack({"OPSCENTER_OUTBOUND_ALLOW": "127.0.0.1"}, demo=False) as stack:
        lab = Lab(stack.env)
        try:
            known = lab.ask("guarded", str(FREEZES), judge.url, "40")
            callers = Callers(stack, known)
            with ThreadPoolExecutor(CALLERS) as pool:
                futures = [pool.submit(callers.freeze, number) for number in known["tasks"]]
                for enough in KILL_AFTER:
                    while callers.asked < enough:
                        time.sleep(0.05)
                    kill(stack, "courier", "web")
                for future in futures:
                    future.result()
            give_up = time.monotonic() + PATIENCE
            while left := lab.ask("still_checking", str(known["workspace"])):
                assert time.monotonic() < give_up, f"{left} left\n{stack.log()[-3000:]}"
                time.sleep(0.5)
            fates = lab.ask("fates", str(known["workspace"]))
        finally:
            lab.close()
            judge.close()
    assert len(fates) == FREEZES
    expected = {
        "OK": {"frozen": True, "applied": 1, "operations": ["applied True"]},
        "FAIL": {"frozen": False, "applied": 0, "operations": ["blocked False"]},
    }
    wrong = {number: fate for number, fate in fates.items() if fate != expected[verdict_on(int(number))]}
    assert not wrong
    assert judge.contradictions and set(judge.contradictions) == {409}
