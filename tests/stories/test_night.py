"""A night went wrong: an engineer on call finds the culprit and repairs it, sets the rest to succeeded, walks the graph; all
in a workspace of their own, with real processes and a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack import Stack
from tests.stories.browser import sign_in
from tests.stories.conftest import FAILED

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.timeout(300)]

PATIENCE = 30_000
"""Milliseconds for what workers do, on a busy machine."""


@pytest.fixture
def engineer(browser: Browser, shared_stack: Stack, night: dict[str, Any]) -> Iterator[Page]:
    page = sign_in(browser, shared_stack.url, night["accounts"]["role_project_pe"])
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.context.close()
    assert errors == []


def test_a_graph_is_opened_grown_and_walked_by_keyboard(engineer: Page, home: str, night: dict[str, Any]) -> None:
    engineer.goto(f"{home}/instances/{night['culprit']}/")
    engineer.get_by_role("link", name="DAG").click()
    boxes = engineer.locator(".dag-box")
    expect(boxes).to_have_count(5)
    engineer.get_by_role("link", name="One more level downstream").click()
    expect(boxes).to_have_count(41)
    canvas = engineer.locator("[data-dag-canvas]")
    canvas.focus()
    engineer.keyboard.press("1")
    before = canvas.get_attribute("viewBox")
    engineer.keyboard.press("ArrowRight")
    assert canvas.get_attribute("viewBox") != before
    for _ in range(50):
        engineer.keyboard.press("Tab")
        if engineer.locator(":focus").inner_text().startswith("store_west_9"):
            break
    engineer.keyboard.press("Enter")
    expect(engineer.get_by_role("heading", name="store_west_9")).to_be_visible()


def test_forty_instances_wait_and_the_culprit_is_repaired(
    engineer: Page, home: str, night: dict[str, Any], export: Path
) -> None:
    engineer.goto(f"{home}/instances/")
    expect(engineer.locator(".waiting-line")).to_contain_text("40 instances wait because of read_stock. It failed.")
    engineer.get_by_role("link", name="Why instances wait").click()
    expect(engineer.locator(".condition")).to_have_count(1)
    engineer.get_by_role("link", name="Show them").click()
    expect(engineer.locator("#instances tbody tr")).to_have_count(40)
    engineer.go_back()
    engineer.locator(".condition").get_by_role("link", name="read_stock").click()
    expect(engineer.locator("#log")).to_contain_text("FAIL  the export is not there")

    export.touch()
    engineer.get_by_role("button", name="More").click()
    engineer.get_by_role("link", name="Rerun with downstream").click()
    dialog = engineer.get_by_role("dialog", name="Rerun 1 instance with downstream?")
    dialog.locator("summary", has_text="stock_north").locator("> svg").click()
    dialog.get_by_role("checkbox", name="store_north_3").check()
    expect(dialog.get_by_role("checkbox", name="stock_north")).to_be_checked()  # it leads there
    expect(dialog.get_by_role("checkbox", name="stock_east")).not_to_be_checked()
    dialog.get_by_label("Comment").fill("The export came late")
    dialog.get_by_role("button", name="Rerun 1 instance with downstream").click()
    expect(engineer.locator(".page-head")).to_contain_text("Succeeded", timeout=PATIENCE)
    engineer.get_by_role("link", name="History", exact=True).click()
    expect(engineer.locator(".timeline")).to_contain_text("The export came late")
    engineer.goto(f"{home}/instances/?q=store_&state=success")
    expect(engineer.locator("#instances tbody tr")).to_have_count(36, timeout=PATIENCE)
    engineer.goto(f"{home}/instances/waiting/")
    expect(engineer.get_by_role("heading", name="Nothing waits")).to_be_visible()


def test_all_that_match_are_set_to_succeeded_by_a_job(engineer: Page, home: str) -> None:
    engineer.goto(f"{home}/instances/?q=mail_&state=failure")
    rows = engineer.locator("#instances tbody tr")
    expect(rows).to_have_count(50)
    rows.first.get_by_role("checkbox").check()
    bar = engineer.get_by_role("toolbar")
    bar.get_by_text("All that match the filters").click()
    expect(bar).to_contain_text("All selected")
    bar.get_by_role("button", name="Set to succeeded").click()
    dialog = engineer.get_by_role("dialog", name=f"Set {FAILED} instances to succeeded?")
    dialog.get_by_label("Comment").fill("Mails of yesterday are worth nothing today")
    dialog.get_by_role("button", name=f"Set {FAILED} instances to succeeded").click()
    engineer.wait_for_url("**/operations/*/")
    expect(engineer.locator(".page-head")).to_contain_text("Applied", timeout=PATIENCE)
    expect(engineer.get_by_text(f"Done for all {FAILED} objects.")).to_be_visible()
    with engineer.expect_download() as download:
        engineer.get_by_role("link", name="CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == FAILED + 1
    assert sum("mail_" in line for line in lines) == FAILED
    engineer.goto(f"{home}/instances/?q=mail_&state=failure")
    expect(engineer.get_by_role("heading", name="No instance fits these filters")).to_be_visible()
