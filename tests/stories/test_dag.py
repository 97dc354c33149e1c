"""A person looks around in the graph of a task with mouse and keyboard, and takes the last of the pipeline out of production."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack import Stack
from tests.stories.browser import chromium, sign_in

pytestmark = [pytest.mark.processes, pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def demo() -> Iterator[dict[str, Any]]:
    with Stack() as stack:
        yield json.loads(stack.manage("demo", "--json", timeout=120))


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, demo: dict[str, Any]) -> Page:
    account = next(one for one in demo["accounts"] if one["role"] == "role_project_admin")
    signed_in = sign_in(browser, demo["console"], account)
    signed_in.set_default_timeout(20_000)
    return signed_in


def open_task(page: Page, demo: dict[str, Any], name: str) -> None:
    page.goto(f"{demo['console']}w/{demo['tenants'][0]['workspace_id']}/prod/tasks/")
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def seen(page: Page) -> list[float]:
    """The part of the drawing that is seen: x, y, width, height."""
    box = page.locator("[data-dag-canvas]").get_attribute("viewBox") or ""
    return [float(part) for part in box.split()]


def _look_around(page: Page, demo: dict[str, Any]) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    open_task(page, demo, "fact_sales")
    page.get_by_role("link", name="DAG").click()
    boxes = page.locator(".dag-box")
    expect(boxes).to_have_count(4)
    canvas = page.locator("[data-dag-canvas]")

    canvas.focus()
    whole = seen(page)
    page.keyboard.press("ArrowLeft")
    assert seen(page)[0] < whole[0] and seen(page)[2:] == whole[2:]
    page.keyboard.press("-")
    assert seen(page)[2] > whole[2]
    page.keyboard.press("1")
    size = canvas.bounding_box()
    assert size is not None and abs(seen(page)[2] - size["width"]) < 1
    page.keyboard.press("0")
    assert seen(page) == whole

    x, y = size["x"] + 20, size["y"] + 20  # nothing is drawn there
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"document.querySelector('[data-dag-canvas]').viewBox.baseVal.width < {whole[2]}")
    page.keyboard.press("0")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y + 50, steps=4)
    page.mouse.up()
    assert seen(page)[0] < whole[0] and seen(page)[1] < whole[1]
    page.keyboard.press("0")

    page.locator("a.dag-handle").last.click()
    expect(boxes).to_have_count(5)
    page.get_by_role("link", name="One more level upstream").click()
    expect(boxes).to_have_count(7)
    page.get_by_text("The same as a list").click()
    expect(page.get_by_role("row", name="clean_orders Shell")).to_contain_text("ingest_orders")
    page.locator(".dag-box", has_text="quality_check").click()
    expect(page.get_by_role("heading", name="quality_check")).to_be_visible()
    assert errors == []


def _undeploy_the_last(page: Page, demo: dict[str, Any]) -> None:
    open_task(page, demo, "quality_check")
    kept = page.get_by_role("button", name="More")
    kept.click()
    refused = page.locator("[aria-disabled=true]", has_text="Undeploy")
    expect(refused).to_have_attribute(
        "title", "Tasks wait for “quality_check”: “publish_report”. Undeploy them first, or together with it."
    )
    open_task(page, demo, "publish_report")
    page.get_by_role("button", name="More").click()
    page.get_by_role("link", name="Undeploy").click()
    dialog = page.get_by_role("dialog", name="Undeploy 1 task?")
    expect(dialog).to_contain_text("publish them to bring the tasks back")
    dialog.get_by_role("button", name="Undeploy 1 task").click()
    expect(page.locator(".tag", has_text="Offline")).to_be_visible()
    open_task(page, demo, "quality_check")
    expect(page.get_by_text("No task waits for it.")).to_be_visible()


def test_a_person_looks_around_and_takes_the_last_task_out_of_production(page: Page, demo: dict[str, Any]) -> None:
    _look_around(page, demo)
    _undeploy_the_last(page, demo)  # after it the graph is another one
