"""docs/first-extension.md: its programs as they stand there, against the real product."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extensions import lifecycle
from extensions.envelope import body_for
from extensions.models import Check
from extensions.signing import headers_for
from opscenter.base import clock
from opscenter.openapi.authentication import KeyThrottle
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry
from tests.examples.programs import Program
from tests.extensions.scene import Scene
from tests.stack import ROOT, free_port

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = (ROOT / "docs" / "first-extension.md").read_text()
PROGRAMS = dict(re.findall(r"[Ss]ave (?:this|it) as `(\S+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
STARTS = re.findall(r"Start it:\n\n```\n(.*)\n```", PAGE)
ANSWERS = re.findall(r"^curl .*$", PAGE, re.MULTILINE)
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


class First(Scene):
    """A workspace with the extension enabled, and its program as the page has it."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        super().__init__()
        self.one = self.extension("http://127.0.0.1:9000/", "One at a time")
        self.secret = self.secrets[self.one.pk]
        self._folder = folder
        self._endpoint = endpoint

    def program(self, name: str) -> Program:
        """The program of that name, started as the page says."""
        (self._folder / name).write_text(PROGRAMS[name])
        (start,) = [line.split() for line in STARTS if line.endswith(name)]
        interpreter = shutil.which("node") if start[0] == "node" else sys.executable
        key, secret = lifecycle.new_key(self.one)
        port = free_port()
        told = {
            "PATH": os.environ["PATH"],
            "PORT": str(port),
            "OPSCENTER": self._endpoint,
            "WEBHOOK_SECRET": self.secret,
            "EXTENSION_CODE": self.one.code,
            "ACCESS_KEY_ID": key.key_id,
            "ACCESS_KEY_SECRET": secret,
        }
        return Program(port, str(interpreter), str(self._folder / name), env=told)

    def ask(self, *tasks: Task) -> Check:
        asker = Actor(self.cast.operator, AuditEntry.Face.CONSOLE)
        asked = door.apply("freeze_task", asker, self.cast.workspace, "Prod", [task.pk for task in tasks])
        return Check.objects.select_related("event", "extension").get(event__operation=asked.pk)


@pytest.fixture
def first(tmp_path: Path, live_server: Any, settings: Any) -> First:
    KeyThrottle.reset()
    settings.PUBLIC_URL = live_server.url
    return First(tmp_path, live_server.url.removeprefix("http://"))


def until(holds: Callable[[], object], seconds: float = 20.0) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.05)


def decided(check: Check) -> tuple[str, str, str]:
    """Verdict, words and what became of the operation, once there is a verdict."""

    def is_answered() -> bool:
        check.refresh_from_db()
        return bool(check.verdict)

    until(is_answered)
    return check.verdict, check.words, Operation.objects.get(pk=check.event.operation or 0).status


def test_the_page_has_three_programs_and_starts_each() -> None:
    assert list(PROGRAMS) == ["first.py", "first.mjs", "listen.py"]
    assert [line.split()[1] for line in STARTS] == list(PROGRAMS)
    assert len(ANSWERS) == 3


@pytest.mark.parametrize("name", ["first.py", pytest.param("first.mjs", marks=needs_node)])
def test_it_decides_and_believes_nobody_else(first: First, name: str) -> None:
    one, two, three = (first.cast.task(f"task_{n}") for n in range(3))
    with first.program(name) as program:
        check = first.ask(one)
        body = body_for(check)
        genuine = headers_for(str(check.event_id), clock.now(), body, [first.secret])
        for change in (
            {"webhook-signature": "v1,bm90aGluZw=="},
            {"webhook-signature": "v1,\xe9"},
            {"webhook-signature": ""},
            {"webhook-id": "another"},
            {"webhook-timestamp": "yesterday"},
            {"webhook-timestamp": "1"},
        ):
            assert program.post(genuine | change, body) == 401, change
        assert program.post(genuine, body.replace(b"freeze", b"thawed")) == 401
        assert program.deliver(check, ["whsec_b3RoZXI=", first.secret]) == 204
        assert decided(check) == ("OK", "One task at a time.", Operation.Status.APPLIED)
        check = first.ask(two, three)
        assert program.deliver(check, [first.secret]) == 204
        assert decided(check) == ("FAIL", "One task at a time, please; these are 2.", Operation.Status.BLOCKED)
        assert program.deliver(check, [first.secret]) == 204  # again: the same verdict is no error
        told = json.loads(body)
        told["data"] = {"eventCode": "node-change-updated", "nodeId": one.number}
        message = json.dumps(told).encode()
        assert program.post(headers_for(told["id"], clock.now(), message, [first.secret]), message) == 204
        until(lambda: "node-change-updated" in program.output())
        assert "Error" not in program.output()


@needs_curl
def test_by_hand(first: First) -> None:
    report, ok, fail = ANSWERS
    with first.program("listen.py") as program:

        def answer(check: Check, command: str) -> None:
            assert program.deliver(check, [first.secret]) == 204
            line = re.compile(rf"^export .*/checks/{check.pk}' .*$", re.MULTILINE)
            until(lambda: line.search(program.output()))
            export = line.findall(program.output())[-1]
            script = f"{export}\n{command} --silent --show-error --fail"
            done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 0, done.stderr
            assert '"Success": true' in done.stdout

        check = first.ask(first.cast.task("one"))
        answer(check, report)
        check.refresh_from_db()
        assert (check.progress, check.progress_words, check.verdict) == (50, "Asking the shop", "")
        answer(check, ok)
        assert decided(check) == ("OK", "One task at a time.", Operation.Status.APPLIED)
        check = first.ask(first.cast.task("two"))
        answer(check, fail)
        assert decided(check) == ("FAIL", "One task at a time, please.", Operation.Status.BLOCKED)
