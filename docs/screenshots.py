"""Takes the pictures of README.md and docs/tour.md from the running demo: .venv/bin/python -m docs.screenshots

Follows the tour, so it changes the demo: take the pictures from a fresh one.
"""

import base64
import json
import struct
import subprocess
import sys
import zlib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, Page, expect

from tests.stories.browser import chromium, sign_in

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 800}
TIME_ZONE = "Asia/Shanghai"
"""Of the demo's tenants."""


def demo() -> dict[str, Any]:
    """What the demo is."""
    command = [sys.executable, str(ROOT / "manage.py"), "demo", "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def take(page: Page, name: str) -> None:
    """One picture, without the pointer's traces."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(400)  # transitions
    picture = page.screenshot()
    blank = page.context.new_page()
    rgba = base64.b64decode(blank.evaluate(UNPACK, base64.b64encode(picture).decode()))
    blank.close()
    (IMAGES / f"{name}.png").write_bytes(png(rgba, SIZE["width"], SIZE["height"]))


UNPACK = """async (packed) => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${packed}`)).blob());
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  const { data } = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
  const parts = Array.from({ length: Math.ceil(data.length / 32768) }, (_, n) => data.subarray(n * 32768, (n + 1) * 32768));
  return btoa(parts.map((part) => String.fromCharCode(...part)).join(""));
}"""


def png(rgba: bytes, width: int, height: int) -> bytes:
    """A picture without transparency, packed as well as zlib can; the browser's own are a quarter larger."""
    rgb = bytearray(width * height * 3)
    for colour in range(3):
        rgb[colour::3] = rgba[colour::4]
    rows = b"".join(b"\0" + rgb[at : at + width * 3] for at in range(0, len(rgb), width * 3))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def look_around(page: Page, prod: str, tasks: dict[str, int]) -> None:
    """What waits and why, the graph around the failed check, and a week that is run again."""
    page.goto(f"{prod}instances/waiting/?bizdate=all")
    expect(page.locator(".condition").first).to_be_visible()
    take(page, "why-light")
    page.goto(f"{prod}instances/?bizdate=all&state=failure&task={tasks['quality_check']}")
    page.get_by_role("link", name="quality_check", exact=True).click()
    page.get_by_role("link", name="DAG").click()
    for seen in (5, 7, 8):
        page.get_by_role("link", name="One more level upstream").click()
        expect(page.locator(".dag-box")).to_have_count(seen)
    page.locator("[data-dag-do=fit]").click()
    take(page, "dag-light")


def run_a_week_again(page: Page, prod: str, tasks: dict[str, int]) -> None:
    """A backfill of everything after the orders, for seven business dates."""
    page.goto(f"{prod}tasks/{tasks['ingest_orders']}/")
    page.locator(".page-actions").get_by_role("link", name="Backfill").click()
    page.get_by_label("These and what comes after them").check()
    page.get_by_label("From").first.fill((date.today() - timedelta(days=8)).isoformat())
    page.get_by_label("until").first.fill((date.today() - timedelta(days=2)).isoformat())
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Backfill 35 instances").click()
    page.wait_for_url("**/backfills/*/")
    page.wait_for_timeout(6000)  # some of it is done
    take(page, "backfill-light")


def main(browser: Browser, found: dict[str, Any]) -> None:
    """All pictures, in the tour's order."""
    b, a = found["tenants"]
    operator = next(account for account in found["accounts"] if account["role"] == "role_project_pe")
    at_b = sign_in(browser, found["console"], operator, viewport=SIZE, color_scheme="light")
    in_the_dark = sign_in(browser, found["console"], operator, viewport=SIZE, color_scheme="dark")
    prod = f"{found['console']}w/{b['workspace_id']}/prod/"
    today = datetime.now(ZoneInfo(TIME_ZONE)).date()
    at_b.goto(f"{prod}instances/?bizdate=all&scheduled_to={today}T04:00:00")  # the nights, without the stores' hours
    take(at_b, "instances-light")
    look_around(at_b, prod, b["tasks"])
    at_b.goto(f"{prod}instances/?task={b['tasks']['http_trigger']}")
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
    in_the_dark.goto(f"{prod}instances/?bizdate=all&state=failure")
    in_the_dark.get_by_role("link", name="quality_check", exact=True).click()
    expect(in_the_dark.locator("#log")).to_contain_text("FAIL")
    take(in_the_dark, "failed-dark")
    at_b.goto(f"{prod}tasks/")
    for name in ("publish_report", "quality_check", "store_events"):
        at_b.locator("tbody tr").filter(has_text=name).get_by_role("checkbox").check()
    at_b.get_by_role("toolbar").get_by_role("button", name="Freeze", exact=False).first.click()
    dialog = at_b.locator("#slot dialog")
    dialog.get_by_label("Comment").fill("The source is down tonight")
    dialog.get_by_role("button", name="Freeze 3 tasks", exact=True).click()
    expect(dialog).to_contain_text("Blocked", timeout=60_000)
    take(at_b, "blocked-light")
    run_a_week_again(at_b, prod, b["tasks"])


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    with chromium() as running:
        main(running, demo())
