"""A person backfills lost days under an extension's eyes, and then a whole year: real processes, a real browser."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.base.mailbox import Mailbox
from tests.stack import Stack
from tests.stories.browser import chromium, sign_in

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.timeout(300)]

WITHIN = 60_000
"""Milliseconds for a dozen shells on a busy machine."""
GUARD_BACKFILLS = (
    "from extensions.models import Extension;"
    "Extension.objects.update(points=['freeze-node', 'unfreeze-node', 'backfill-data'])"
)


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with Mailbox() as opened:
        yield opened


@pytest.fixture(scope="module")
def stack(box: Mailbox) -> Iterator[Stack]:
    with Stack({"OPSCENTER_MAIL_URL": f"smtp://127.0.0.1:{box.port}"}) as running:
        running.manage("shell", "-c", GUARD_BACKFILLS)
        yield running


@pytest.fixture(scope="module")
def demo(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.manage("demo", "--json", timeout=120))
    return found


@pytest.fixture(scope="module")
def page(stack: Stack, demo: dict[str, Any]) -> Iterator[Page]:
    account = next(one for one in demo["accounts"] if one["role"] == "role_project_pe")
    with chromium() as browser:
        yield sign_in(browser, f"{stack.url}/", account)


def dialog(page: Page, first: str, last: str) -> None:
    """From the task's page to its preview, with everything that comes after the task."""
    page.get_by_role("link", name="Tasks", exact=True).first.click()
    page.get_by_role("link", name="ingest_orders", exact=True).first.click()
    page.locator(".page-actions").get_by_role("link", name="Backfill").click()
    page.get_by_text("These and what comes after them").click()
    page.get_by_label("From").first.fill(first)
    page.get_by_label("until").first.fill(last)


def test_lost_days_run_again_one_after_the_other_once_the_guard_has_passed_them(page: Page) -> None:
    dialog(page, "2026-11-02", "2026-11-03")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name=re.compile("10 instances: 5 tasks, 2 business dates"))).to_be_visible()
    expect(page.get_by_text("Checked by 1 extension first: Freeze guard")).to_be_visible()
    page.get_by_role("button", name="Backfill 10 instances").click()
    # the guard's verdict arrives while the page is open, and the page goes on by itself
    expect(page.get_by_text("10 of 10 instances succeeded")).to_be_visible(timeout=WITHIN)
    expect(page.locator(".page-head").get_by_text("Succeeded")).to_be_visible()
    page.get_by_role("link", name="2026-11-03").click()
    page.locator("a[data-row-link]", has_text="publish_report").click()
    expect(page.get_by_text("Sales of 20261103")).to_be_visible()
    page.get_by_role("link", name=re.compile("P_ingest_orders_")).first.click()
    expect(page.get_by_text("10 of 10 instances succeeded")).to_be_visible()


def test_who_wants_a_mail_when_it_ends_gets_one(page: Page, stack: Stack, box: Mailbox) -> None:
    page.goto(f"{stack.url}/profile/")
    page.get_by_role("link", name="Change mail address").click()
    page.get_by_role("textbox", name="Mail address").fill("night.shift@example.com")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("night.shift@example.com")).to_be_visible()
    page.goto(stack.url)
    dialog(page, "2026-11-02", "2026-11-02")
    page.get_by_text("These tasks Current node").click()
    page.get_by_text("More settings").click()
    page.get_by_label("When it ends").select_option("SuccessFailure")
    page.get_by_label("By mail too").check()
    page.get_by_label("Name", exact=False).last.fill("lost monday")
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Backfill 1 instance").click()
    expect(page.get_by_text(re.compile("1 of 1 instances? succeeded"))).to_be_visible(timeout=WITHIN)
    deadline = time.monotonic() + WITHIN / 1000
    while not box.mails and time.monotonic() < deadline:
        time.sleep(0.1)
    (letter,) = box.mails
    assert letter["To"] == "night.shift@example.com"
    assert "“lost monday” has succeeded" in letter["Subject"]
    assert re.sub(r"^https?://[^/]+", "", page.url) in letter.get_content()
    page.reload()
    expect(page.locator("dl").get_by_text("Sent")).to_be_visible()


def test_tasks_are_found_as_one_types_and_taken_back_by_the_keyboard_alone(page: Page) -> None:
    dialog(page, "2026-11-02", "2026-11-02")
    field, chips = page.get_by_label("Leave out"), page.locator(".chip")
    for word, name in (("qual", "quality_check"), ("report", "publish_report")):
        field.press_sequentially(word)
        expect(page.get_by_role("button", name=name)).to_be_visible()
        page.keyboard.press("Enter")
        expect(chips.filter(has_text=name)).to_be_visible()
        expect(field).to_be_focused()
    field.press_sequentially("s")
    expect(page.get_by_role("button", name="fact_sales")).to_be_visible()
    found = page.locator("#backfill_exclude_found [data-pick]")
    names = found.locator(".cut").all_inner_texts()
    assert len(names) > 1 and not {"quality_check", "publish_report"} & set(names)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(chips.filter(has_text=names[1])).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(chips.filter(has_text=names[1])).to_have_count(0)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("3 Runs")).to_be_visible()
    expect(page.get_by_text("2 Dry run")).to_be_visible()


def test_a_whole_year_is_made_in_the_background_and_starts_when_asked_to(page: Page) -> None:
    dialog(page, "2024-01-01", "2025-06-30")
    page.get_by_text("More settings").click()
    page.get_by_label("Do not start it yet").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("made in the background")).to_be_visible()
    page.get_by_role("button", name="Backfill 2735 instances").click()
    head = page.locator(".page-head")
    expect(head.get_by_text("Not started")).to_be_visible(timeout=WITHIN)
    expect(page.get_by_text("0 of 2735 instances succeeded")).to_be_visible()
    head.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume 1 backfill").click()
    expect(head.get_by_text("Running")).to_be_visible()
    head.get_by_role("link", name="Stop all").click()
    page.get_by_role("button", name="Stop 1 backfill").click()
    expect(head.get_by_text("Stopped")).to_be_visible()
    expect(page.locator(".chips").get_by_text("Running")).to_have_count(0, timeout=WITHIN)
