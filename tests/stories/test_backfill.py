"""A person backfills lost days under an extension's eyes, and then a whole year: real processes, a real browser."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

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
def stack() -> Iterator[Stack]:
    with Stack() as running:
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
    # more than is done at once: a worker does it, and the operation's page shows what became of each instance
    expect(head.get_by_text("Applied")).to_be_visible(timeout=WITHIN)
    page.locator("a[data-row-link]", has_text="P_ingest_orders_").first.click()
    expect(head.get_by_text("Stopped")).to_be_visible()
    expect(page.locator(".chips").get_by_text("Running")).to_have_count(0, timeout=WITHIN)
