"""Takes the pictures of README.md and docs/tour.md from the running demo: .venv/bin/python -m docs.screenshots

Follows the tour, so it changes the demo: take the pictures from a fresh one.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.stories.browser import chromium, sign_in

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 800}


def demo() -> dict[str, Any]:
    """What the demo is."""
    command = [sys.executable, str(ROOT / "manage.py"), "demo", "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def take(page: Page, name: str) -> None:
    """One picture, without the pointer's traces."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)  # transitions
    page.screenshot(path=IMAGES / f"{name}.png")


def main(browser: Browser, found: dict[str, Any]) -> None:
    """All pictures, in the tour's order."""
    b, a = found["tenants"]
    operator = next(account for account in found["accounts"] if account["role"] == "role_project_pe")
    at_b = sign_in(browser, found["console"], operator, viewport=SIZE, color_scheme="light")
    in_the_dark = sign_in(browser, found["console"], operator, viewport=SIZE, color_scheme="dark")
    take(at_b, "instances-light")
    at_b.goto(f"{found['console']}w/{b['workspace_id']}/prod/instances/?task={b['tasks']['http_trigger']}")
    at_b.get_by_role("link", name="http_trigger", exact=True).click()
    expect(at_b.locator(".page-head")).to_contain_text("http_trigger")
    take(at_b, "waiting-light")
    in_the_dark.goto(at_b.url)
    take(in_the_dark, "waiting-dark")
    at_a = sign_in(browser, found["console"], a["account"], viewport=SIZE, color_scheme="light")
    at_a.goto(f"{found['console']}w/{a['workspace_id']}/prod/tasks/{a['tasks']['trigger_http_node']}/run/")
    at_a.get_by_role("button", name="Run now").click()
    expect(at_a.locator(".page-head")).to_contain_text("Succeeded", timeout=60_000)
    expect(at_a.locator("#log")).to_contain_text("Success", timeout=60_000)
    take(at_a, "log-light")
    expect(at_b.locator(".timeline")).to_contain_text("Fired", timeout=60_000)
    take(at_b, "receipt-light")
    in_the_dark.goto(f"{found['console']}w/{b['workspace_id']}/prod/instances/?bizdate=all&state=failure")
    in_the_dark.get_by_role("link", name="quality_check", exact=True).click()
    expect(in_the_dark.locator("#log")).to_contain_text("FAIL")
    take(in_the_dark, "failed-dark")
    at_b.goto(f"{found['console']}w/{b['workspace_id']}/prod/tasks/")
    for name in ("publish_report", "quality_check", "store_events"):
        at_b.locator("tbody tr").filter(has_text=name).get_by_role("checkbox").check()
    at_b.get_by_role("toolbar").get_by_role("button", name="Freeze", exact=False).first.click()
    dialog = at_b.locator("#slot dialog")
    dialog.get_by_label("Comment").fill("The source is down tonight")
    dialog.get_by_role("button", name="Freeze 3 tasks", exact=True).click()
    expect(dialog).to_contain_text("Blocked", timeout=60_000)
    take(at_b, "blocked-light")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    with chromium() as running:
        main(running, demo())
