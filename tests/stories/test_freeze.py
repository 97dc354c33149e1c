"""A person freezes tasks under an extension's eyes (seed 003): real processes, a real browser, the demo's guard; then a
program does the same through the API."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_dataworks_public20240518 import models
from alibabacloud_dataworks_public20240518.client import Client
from alibabacloud_tea_openapi.models import Config
from playwright.sync_api import Browser, Locator, Page, expect

from tests.processes.lab import Lab
from tests.stack import Stack
from tests.stories.browser import chromium, sign_in

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.timeout(300)]

THREE = ("publish_report", "quality_check", "store_events")
TWO = THREE[:2]
WITHIN = 15_000
"""Milliseconds for a verdict to be asked for, given and shown on a busy machine."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as running:
        yield running


@pytest.fixture(scope="module")
def lab(stack: Stack) -> Iterator[Lab]:
    with Lab(stack.env) as opened:
        yield opened


@pytest.fixture(scope="module")
def demo(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.manage("demo", "--json", timeout=120))
    return found


@pytest.fixture(scope="module")
def b(demo: dict[str, Any]) -> dict[str, Any]:
    return demo["tenants"][0]


@pytest.fixture(scope="module")
def rules(demo: dict[str, Any]) -> Callable[..., None]:
    """Change the guard's rules while it runs."""
    file = Path(demo["extension"]["rules_file"])

    def change(**values: Any) -> None:
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def operator(browser: Browser, demo: dict[str, Any]) -> Page:
    """Signed in with the role O&M."""
    account = next(one for one in demo["accounts"] if one["role"] == "role_project_pe")
    return sign_in(browser, demo["console"], account)


class TaskList:
    """The task list, and what is done there to selected tasks."""

    def __init__(self, page: Page, demo: dict[str, Any], b: dict[str, Any]) -> None:
        self.page = page
        self.url = f"{demo['console']}w/{b['workspace_id']}/prod/tasks/"

    def row(self, name: str) -> Locator:
        return self.page.locator("tbody tr").filter(has=self.page.get_by_role("link", name=name, exact=True))

    def ask(self, verb: str, names: tuple[str, ...], comment: str) -> Locator:
        """Select the tasks, ask, and confirm; the dialog, which shows the checks from then on."""
        self.page.goto(self.url)
        for name in names:
            self.row(name).get_by_role("checkbox").check()
        self.page.get_by_role("toolbar").get_by_role("button", name=verb, exact=False).first.click()
        dialog = self.page.locator("#slot dialog")
        expect(dialog).to_contain_text("Freeze guard")
        for name in names:
            expect(dialog).to_contain_text(name)
        dialog.get_by_label("Comment").fill(comment)
        dialog.get_by_role("button", name=f"{verb} {len(names)} tasks", exact=True).click()
        return dialog

    def expect_recurrence(self, names: tuple[str, ...], word: str) -> None:
        self.page.goto(self.url)
        for name in names:
            expect(self.row(name)).to_contain_text(word)


@pytest.fixture
def tasks(operator: Page, demo: dict[str, Any], b: dict[str, Any]) -> TaskList:
    return TaskList(operator, demo, b)


def test_a_person_is_blocked_relaxes_the_rule_freezes_and_thaws(
    tasks: TaskList, rules: Callable[..., None], lab: Lab, b: dict[str, Any]
) -> None:
    rules(most_tasks_at_once=2)
    dialog = tasks.ask("Freeze", THREE, "The source is down tonight")
    expect(dialog).to_contain_text("At most 2 tasks may be frozen at once", timeout=WITHIN)
    expect(dialog).to_contain_text("Blocked")
    dialog.get_by_role("link", name="Open its page").click()
    expect(tasks.page.get_by_role("main")).to_contain_text("At most 2 tasks may be frozen at once")
    expect(tasks.page.get_by_role("main")).to_contain_text("The source is down tonight")
    tasks.expect_recurrence(THREE, "Normal")

    rules(most_tasks_at_once=3)
    dialog = tasks.ask("Freeze", THREE, "Agreed with the owner")
    expect(dialog).to_contain_text("Applied", timeout=WITHIN)
    tasks.expect_recurrence(THREE, "Frozen")
    born = lab.ask("tomorrow", str(b["workspace_id"]))
    assert all(all(born[name]) for name in THREE), "tomorrow's instances are born frozen"
    assert not any(any(frozen) for name, frozen in born.items() if name not in THREE)

    dialog = tasks.ask("Unfreeze", THREE, "The source is back")
    expect(dialog).to_contain_text("Applied", timeout=WITHIN)
    tasks.expect_recurrence(THREE, "Normal")
    born = lab.ask("tomorrow", str(b["workspace_id"]))
    assert not any(any(born[name]) for name in THREE)


def test_a_closed_tab_loses_nothing(tasks: TaskList, stack: Stack, rules: Callable[..., None]) -> None:
    """While the guard hangs, the operation waits and the top bar says so; it goes on without the page that asked."""
    rules(most_tasks_at_once=3)
    (guard,) = [one for one in stack.tree() if "guard.py" in " ".join(one.cmdline())]
    guard.suspend()
    try:
        dialog = tasks.ask("Freeze", TWO, "Nobody looks at this")
        expect(dialog).to_contain_text("Checking")
        tasks.page.goto("about:blank")
        tasks.expect_recurrence(TWO, "Normal")
        tasks.page.locator(".topbar").get_by_role("button", name="check", exact=False).click()
        tasks.page.locator(".topbar").get_by_role("link", name="Freeze", exact=False).first.click()
        live = tasks.page.get_by_role("main")
        expect(live).to_contain_text("Checking")
    finally:
        guard.resume()
    expect(live).to_contain_text("Applied", timeout=WITHIN)
    tasks.expect_recurrence(TWO, "Frozen")
    expect(tasks.ask("Unfreeze", TWO, "")).to_contain_text("Applied", timeout=WITHIN)


def test_a_program_does_the_same(demo: dict[str, Any], b: dict[str, Any], rules: Callable[..., None]) -> None:
    client = Client(
        Config(
            access_key_id=b["access_key_id"],
            access_key_secret=b["access_key_secret"],
            endpoint=demo["endpoint"],
            protocol="http",
        )
    )
    numbers = [b["tasks"][name] for name in THREE]

    def change(recurrence: str) -> None:
        wanted = [
            models.BatchUpdateTasksRequestTasks(
                id=number, env_type="Prod", trigger=models.BatchUpdateTasksRequestTasksTrigger(recurrence=recurrence)
            )
            for number in numbers
        ]
        request = models.BatchUpdateTasksRequest(tasks=wanted, comment="by a program")
        answers = client.batch_update_tasks(request).body.success_info
        assert all(answer.success for answer in answers.values()), answers

    def recurrences() -> set[str]:
        got = (client.get_task(models.GetTaskRequest(id=number, project_env="Prod")) for number in numbers)
        return {answer.body.task.trigger.recurrence for answer in got}

    def latest() -> str:
        request = models.ListTaskOperationLogsRequest(id=numbers[0], project_env="Prod")
        logs = client.list_task_operation_logs(request).body.paging_info.operation_logs
        return str(logs[0].operation_content)

    def wait(condition: Callable[[], bool]) -> None:
        give_up = time.monotonic() + WITHIN / 1000
        while not condition():
            assert time.monotonic() < give_up
            time.sleep(0.1)

    rules(most_tasks_at_once=2)
    change("Pause")
    wait(lambda: "At most 2 tasks" in latest())
    assert recurrences() == {"Normal"}
    rules(most_tasks_at_once=3)
    change("Pause")
    wait(lambda: recurrences() == {"Pause"})
    change("Normal")
    wait(lambda: recurrences() == {"Normal"})
