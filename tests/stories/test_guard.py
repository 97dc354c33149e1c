"""The demo's extension guards tenant B's tasks, with real processes and the official SDK; and beside it one more, made as
docs/first-extension.md says, in a real browser."""

import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from alibabacloud_dataworks_public20240518 import models
from alibabacloud_dataworks_public20240518.client import Client
from alibabacloud_tea_openapi.models import Config
from playwright.sync_api import Locator, Page, expect

from tests.examples.programs import Program
from tests.examples.test_first_extension import PROGRAMS
from tests.stack import Stack, free_port
from tests.stories.browser import chromium, sign_in

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.timeout(400)]

TASKS = ("ingest_orders", "ingest_customers", "dim_customer")


@pytest.fixture(scope="module")
def port() -> int:
    """Where the reader's own extension listens."""
    return free_port()


@pytest.fixture(scope="module")
def stack(port: int) -> Iterator[Stack]:
    with Stack({"OPSCENTER_OUTBOUND_ALLOW": f"127.0.0.1:{port}"}) as running:
        yield running


@pytest.fixture(scope="module")
def demo(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.manage("demo", "--json", timeout=120))
    return found


class Tasks:
    """Tenant B's tasks through the API."""

    def __init__(self, demo: dict[str, Any]) -> None:
        tenant = demo["tenants"][0]
        self._numbers = tenant["tasks"]
        self._client = Client(
            Config(
                access_key_id=tenant["access_key_id"],
                access_key_secret=tenant["access_key_secret"],
                endpoint=demo["endpoint"],
                protocol="http",
            )
        )

    def ask(self, recurrence: str, *names: str) -> None:
        """One operation on these tasks."""
        items = [
            {"Id": self._numbers[name], "EnvType": "Prod", "Trigger": {"Recurrence": recurrence}} for name in names
        ]
        request = models.BatchUpdateTasksRequest().from_map({"Tasks": items})
        answer = self._client.batch_update_tasks(request).body
        assert all(result.success for result in answer.success_info.values()), answer.success_info

    def freeze(self, *names: str) -> str:
        """Ask, and wait for what it comes to; the last task's newest log entry."""
        return self._settle("Pause", *names)

    def unfreeze(self, *names: str) -> str:
        return self._settle("Normal", *names)

    def _settle(self, recurrence: str, *names: str) -> str:
        self.ask(recurrence, *names)
        until(lambda: "(Checking)" not in self.last(names[-1]))
        return self.last(names[-1])

    def last(self, name: str) -> str:
        """The newest entry of a task's operation log."""
        request = models.ListTaskOperationLogsRequest(id=self._numbers[name], project_env="Prod")
        return self._client.list_task_operation_logs(request).body.paging_info.operation_logs[0].operation_content

    def recurrence(self, name: str) -> str:
        request = models.GetTaskRequest(id=self._numbers[name], project_env="Prod")
        return self._client.get_task(request).body.task.trigger.recurrence


@pytest.fixture(scope="module")
def tasks(demo) -> Tasks:
    return Tasks(demo)


def until(holds: Callable[[], object], seconds: float = 40.0) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.1)


def guards(stack: Stack) -> list[psutil.Process]:
    """The program's processes."""
    return [child for child in stack.up.children() if "guard.py" in " ".join(child.cmdline())]


def port_of(demo: dict[str, Any]) -> int:
    return int(demo["extension"]["webhook_url"].split(":")[2].strip("/"))


def test_story(stack, demo, tasks):
    """One after the other; each part leaves the tasks as it found them."""
    it_refuses_by_its_rule(tasks)
    its_rule_can_be_relaxed(demo, tasks)
    killed_it_comes_back_and_answers_what_came_meanwhile(stack, tasks)
    it_knows_nothing_of_ours(stack, demo)
    a_busy_port_is_told_and_the_product_goes_on(stack, demo)
    nothing_secret_was_said(stack, demo)
    an_older_demo_has_none(stack, demo)


def it_refuses_by_its_rule(tasks):
    assert tasks.freeze(*TASKS[:2]).startswith("Freeze (Applied)")
    assert [tasks.recurrence(name) for name in TASKS] == ["Pause", "Pause", "Normal"]
    assert tasks.unfreeze(*TASKS[:2]).startswith("Unfreeze (Applied)")
    said = tasks.freeze(*TASKS)
    assert said.startswith("Freeze (Blocked)")
    assert "Freeze guard" in said
    assert "At most 2 tasks may be frozen at once, and these are 3." in said
    assert {tasks.recurrence(name) for name in TASKS} == {"Normal"}


def its_rule_can_be_relaxed(demo, tasks):
    rules = Path(demo["extension"]["rules_file"])
    before = rules.read_text()
    rules.write_text(before.replace("2", "3"))
    assert tasks.freeze(*TASKS).startswith("Freeze (Applied)")
    assert tasks.unfreeze(*TASKS).startswith("Unfreeze (Applied)")
    rules.write_text(before)


def killed_it_comes_back_and_answers_what_came_meanwhile(stack, tasks):
    until(lambda: "Listening on http://127.0.0.1" in stack.log())
    (before,) = guards(stack)
    os.kill(before.pid, signal.SIGKILL)
    tasks.ask("Pause", TASKS[0])
    until(lambda: tasks.last(TASKS[0]).startswith("Freeze (Applied)"))
    assert [guard.pid for guard in guards(stack)] != [before.pid]
    assert "guard ended (killed by SIGKILL); it is started again." in stack.log()
    assert tasks.unfreeze(TASKS[0]).startswith("Unfreeze (Applied)")


def it_knows_nothing_of_ours(stack, demo):
    (guard,) = guards(stack)
    names = guard.environ().keys()
    assert not [name for name in names if name.startswith(("OPSCENTER_", "DATABASE", "DJANGO"))]
    assert {opened.path for opened in guard.open_files() if opened.path.startswith(str(stack.data))} == set()
    assert demo["extension"]["secret"] not in " ".join(guard.cmdline())


def a_busy_port_is_told_and_the_product_goes_on(stack, demo):
    stack.stop()
    port = port_of(demo)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        stack.start()
        until(lambda: f"guard     | Cannot listen on port {port} of 127.0.0.1: Address already in use." in stack.log())
        assert stack.is_ready()
    until(lambda: stack.log().count(f"Listening on http://127.0.0.1:{port}/") == 3)


def an_older_demo_has_none(stack, demo):
    told = {name: value for name, value in demo.items() if name != "extension"}
    for content in (json.dumps(told), "{"):
        restart_with(stack, content)
        time.sleep(0.5)  # it would be started just now
        assert guards(stack) == []
    assert "The demo's guard is not started" in stack.log()
    restart_with(stack, json.dumps(demo))
    until(lambda: guards(stack))


def restart_with(stack, content):
    stack.stop()
    (stack.data / "demo.json").write_text(content)
    before = stack.log().count("Opscenter is ready")
    stack.start()
    until(lambda: stack.log().count("Opscenter is ready") > before)


def nothing_secret_was_said(stack, demo):
    said = stack.log()
    assert "freeze-node" in said
    for name in ("secret", "access_key_secret"):
        assert demo["extension"][name] not in said
    assert "cbt_" not in said
    assert "Traceback" not in said


class Reader:
    """Who follows docs/first-extension.md, as ``b-owner``."""

    NAME = "One at a time"

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(20_000)

    @property
    def dialog(self) -> Locator:
        return self.page.locator("dialog[open]")

    def press(self, name: str) -> None:
        """A button of the page."""
        self.page.locator("main").get_by_role("link", name=name, exact=True).click()

    def confirm(self, name: str) -> None:
        """The button of the dialog."""
        self.dialog.get_by_role("button", name=name, exact=True).click()

    def go(self, name: str) -> None:
        """An item of the navigation at the left."""
        self.page.locator(f"nav a[data-key][title='{name}']").click()

    def copy(self, pattern: str) -> str:
        """Something that is shown only once."""
        found = self.dialog.get_by_text(re.compile(pattern)).first.inner_text()
        return re.findall(pattern, found)[0]

    def has_copied_it(self) -> None:
        self.dialog.get_by_role("link", name="I have copied it").click()
        expect(self.dialog).to_have_count(0)

    def register(self, url: str) -> str:
        """Returns the signing secret."""
        self.go("My extensions")
        self.press("Register")
        self.dialog.get_by_label("Name", exact=True).fill(self.NAME)
        self.dialog.get_by_label("Webhook address").fill(url)
        for point in ("Before freezing tasks", "Before unfreezing tasks"):
            self.dialog.get_by_label(point).check()
        self.dialog.get_by_label("Test workspace").select_option(label="Retail")
        self.confirm("Register")
        secret = self.copy(r"whsec_\S+")
        self.has_copied_it()
        return secret

    def make_key(self) -> tuple[str, str]:
        """The access key's id and secret."""
        self.press("New access key")
        self.confirm("Create access key")
        made = self.copy(r"LTAI\w+"), self.copy(r"^\w{30}$")
        self.has_copied_it()
        return made

    def enable(self) -> None:
        self.go("Extensions")
        self.page.get_by_role("row", name=self.NAME).get_by_role("link", name="Enable").click()
        self.dialog.get_by_label("I have read this").check()
        self.confirm("Enable")
        expect(self.page.get_by_role("row", name=self.NAME)).to_contain_text("Enabled")

    def disable(self) -> None:
        self.go("Extensions")
        self.page.get_by_role("row", name=self.NAME).get_by_role("link", name="Disable").click()
        self.dialog.get_by_role("button", name="Disable").click()
        expect(self.page.get_by_role("row", name=self.NAME).get_by_role("link", name="Enable")).to_be_visible()


def test_first_extension(stack, demo, tasks, port, tmp_path):
    account = next(one for one in demo["accounts"] if one["username"] == "b-owner")
    with chromium() as browser:
        page = sign_in(browser, demo["console"], account)
        reader = Reader(page)
        secret = reader.register(f"http://127.0.0.1:{port}/")
        key, key_secret = reader.make_key()
        told = {
            "PATH": os.environ["PATH"],
            "PORT": str(port),
            "OPSCENTER": demo["endpoint"],
            "WEBHOOK_SECRET": secret,
            "EXTENSION_CODE": page.url.rstrip("/").rsplit("/", 1)[1],
            "ACCESS_KEY_ID": key,
            "ACCESS_KEY_SECRET": key_secret,
        }
        (tmp_path / "first.py").write_text(PROGRAMS["first.py"])
        with Program(port, sys.executable, str(tmp_path / "first.py"), env=told):
            its_three_legs_are_seen(reader)
            reader.enable()
            one_task_is_frozen_and_two_are_not(reader)
            assert [tasks.recurrence(name) for name in ("dim_customer", "fact_sales", "quality_check")] == [
                "Pause", "Normal", "Normal",
            ]  # fmt: skip
            it_is_asked_again_when_the_task_is_unfrozen(reader)
        assert tasks.recurrence("dim_customer") == "Normal"
        reader.disable()


def its_three_legs_are_seen(reader):
    reader.press("Send test message")
    reader.confirm("Send test message")
    expect(reader.page.locator("#legs")).to_contain_text("The endpoint answered 204")
    expect(reader.page.locator("#legs")).to_contain_text("One task at a time.", timeout=20_000)


def one_task_is_frozen_and_two_are_not(reader):
    reader.go("Tasks")
    reader.press("dim_customer")
    reader.press("Freeze")
    expect(reader.dialog).to_contain_text("Freeze guard, One at a time")
    reader.confirm("Freeze 1 task")
    expect(reader.dialog).to_contain_text("Applied", timeout=20_000)
    for said in ("Within the rules", "One task at a time."):
        expect(reader.dialog).to_contain_text(said)
    reader.page.keyboard.press("Escape")
    reader.go("Tasks")
    for name in ("fact_sales", "quality_check"):
        reader.page.get_by_role("row", name=name).get_by_role("checkbox").check()
    reader.page.locator(".batch-bar").get_by_role("button", name=re.compile("^Freeze")).click()
    reader.confirm("Freeze 2 tasks")
    expect(reader.dialog).to_contain_text("One task at a time, please; these are 2.", timeout=20_000)
    expect(reader.dialog).to_contain_text("Blocked")
    reader.page.keyboard.press("Escape")
    reader.go("Operation history")
    for ended in ("Blocked", "Applied"):
        expect(reader.page.get_by_role("row").filter(has_text=ended).first).to_be_visible()


def it_is_asked_again_when_the_task_is_unfrozen(reader):
    reader.go("Tasks")
    reader.press("dim_customer")
    reader.press("Unfreeze")
    reader.confirm("Unfreeze 1 task")
    expect(reader.dialog).to_contain_text("Applied", timeout=20_000)
    reader.page.keyboard.press("Escape")
