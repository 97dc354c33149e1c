"""An administrator makes a role and gives it to a member, and writes an HTTP node in its form; with real processes and a real
browser."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack import Stack
from tests.stories.browser import sign_in

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.timeout(300)]

WORKFLOW = json.dumps(
    {
        "version": "1.1.0",
        "kind": "CycleWorkflow",
        "spec": {
            "workflows": [
                {
                    "name": "billing",
                    "nodes": [
                        {
                            "id": "1",
                            "name": "collect_bills",
                            "script": {"runtime": {"command": "DIDE_SHELL"}, "content": "echo hello"},
                            "trigger": {"type": "Scheduler", "cron": "00 30 02 * * ?"},
                        }
                    ],
                }
            ]
        },
    }
)


@pytest.fixture(scope="module")
def administrator(browser: Browser, shared_stack: Stack, night: dict[str, Any]) -> Iterator[Page]:
    page = sign_in(browser, shared_stack.url, night["accounts"]["role_project_admin"])
    page.set_default_timeout(20_000)
    yield page
    page.context.close()


def test_a_role_of_the_workspace_tells_its_member_what_it_lacks(
    administrator: Page, browser: Browser, shared_stack: Stack, home: str, night: dict[str, Any]
) -> None:
    visitor = night["accounts"]["role_project_guest"]
    at_visitor = sign_in(browser, shared_stack.url, visitor)
    at_visitor.goto(f"{home}/instances/{night['culprit']}/")
    expect(at_visitor.locator("[aria-disabled=true]", has_text="Rerun").first).to_be_visible()

    administrator.goto(f"{home}/members/roles/")
    administrator.get_by_role("link", name="New role").click()
    dialog = administrator.get_by_role("dialog", name="New role")
    dialog.get_by_label("Name").fill("Night watch")
    everywhere = dialog.get_by_role("group", name="Everywhere in the workspace")
    everywhere.get_by_label("Stop, rerun, set to succeeded, freeze and unfreeze instances").check()
    dialog.get_by_role("button", name="Make role").click()
    expect(administrator.get_by_role("row", name=re.compile("^Night watch"))).to_contain_text("nobody")
    administrator.goto(f"{home}/members/")
    administrator.get_by_role("row", name=visitor["username"]).get_by_role("link", name="Change roles").click()
    dialog = administrator.get_by_role("dialog", name="Roles of")
    dialog.get_by_label("Night watch").check()
    dialog.get_by_role("button", name="Save roles").click()
    expect(administrator.get_by_role("row", name=visitor["username"])).to_contain_text("Night watch")

    at_visitor.reload()
    expect(at_visitor.locator(".page-head").get_by_role("link", name="Rerun", exact=True)).to_be_visible()
    at_visitor.get_by_role("button", name="More").click()
    lacking = at_visitor.locator("#more-actions [aria-disabled=true]", has_text="Force rerun downstream")
    expect(lacking).to_have_attribute(
        "title",
        "You lack the permission “Force reruns of everything downstream” (instance.force_rerun). These roles have it: "
        "Workspace Owner, Workspace Administrator.",
    )
    at_visitor.keyboard.press("Escape")
    at_visitor.locator(".page-head").get_by_role("link", name="Rerun", exact=True).click()
    at_visitor.get_by_role("dialog").get_by_role("button", name="Rerun 1 instance").click()
    expect(at_visitor.locator("#log")).to_contain_text("FAIL", timeout=30_000)
    at_visitor.get_by_role("link", name="History", exact=True).click()
    expect(at_visitor.locator(".timeline")).to_contain_text(visitor["username"])

    # and is removed: the open page says so once, and asks no more
    at_visitor.goto(f"{home}/instances/?bizdate=all")
    administrator.goto(f"{home}/members/")
    administrator.get_by_role("row", name=visitor["username"]).get_by_role("link", name="Remove").click()
    administrator.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(administrator.get_by_role("row", name=visitor["username"])).to_have_count(0)
    at_visitor.evaluate("document.querySelectorAll('[data-refresh]').forEach((one) => { one.dataset.refresh = 0.5; })")
    said = at_visitor.locator("#toasts").get_by_text("you are not a member of it")
    expect(said).to_be_visible()
    expect(at_visitor.locator("#instances[data-refresh]")).to_have_count(0)
    at_visitor.wait_for_timeout(1500)  # three times as long as it would take to ask once more
    expect(said).to_have_count(1)
    at_visitor.reload()
    expect(at_visitor.locator("main")).to_contain_text("you are not a member of it")
    at_visitor.context.close()


def test_an_http_node_is_written_and_corrected_at_its_field(administrator: Page, home: str) -> None:
    administrator.goto(f"{home}/import/")
    administrator.get_by_label("Or the document itself").fill(WORKFLOW)
    administrator.get_by_role("button", name="Import", exact=True).click()
    administrator.get_by_role("link", name="Look at the drafts").click()
    administrator.get_by_role("link", name="HTTP node").click()
    administrator.get_by_label("Node name").fill("send_bills")
    administrator.get_by_label("Runs after").select_option("collect_bills")
    url = administrator.get_by_label("Request URL")
    url.fill("ftp://billing.example/bills")
    administrator.get_by_role("button", name="Add node").click()
    field = administrator.locator(".field", has=url)
    expect(field).to_contain_text("http")
    expect(url).to_have_attribute("aria-invalid", "true")
    expect(administrator.get_by_label("Node name")).to_have_value("send_bills")  # what was entered is kept
    url.fill("https://billing.example/bills?day=${bizdate}")
    administrator.get_by_role("button", name="Add node").click()
    expect(administrator.get_by_role("heading", name="send_bills")).to_be_visible()
    administrator.locator(".breadcrumb").get_by_role("link", name="billing").click()
    row = administrator.get_by_role("row", name="send_bills")
    expect(row).to_contain_text("collect_bills")
    expect(row).to_contain_text("New")
