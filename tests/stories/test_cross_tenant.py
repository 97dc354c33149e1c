"""Tenant A opens tenant B's workflow, with real processes, a real browser and the official SDK (seed 002)."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from alibabacloud_dataworks_public20240518 import models
from alibabacloud_dataworks_public20240518.client import Client
from alibabacloud_tea_openapi.models import Config
from playwright.sync_api import Browser, Page, expect

from tests.stack import Stack
from tests.stories.browser import chromium, sign_in

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.timeout(400)]
ZONE = ZoneInfo("Asia/Shanghai")
WITHIN = 45_000
"""Milliseconds that something may take to be seen: a refresh of a quiet page and a start of Python."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as running:
        yield running


@pytest.fixture(scope="module")
def demo(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.manage("demo", "--json", timeout=120))
    assert json.loads((stack.data / "demo.json").read_text()) == found
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def b(demo) -> dict[str, Any]:
    return demo["tenants"][0]


@pytest.fixture(scope="module")
def a(demo) -> dict[str, Any]:
    return demo["tenants"][1]


class Api:
    """Tenant B through the official SDK."""

    def __init__(self, endpoint: str, tenant: dict[str, Any]) -> None:
        self.tenant = tenant
        self.client = Client(
            Config(
                access_key_id=tenant["access_key_id"],
                access_key_secret=tenant["access_key_secret"],
                endpoint=endpoint,
                protocol="http",
            )
        )

    def today(self, name: str) -> Any:
        """Today's instance of a task, as ListTaskInstances has it."""
        midnight = datetime.now(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
        request = models.ListTaskInstancesRequest(
            project_id=self.tenant["workspace_id"],
            bizdate=int((midnight - timedelta(days=1)).timestamp() * 1000),
            task_id=self.tenant["tasks"][name],
        )
        (found,) = self.client.list_task_instances(request).body.paging_info.task_instances
        return found

    def root(self) -> Any:
        """What the trigger waits for."""
        request = models.ListUpstreamTaskInstancesRequest(id=self.today("http_trigger").id)
        (found,) = self.client.list_upstream_task_instances(request).body.paging_info.task_instances
        return found

    def trigger(self) -> Any:
        """Call the trigger of today."""
        instance = self.today("http_trigger")
        request = models.TriggerSchedulerTaskInstanceRequest(
            task_id=instance.task_id, trigger_time=instance.trigger_time, env_type="Prod"
        )
        return self.client.trigger_scheduler_task_instance(request).body

    def rerun(self, *ids: int) -> None:
        """Rerun instances; each must be done."""
        body = self.client.rerun_task_instances(models.RerunTaskInstancesRequest(ids=list(ids))).body
        assert all(result.success for result in body.success_info.values()), body.success_info


@pytest.fixture(scope="module")
def api(demo, b) -> Api:
    return Api(demo["endpoint"], b)


def until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.2)


def open_instance(page: Page, demo: dict[str, Any], tenant: dict[str, Any], pk: int) -> None:
    page.goto(f"{demo['console']}w/{tenant['workspace_id']}/prod/instances/{pk}/")


def operator_of(demo: dict[str, Any]) -> dict[str, Any]:
    return next(account for account in demo["accounts"] if account["role"] == "role_project_pe")


def test_story(stack, demo, a, b, api, browser):
    """One after the other, as it happens; each part starts from where the one before ended."""
    at_b = sign_in(browser, demo["console"], operator_of(demo))
    at_a = sign_in(browser, demo["console"], a["account"])
    tenant_a_opens_it(demo, a, b, api, at_a, at_b)
    calling_again_has_no_effect(demo, b, api, at_b)
    a_call_before_the_upstream_is_held_and_fires_then(stack, demo, b, api, browser)


def tenant_a_opens_it(demo, a, b, api, at_a, at_b):
    trigger, shell = api.today("http_trigger"), api.today("shell_1")
    assert (trigger.status, shell.status) == ("WaitTrigger", "NotRun")
    at_b.goto(f"{demo['console']}w/{b['workspace_id']}/prod/instances/?task={b['tasks']['http_trigger']}")
    row = at_b.locator(f"#i{trigger.id}")
    expect(row).to_contain_text(re.compile("waiting for trigger", re.IGNORECASE))

    at_a.goto(f"{demo['console']}w/{a['workspace_id']}/prod/tasks/")
    at_a.get_by_role("link", name="trigger_http_node", exact=True).click()
    at_a.get_by_role("link", name="Run now").click()
    at_a.get_by_role("button", name="Run now").click()
    at_a.wait_for_url("**/instances/*/")
    log = at_a.locator("#log")
    expect(log).to_contain_text(f"Triggering task {b['tasks']['http_trigger']} (Prod)", timeout=WITHIN)
    expect(log).to_contain_text('"Success": true', timeout=WITHIN)
    expect(at_a.locator(".page-head")).to_contain_text("Succeeded", timeout=WITHIN)

    expect(row).to_contain_text("Succeeded", timeout=WITHIN)  # by itself: nobody reloaded the page
    until(lambda: api.today("shell_1").status == "Success")
    answer = api.client.get_task_instance(models.GetTaskInstanceRequest(id=trigger.id)).body.task_instance
    assert (answer.status, answer.task_id) == ("Success", b["tasks"]["http_trigger"])
    printed = api.client.get_task_instance_log(models.GetTaskInstanceLogRequest(id=shell.id)).body.task_instance_log
    assert "DataWorks" in printed
    open_instance(at_b, demo, b, shell.id)
    expect(at_b.locator("#log")).to_contain_text("DataWorks")
    open_instance(at_b, demo, b, trigger.id)
    receipts = at_b.locator(".timeline > li")
    expect(receipts).to_have_count(1)
    expect(receipts).to_contain_text("Fired")
    expect(receipts).to_contain_text(b["access_key_id"])


def calling_again_has_no_effect(demo, b, api, at_b):
    trigger, shell = api.today("http_trigger"), api.today("shell_1")
    assert api.trigger().success is True
    assert api.today("http_trigger").finished_time == trigger.finished_time
    assert api.today("shell_1").run_number == shell.run_number
    open_instance(at_b, demo, b, trigger.id)
    receipts = at_b.locator(".timeline > li")
    expect(receipts).to_have_count(2)
    expect(receipts.first).to_contain_text("No effect")


def a_call_before_the_upstream_is_held_and_fires_then(stack, demo, b, api, browser):
    trigger, shell = api.today("http_trigger"), api.today("shell_1")
    api.rerun(trigger.id)
    assert api.today("http_trigger").status == "WaitTrigger"  # its old command is spent
    (scheduler,) = stack.pids("scheduler")
    os.kill(scheduler, signal.SIGSTOP)  # it is what lets a zero-load node succeed again
    try:
        api.rerun(api.root().id)
        assert api.today("http_trigger").status == "NotRun"
        assert api.trigger().success is True
        assert api.today("http_trigger").status == "NotRun"
        page = sign_in(browser, demo["console"], operator_of(demo))
        open_instance(page, demo, b, trigger.id)
        expect(page.locator(".timeline > li").first).to_contain_text("Held")
    finally:
        os.kill(scheduler, signal.SIGCONT)
    until(lambda: api.today("http_trigger").status == "Success")
    again = api.today("shell_1")
    assert (again.status, again.run_number) == ("Success", shell.run_number)  # what succeeded is not run again
    expect(page.locator(".timeline > li").first).to_contain_text("Fired", timeout=WITHIN)
