"""A real browser, and a person in it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str:
    """Where the browser is: OPSCENTER_CHROMIUM, or the one on the PATH."""
    names = (os.environ.get("OPSCENTER_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    assert found, "These tests need Chromium: install the package chromium, or set OPSCENTER_CHROMIUM to its path."
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, closed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def sign_in(browser: Browser, url: str, account: dict[str, Any], **context: Any) -> Page:
    """A page of a session of its own, signed in."""
    page = browser.new_context(**context).new_page()
    page.goto(url)
    page.locator("input[name=username]").fill(account["username"])
    page.locator("input[name=password]").fill(account["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/instances/**")
    return page
