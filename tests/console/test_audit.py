"""The audit trail: complete in words, filtered by its address, paged without loss."""

import ast
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from opscenter.console.paging import SIZE
from opscenter.operations.actions import ACTIONS
from opscenter.operations.extension_permits import STEPS
from opscenter.operations.registry import OPERATIONS
from opscenter.workspaces import audit
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
TREE = Path(__file__).parents[2]


@pytest.fixture
def cast() -> Cast:
    return Cast()


def _record(cast: Cast, action: str = "resource.delete", name: str = "x", actor: User | None = None) -> AuditEntry:
    return audit.record(actor or cast.admin, "console", action, workspace=cast.workspace, obj=("resource", 7, name))


def _codes() -> set[str]:
    """Literals in the shape of action codes in every function of the product that records entries."""
    found = set()
    for folder in ("opscenter", "workflows", "extensions"):
        for path in (TREE / folder).rglob("*.py"):
            source = path.read_text()
            if "record(" not in source or path.name == "actions.py":
                continue
            for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
                name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                if name in ("record", "_record"):
                    found |= {
                        arg.value
                        for arg in call.args
                        if isinstance(arg, ast.Constant) and isinstance(arg.value, str) and "." in arg.value
                    }
    return found


def test_every_action_that_is_recorded_has_words() -> None:
    codes = _codes()
    assert len(codes) > 12
    derived = {spec.audit for spec in OPERATIONS.values()} | {step.audit for step in STEPS.values()}
    assert codes | derived == set(ACTIONS)


def test_entries_are_told_in_words(cast: Cast) -> None:
    told: dict[str, tuple[dict[str, Any], str]] = {
        "member.change_roles": ({"before": ["role_project_guest"], "after": ["role_project_pe"]}, "Visitor → O&amp;M"),
        "instance.rerun": (
            {"done": [1, 2], "refused": [3], "comment": "<b>late"},
            "2 instances, 1 refused: “&lt;b&gt;late”",
        ),
        "workflow.publish": ({"message": "fix", "tasks": [{}]}, "1 task: “fix”"),
        "resource.upload": ({"version": 3, "size": 1, "sha256": "ab" * 32}, "version 3"),
        "instance.trigger": ({"instance": 1, "outcome": "held", "reason": "x"}, "Held"),
        "workspace.update": ({"changed": {"periodic_scheduling": [True, False]}}, "on → off"),
        "task.run_now": ({"instance": 1, "bizdate": "2026-11-20", "comment": ""}, "business date 2026-11-20"),
        "workflow.import": ({"created": ["a"], "updated": [], "unchanged": 2, "warnings": 0}, "1 new, 0 changed, 2"),
    }
    for action, (params, _) in told.items():
        audit.record(cast.admin, "api", action, workspace=cast.workspace, obj=("task", 700000001, "t"), params=params)
    page = as_user(cast.operator).get(url(cast, "audit_list")).content.decode()
    for action, (_, words) in told.items():
        assert str(ACTIONS[action].name) in page, action
        assert words in page, action
    assert url(cast, "task", number=700000001) in page


def test_an_unknown_action_is_shown_as_it_is(cast: Cast) -> None:
    _record(cast, "odd.thing")
    assert "odd.thing" in as_user(cast.owner).get(url(cast, "audit_list")).content.decode()


def test_the_address_filters(cast: Cast) -> None:
    mine, other = _record(cast), _record(cast, "member.remove", actor=cast.owner)
    AuditEntry.objects.filter(pk=mine.pk).update(at=dt.datetime(2026, 11, 20, 23, 59, tzinfo=dt.UTC))
    AuditEntry.objects.filter(pk=other.pk).update(at=dt.datetime(2026, 11, 22, 0, 0, tzinfo=dt.UTC), object_id="8")
    client = as_user(cast.owner)

    def shown(**query: str) -> set[int]:
        return {row.entry.pk for row in client.get(url(cast, "audit_list"), query).context["rows"]}

    assert shown() == {mine.pk, other.pk}
    assert shown(actor="acme-adm") == {mine.pk}
    assert shown(action="member.remove") == {other.pk}
    assert shown(object="resource:7") == {mine.pk}
    assert shown(until="2026-11-20") == {mine.pk}
    assert shown(since="2026-11-21") == {other.pk}
    assert shown(since="2026-11-20", until="2026-11-22") == {mine.pk, other.pk}
    assert shown(face="api") == set()


def test_days_are_days_of_the_tenants_zone() -> None:
    cast = Cast(time_zone="Asia/Shanghai")
    entry = _record(cast)
    AuditEntry.objects.filter(pk=entry.pk).update(at=dt.datetime(2026, 11, 20, 17, 0, tzinfo=dt.UTC))
    client = as_user(cast.owner)
    assert client.get(url(cast, "audit_list"), {"since": "2026-11-21"}).context["rows"]
    assert not client.get(url(cast, "audit_list"), {"until": "2026-11-20"}).context["rows"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"since": "yesterday"}, 422),
        ({"action": "no.such"}, 422),
        ({"face": "window"}, 422),
        ({"after": "x"}, 422),
        ({"after": "9" * 30}, 422),
        ({"since": "0001-01-01"}, 200),
        ({"until": "9999-12-31"}, 200),
        ({"actor": "\0"}, 200),
        ({"object": "a\0:b"}, 200),
        ({"object": "<script>alert(1)</script>"}, 200),
    ],
)
def test_any_filter_is_answered(cast: Cast, query: dict[str, str], status: int) -> None:
    _record(cast)
    answer = as_user(cast.owner).get(url(cast, "audit_list"), query)
    assert answer.status_code == status
    assert "<script>alert" not in answer.content.decode()


def test_walking_all_pages_shows_each_entry_once(cast: Cast) -> None:
    made = [_record(cast, name=f"n{number}").pk for number in range(SIZE * 2 + 5)]
    client = as_user(cast.owner)
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        context = client.get(url(cast, "audit_list"), {"after": after} if after else {}).context
        seen += [row.entry.pk for row in context["rows"]]
        after = context["page"].after
    assert seen == made[::-1]


def test_other_workspaces_and_the_tenants_own_entries_stay_apart(cast: Cast) -> None:
    other = Cast("globex")
    _record(other)
    audit.record(
        cast.visitor,
        "console",
        "access_key.create",
        tenant=cast.tenant,
        obj=("access_key", "K", "K"),
        params={"description": "d"},
    )
    address = url(cast, "audit_list")
    assert as_user(cast.owner).get(address).context["rows"] == []
    assert as_user(cast.owner).get(address, {"scope": "tenant"}).context["rows"] == []
    User.objects.filter(pk=cast.owner.pk).update(is_tenant_admin=True)
    rows = as_user(cast.owner).get(address, {"scope": "tenant"}).context["rows"]
    assert [row.entry.object_name for row in rows] == ["K"]


def test_a_page_asks_few_questions(cast: Cast, django_assert_max_num_queries: object) -> None:
    for number in range(SIZE):
        _record(cast, name=f"n{number}")
    client = as_user(cast.owner)
    client.get(url(cast, "audit_list"))
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        client.get(url(cast, "audit_list"))
