"""Nodes that would be isolated are found before and when they are published."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from opscenter.base import clock
from opscenter.console.drafts import draft, look_at
from opscenter.engine import generate
from opscenter.operations.drafts import import_document
from opscenter.operations.publish import publish
from opscenter.production.models import Task, TaskInstance
from tests.workflows.cast import Cast, document, node

NOON = datetime(2026, 11, 21, 4, tzinfo=UTC)
"""12:00 in Shanghai, where the tenant is."""


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON)


def told(cast: Cast, *nodes: dict[str, Any], **workflow: Any) -> list[tuple[str, str]]:
    """Publish these; the warnings of isolation, which the drafts' page has told before."""
    drafts = import_document(cast.owner, cast.workspace, document(*nodes, **workflow)).nodes
    looked = [draft(one) for one in drafts]
    look_at(cast.workspace, looked)
    warnings = publish(cast.owner, cast.workspace, drafts, "try").warnings
    assert len([one for each in looked for one in each.warnings]) == len(warnings)
    return [(one.node_name, one.reason.code.removeprefix("publish.")) for one in warnings]


def period(start: str = "1970-01-01 00:00:00", end: str = "9999-01-01 00:00:00") -> dict[str, str]:
    return {"cron": "00 30 00 * * ?", "startTime": start, "endTime": end}


def test_at_once_behind_what_starts_tomorrow_there_is_nothing_today(cast: Cast) -> None:
    found = told(
        cast,
        node("a"),
        node("b", "a", instanceMode="Immediately"),
        node("c", "b", instanceMode="Immediately"),
        node("d", instanceMode="Immediately"),
        node("e", "d", "a", instanceMode="Immediately"),
    )
    assert found == [("b", "isolated_today"), ("c", "isolated_today")]
    today = TaskInstance.objects.filter(bizdate=date(2026, 11, 20), task__is_root=False)
    assert set(today.values_list("task__name", flat=True)) == {"d", "e"}
    generate.generate_day(cast.tenant, date(2026, 11, 21))
    assert isolated("b") is None  # it is published for tomorrow; the night that made today did not know it
    generate.generate_day(cast.tenant, date(2026, 11, 22))
    assert [isolated(name) for name in "abcde"] == [None] * 5
    assert TaskInstance.objects.filter(bizdate=date(2026, 11, 21), task__is_root=False).count() == 5


def test_what_has_instances_today_is_enough_though_it_is_not_published_again(cast: Cast) -> None:
    told(cast, node("a", instanceMode="Immediately"))
    assert told(cast, node("b", "a", instanceMode="Immediately"), id="w2", name="Other") == []


def test_from_half_past_eleven_on_nothing_is_made_today_anyway(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(hours=11, minutes=31))
    assert told(cast, node("a"), node("b", "a", instanceMode="Immediately")) == []


def isolated(name: str) -> date | None:
    """The day for which the task's page says that it is isolated."""
    return generate.isolated_on(Task.objects.select_related("workspace__tenant", "version").get(name=name))


def test_a_task_that_the_night_left_out_says_so_on_its_page(cast: Cast, client: Client) -> None:
    told(cast, node("a", trigger=period(end="2026-11-21 23:00:00")), node("b", "a"), node("c", "b"), node("d"))
    generate.generate_day(cast.tenant, date(2026, 11, 22))
    found = {name: isolated(name) for name in "abcd"}
    assert found == {"a": None, "b": date(2026, 11, 22), "c": date(2026, 11, 22), "d": None}
    client.force_login(cast.owner.user)
    pages = {name: _page(client, cast, name) for name in "bd"}
    assert "It has no instances on 2026-11-22" in pages["b"] and "It has no instances" not in pages["d"]
    Task.objects.filter(name="b").update(status=Task.Status.OFFLINE)
    assert isolated("b") is None


def _page(client: Client, cast: Cast, name: str) -> str:
    number = Task.objects.get(name=name).number
    return client.get(f"/w/{cast.workspace.pk}/prod/tasks/{number}/").content.decode()


PERIODS = [
    (period(), period(), []),
    (period("2027-01-01 00:00:00"), period(), ["isolated_until"]),
    (period(end="2027-01-01 00:00:00"), period(), ["isolated_after"]),
    (period("2027-01-01 00:00:00", "2028-01-01 00:00:00"), period(), ["isolated_until", "isolated_after"]),
    (period("2027-01-01 00:00:00"), period("2027-01-01 00:00:00"), []),
    (period(end="2027-01-01 00:00:00"), period(end="2026-12-01 00:00:00"), []),
    (period(), period("2027-01-01 00:00:00", "2028-01-01 00:00:00"), []),
]


@pytest.mark.parametrize(("upstream", "mine", "expected"), PERIODS)
@pytest.mark.parametrize("together", [True, False])
def test_an_effective_period_that_the_upstream_does_not_cover(
    cast: Cast, upstream: dict[str, str], mine: dict[str, str], expected: list[str], together: bool
) -> None:
    above, below = node("a", trigger=upstream), node("b", "a", trigger=mine)
    if together:
        found = told(cast, above, below)
    else:
        told(cast, above)
        found = told(cast, below, id="w2", name="Other")
    assert found == [("b", code) for code in expected]


def test_one_upstream_that_covers_it_is_enough(cast: Cast) -> None:
    short = node("a", trigger=period(end="2027-01-01 00:00:00"))
    assert told(cast, short, node("long"), node("b", "a", "long")) == []
