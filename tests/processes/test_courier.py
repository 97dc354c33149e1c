"""The courier as a process: killed, stopped, one of two, and its database gone. No message is lost by any of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from extensions.outbox import LOST_AFTER
from tests.extensions.receiver import HANG, Answer, Receiver
from tests.processes.lab import Lab
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.processes
SOON = 10.0


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack({"OPSCENTER_OUTBOUND_ALLOW": "127.0.0.1"}, demo=False) as started:
        yield started


@pytest.fixture(scope="module")
def lab(stack: Stack) -> Iterator[Lab]:
    with Lab(stack.env) as opened:
        yield opened


class Place:
    """A workspace with an extension at each of these receivers."""

    def __init__(self, lab: Lab, *receivers: Receiver) -> None:
        self._lab = lab
        made = lab.ask("extensions", *(receiver.url for receiver in receivers))
        self._ids = [str(pk) for pk in made["ids"]]
        self.secrets = made["secrets"]

    def ask(self, count: int = 1) -> None:
        """Messages to all of them."""
        self._lab.ask("events", str(count), "0", *self._ids)

    def checks(self) -> list[str]:
        return self._lab.ask("check_states", *self._ids)

    def wait_for(self, *expected: dict[str, int], seconds: float = SOON) -> None:
        """Until each one's deliveries are in these states."""
        give_up = time.monotonic() + seconds
        while (found := self._lab.ask("deliveries", *self._ids)) != list(expected):
            assert time.monotonic() < give_up, f"{found} and not {expected}"
            time.sleep(0.05)


def test_a_signed_message_arrives(lab: Lab) -> None:
    with Receiver() as receiver:
        place = Place(lab, receiver)
        place.ask(3)
        for got in receiver.wait(3):
            got.verify(place.secrets[0])
        place.wait_for({"delivered": 3})


def test_killed_in_the_middle_of_a_request(stack: Stack, lab: Lab) -> None:
    """Another courier sends the message again when the claim counts as lost; others go out before."""
    with Receiver(HANG, 200) as hit, Receiver() as other:
        place, elsewhere = Place(lab, hit), Place(lab, other)
        place.ask()
        hit.wait(1)
        began = time.monotonic()
        for pid in stack.pids("courier"):
            os.kill(pid, signal.SIGKILL)
        elsewhere.ask()
        other.wait(1, SOON)
        first, second = hit.wait(2, LOST_AFTER.total_seconds() + SOON)
        assert LOST_AFTER.total_seconds() - 2 < time.monotonic() - began
        assert (first.id, first.body) == (second.id, second.body)
        second.verify(place.secrets[0])
        place.wait_for({"delivered": 1})
        assert len(hit.got) == 2


def test_asked_to_stop_in_the_middle_of_a_request(stack: Stack, lab: Lab) -> None:
    """It gives the message back, so that its successor sends it at once; up starts one."""
    with Receiver(HANG, 200) as receiver:
        place = Place(lab, receiver)
        place.ask()
        receiver.wait(1)
        began = time.monotonic()
        for pid in stack.pids("courier"):
            os.kill(pid, signal.SIGTERM)
        receiver.wait(2, SOON)
        assert time.monotonic() - began < SOON
        place.wait_for({"delivered": 1})


def test_postgresql_is_killed_while_requests_are_under_way(stack: Stack, lab: Lab) -> None:
    """What was answered meanwhile is recorded when the database is back, and not sent again."""
    with Receiver(Answer(delay=1.5), Answer(delay=1.5), 200) as receiver:
        place = Place(lab, receiver)
        place.ask(2)
        receiver.wait(2)
        for pid in stack.pids("postgres"):
            os.kill(pid, signal.SIGKILL)
        place.wait_for({"delivered": 2}, seconds=30)
        place.ask(3)
        place.wait_for({"delivered": 5}, seconds=30)
        assert len(receiver.got) == 5


def test_two_processes_send_each_message_once(stack: Stack, lab: Lab) -> None:
    before = lab.ask("couriers")
    command = [sys.executable, str(ROOT / "manage.py"), "courier"]
    second = subprocess.Popen(command, env=stack.env, cwd=ROOT)
    try:
        with Receiver(Answer(delay=0.01)) as receiver:
            place = Place(lab, receiver)
            give_up = time.monotonic() + SOON
            while lab.ask("couriers") <= before:
                assert time.monotonic() < give_up
                time.sleep(0.1)
            place.ask(150)
            place.wait_for({"delivered": 150}, seconds=30)
            assert len({got.id for got in receiver.got}) == len(receiver.got) == 150
    finally:
        second.terminate()
        assert second.wait(SOON) == 0


def test_the_checks_of_an_endpoint_that_is_gone_end(lab: Lab) -> None:
    with Receiver(410) as gone, Receiver() as fine:
        place, other = Place(lab, gone), Place(lab, fine)
        place.ask()
        other.ask()
        place.wait_for({"failed": 1})
        give_up = time.monotonic() + SOON
        while place.checks() != ["failed"]:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert other.checks() == ["checking"]
