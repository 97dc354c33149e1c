"""The freeze guard of examples/: the program itself, with the official SDK, against the real product."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from os import urandom
from pathlib import Path
from typing import Any

import pytest

from extensions import lifecycle
from extensions.envelope import body_for
from extensions.models import Check
from extensions.signing import headers_for
from extensions.tokens import token_of
from opscenter.base import clock
from opscenter.openapi.authentication import KeyThrottle
from opscenter.operations import checked, door
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry
from tests.examples.programs import EXAMPLES, Program, guard
from tests.extensions.scene import Scene
from tests.stack import free_port

pytestmark = pytest.mark.django_db(transaction=True)

State, Status = Check.State, Operation.Status
RULES = {"most_tasks_at_once": 2, "protected_tasks": []}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("guard")


@pytest.fixture(scope="module")
def program(folder: Path) -> Iterator[Program]:
    """One guard for all tests: it reads its files anew for each message."""
    port = free_port()
    (folder / "guard.json").write_text(json.dumps({"port": port}))
    with guard(folder / "guard.json", port) as running:
        yield running


class Guarded(Scene):
    """A workspace with the guard enabled, and the guard's two files."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        super().__init__()
        self.folder = folder
        self.guard = self.extension("http://127.0.0.1/", "Freeze guard")
        self.guard.points = ["freeze-node", "unfreeze-node"]
        self.guard.save()
        self.secret = self.secrets[self.guard.pk]
        key, self.key_secret = lifecycle.new_key(self.guard)
        self.config: dict[str, Any] = {
            "port": 0,
            "secrets": [self.secret],
            "extension_code": self.guard.code,
            "access_key_id": key.key_id,
            "access_key_secret": self.key_secret,
            "endpoint": endpoint,
            "rules_file": "rules.json",
        }
        self.write()
        self.rules(**RULES)

    def write(self, **changes: Any) -> None:
        self.config |= changes
        (self.folder / "guard.json").write_text(json.dumps(self.config))

    def rules(self, **rules: Any) -> None:
        (self.folder / "rules.json").write_text(json.dumps(rules))

    def tasks(self, count: int) -> list[Task]:
        return [self.cast.task(f"task_{n}") for n in range(count)]

    def ask(self, *tasks: Task, code: str = "freeze_task") -> Check:
        """The open check of an operation."""
        asker = Actor(self.cast.operator, AuditEntry.Face.CONSOLE)
        asked = door.apply(code, asker, self.cast.workspace, "Prod", [task.pk for task in tasks])
        assert asked.status == Status.CHECKING
        return Check.objects.select_related("event", "extension").get(event__operation=asked.pk)


@pytest.fixture
def scene(folder: Path, live_server: Any) -> Guarded:
    KeyThrottle.reset()
    return Guarded(folder, live_server.url.removeprefix("http://"))


def fate(check: Check) -> tuple[str, str]:
    check.refresh_from_db()
    assert check.event.operation is not None
    return check.verdict, Operation.objects.get(pk=check.event.operation).status


def test_it_is_an_example_that_can_be_read_at_one_sitting() -> None:
    assert len((EXAMPLES / "guard_extension" / "guard.py").read_text().splitlines()) < 150


def test_two_tasks_at_once_pass_and_three_do_not(scene: Guarded, program: Program) -> None:
    tasks = scene.tasks(3)
    few = scene.ask(*tasks[:2])
    assert program.deliver(few, [scene.secret]) == 200
    assert fate(few) == ("OK", Status.APPLIED)
    thaw = scene.ask(*tasks[:2], code="unfreeze_task")
    assert program.deliver(thaw, [scene.secret]) == 200
    assert fate(thaw) == ("OK", Status.APPLIED)
    many = scene.ask(*tasks)
    assert program.deliver(many, [scene.secret]) == 200
    assert fate(many) == ("FAIL", Status.BLOCKED)
    assert many.words == "At most 2 tasks may be frozen at once, and these are 3."
    assert {task.recurrence for task in Task.objects.all()} == {"Normal"}


def test_the_rules_can_be_relaxed_and_tightened_while_it_runs(scene: Guarded, program: Program) -> None:
    first, second, third = scene.tasks(3)
    scene.rules(most_tasks_at_once=3, protected_tasks=[])
    check = scene.ask(first, second, third)
    assert program.deliver(check, [scene.secret]) == 200
    assert fate(check) == ("OK", Status.APPLIED)
    fourth = scene.cast.task("fourth")
    scene.rules(most_tasks_at_once=3, protected_tasks=[fourth.number])
    check = scene.ask(fourth)
    assert program.deliver(check, [scene.secret]) == 200
    assert fate(check) == ("FAIL", Status.BLOCKED)
    assert str(fourth.number) in check.words


Change = Callable[[dict[str, str]], dict[str, str]]
SOME_SECRET = "whsec_" + b64encode(urandom(32)).decode()
FORGERIES: dict[str, Change] = {
    "no signature": lambda h: {name: value for name, value in h.items() if name != "webhook-signature"},
    "no timestamp": lambda h: {name: value for name, value in h.items() if name != "webhook-timestamp"},
    "no id": lambda h: {name: value for name, value in h.items() if name != "webhook-id"},
    "another id": lambda h: h | {"webhook-id": "03400b03-b721-4c34-8727-2d6884070001"},
    "another time": lambda h: h | {"webhook-timestamp": str(int(h["webhook-timestamp"]) - 1)},
    "a time that is none": lambda h: h | {"webhook-timestamp": "yesterday"},
    "a time beyond all numbers": lambda h: h | {"webhook-timestamp": "9" * 5000},
    "another version": lambda h: h | {"webhook-signature": h["webhook-signature"].replace("v1,", "v2,")},
    "a bare signature": lambda h: h | {"webhook-signature": h["webhook-signature"].removeprefix("v1,")},
    "half of it": lambda h: h | {"webhook-signature": h["webhook-signature"][:20]},
    "nonsense": lambda h: h | {"webhook-signature": "v1,\xe9\xe9 v1, , v1"},
}


def test_what_is_forged_is_refused(scene: Guarded, program: Program) -> None:
    check = scene.ask(*scene.tasks(1))
    body = body_for(check)
    headers = headers_for(str(check.event_id), clock.now(), body, [scene.secret])
    answers = {name: program.post(change(headers), body) for name, change in FORGERIES.items()}
    assert answers == dict.fromkeys(FORGERIES, 401)
    check.refresh_from_db()
    assert check.state == State.CHECKING


def test_another_secret_a_changed_body_and_an_old_message_are_refused(scene: Guarded, program: Program) -> None:
    check = scene.ask(*scene.tasks(1))
    body = body_for(check)
    headers = headers_for(str(check.event_id), clock.now(), body, [scene.secret])
    assert program.post(headers, body.replace(b"freeze-node", b"unfreeze-node")) == 401
    assert program.deliver(check, [SOME_SECRET]) == 401
    for minutes in (-6, 6):
        assert program.deliver(check, [scene.secret], clock.now() + timedelta(minutes=minutes)) == 401
    check.refresh_from_db()
    assert check.state == State.CHECKING
    assert program.deliver(check, [scene.secret], clock.now() - timedelta(minutes=4)) == 200


def test_a_rotation_of_the_secret_loses_nothing(scene: Guarded, program: Program) -> None:
    """Two signatures against one secret, then one against two."""
    first, second = scene.tasks(2)
    check = scene.ask(first)
    assert program.deliver(check, [SOME_SECRET, scene.secret]) == 200
    scene.write(secrets=[SOME_SECRET, scene.secret])
    check = scene.ask(second)
    assert program.deliver(check, [scene.secret]) == 200
    assert fate(check) == ("OK", Status.APPLIED)


def test_a_regular_event_is_taken_and_not_answered(scene: Guarded, program: Program) -> None:
    """Nobody waits for it; what is not taken would come again for three days, until nothing is sent any more."""
    check = scene.ask(*scene.tasks(1))
    told = json.loads(body_for(check))
    told["data"] = {"eventCode": "node-change-updated", "nodeId": 700000001}
    body = json.dumps(told).encode()
    assert program.post(headers_for(told["id"], clock.now(), body, [scene.secret]), body) == 200
    check.refresh_from_db()
    assert check.verdict == ""


def test_a_repeated_message_is_answered_once(scene: Guarded, program: Program) -> None:
    check = scene.ask(*scene.tasks(3))
    body = body_for(check)
    headers = headers_for(str(check.event_id), clock.now(), body, [scene.secret])
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: program.post(headers, body), range(8)))
    assert set(statuses) == {200}
    scene.rules(most_tasks_at_once=5, protected_tasks=[])
    assert program.deliver(check, [scene.secret]) == 200
    assert fate(check) == ("FAIL", Status.BLOCKED)


def test_a_repeated_message_after_a_restart_changes_nothing(scene: Guarded, program: Program, tmp_path: Path) -> None:
    check = scene.ask(*scene.tasks(3))
    assert program.deliver(check, [scene.secret]) == 200
    port = free_port()
    scene.folder = tmp_path
    scene.write(port=port)
    scene.rules(most_tasks_at_once=5, protected_tasks=[])
    with guard(tmp_path / "guard.json", port) as again:  # it has forgotten, and would decide otherwise now
        assert again.deliver(check, [scene.secret]) == 200
        assert again.says("Invalid.Check.Contradiction"), again.output()
    assert fate(check) == ("FAIL", Status.BLOCKED)


def test_a_message_that_nobody_waits_for_any_more_is_done_with(scene: Guarded, program: Program) -> None:
    check = scene.ask(*scene.tasks(1))
    asker = Actor(scene.cast.operator, AuditEntry.Face.CONSOLE)
    checked.cancel(asker, scene.cast.workspace, check.event.operation or 0)
    assert program.deliver(check, [scene.secret]) == 200
    assert fate(check) == ("", Status.CANCELLED)


def test_what_breaks_is_not_acknowledged_so_that_the_message_comes_again(scene: Guarded, program: Program) -> None:
    check = scene.ask(*scene.tasks(1))
    (scene.folder / "rules.json").write_text('{"most_tasks_at_once": 2,')
    assert program.deliver(check, [scene.secret]) == 500
    scene.rules(most_tasks_at_once="two", protected_tasks=[])
    assert program.deliver(check, [scene.secret]) == 500
    scene.rules(**RULES)
    endpoint = scene.config["endpoint"]
    scene.write(endpoint=f"127.0.0.1:{free_port()}")
    assert program.deliver(check, [scene.secret]) == 503
    scene.write(endpoint=endpoint, access_key_secret="wrong")
    assert program.deliver(check, [scene.secret]) == 503
    scene.write(access_key_secret=scene.key_secret)
    assert program.deliver(check, [scene.secret]) == 200
    assert fate(check) == ("OK", Status.APPLIED)


def test_a_body_of_no_size_or_too_much_is_refused(program: Program) -> None:
    assert [program.post({"Content-Length": length}, b"") for length in ("", "-1", "1e3", "999999999")] == [413] * 4


def test_its_output_has_no_secret(scene: Guarded, program: Program) -> None:
    check = scene.ask(*scene.tasks(1))
    scene.write(access_key_secret="wrong")
    assert program.deliver(check, [scene.secret]) == 503
    scene.write(access_key_secret=scene.key_secret)
    assert program.deliver(check, [scene.secret]) == 200
    assert program.says(f"{check.event_id}: freeze-node")
    said = program.output()
    for secret in (scene.secret, scene.secret[6:], scene.key_secret, token_of(check)):
        assert secret not in said


def test_a_port_in_use_is_one_clear_sentence(program: Program, tmp_path: Path) -> None:
    (tmp_path / "guard.json").write_text(json.dumps({"port": program.port}))
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "guard_extension" / "guard.py"), "--config", str(tmp_path / "guard.json")],
        env={}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"Cannot listen on port {program.port} of 127.0.0.1: Address already in use. "
        "Stop what uses it, or change the port.\n"
    )
