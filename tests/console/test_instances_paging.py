"""Keyset pages: walking them shows every row once, in either direction, whatever the ties."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opscenter.base.reasons import Invalid
from opscenter.console.paging import Order, Page, page
from opscenter.production.models import Task, TaskInstance, WorkflowInstance
from tests.cast import MIDNIGHT, Cast

ORDER = Order(number="pk", moment="scheduled_at")


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


def _walk(rows: Any, order: Order, size: int) -> list[Page[Any]]:
    pages = [page(rows, order, QueryDict(), size)]
    while pages[-1].after is not None:
        pages.append(page(rows, order, {"after": pages[-1].after}, size))
    return pages


def _walk_back(rows: Any, order: Order, size: int, start: Page[Any]) -> list[Page[Any]]:
    pages = [start]
    while pages[-1].before is not None:
        pages.append(page(rows, order, {"before": pages[-1].before}, size))
    return pages


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes=st.lists(st.integers(0, 3), max_size=12), size=st.integers(1, 5))
def test_all_pages_together_are_all_rows_once(cast: Cast, minutes: list[int], size: int) -> None:
    TaskInstance.objects.all().delete()
    task = Task.objects.first() or cast.task("paged")
    for minute in minutes:
        family = cast.run_family(kind=WorkflowInstance.Type.SMOKE_TEST)
        cast.instance(task, workflow_instance=family, scheduled_at=MIDNIGHT + timedelta(minutes=minute, microseconds=7))
    rows = TaskInstance.objects.all()
    expected = list(rows.order_by("-scheduled_at", "-pk"))
    there = _walk(rows, ORDER, size)
    assert [row for one in there for row in one.rows] == expected
    back = _walk_back(rows, ORDER, size, there[-1])
    assert [row for one in reversed(back) for row in one.rows] == expected


@pytest.mark.django_db
def test_rows_that_arrive_shift_nothing(cast: Cast) -> None:
    tasks = [cast.task(f"task_{index}") for index in range(6)]
    rows = Task.objects.filter(workspace=cast.workspace)
    order = Order(number="number")
    first = page(rows, order, QueryDict(), 3)
    cast.task("arrived")
    second = page(rows, order, {"after": first.after or ""}, 3)
    assert [task.pk for task in (*first.rows, *second.rows)] == [task.pk for task in reversed(tasks)]


@pytest.mark.parametrize(
    "text", ["", "1", "1.2.3", "a.b", "1.x", "-.1", "9" * 30 + ".1", "1." + "9" * 19, "1e3.4", "１.２"]
)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        ORDER.read(text)
    assert refused.value.reason.code == "paging.cursor"


def test_a_cursor_keeps_microseconds() -> None:
    moment = datetime(2026, 11, 21, 1, 2, 3, 456789, tzinfo=UTC)
    row = TaskInstance(pk=12, scheduled_at=moment)
    assert ORDER.read(ORDER.cursor(row)) == [moment, 12]
