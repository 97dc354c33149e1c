"""Every code that the rules or the engine can give has a sentence, with all that its parameters tell."""

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone, translation
from hypothesis import given
from hypothesis import strategies as st

from opscenter.base.reasons import Reason, say
from opscenter.production.rules import trigger
from opscenter.production.rules.explain import InstanceSnapshot, Parallel, Upstream, explain
from opscenter.production.rules.states import Kind, State

OPSCENTER = Path(__file__).resolve().parents[2] / "opscenter"
NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
CODE = re.compile(r"(explain|attempt|trigger|rerun|instance|cron|parameters)\.[a-z_]+(\.short)?")
_moments = st.none() | st.sampled_from([NOW - timedelta(hours=1), NOW + timedelta(hours=1)])
_results = st.sampled_from(
    [
        None,
        Reason("attempt.exit_code", {"exit_code": 3}),
        Reason("attempt.timeout", {"seconds": 90}),
        Reason("attempt.resource_missing", {"names": ["a", "b"]}),
        Reason("attempt.lost", {"host": "box"}),
    ]
)
_snapshots = st.builds(
    InstanceSnapshot,
    id=st.just(1),
    task_id=st.just(2),
    now=st.just(NOW),
    state=st.sampled_from(State),
    state_since=st.just(NOW),
    kind=st.sampled_from(Kind),
    frozen=st.booleans(),
    task_frozen=st.booleans(),
    upstream_total=st.integers(0, 3),
    upstream_unmet=st.integers(0, 9),
    blocking=st.lists(
        st.builds(Upstream, id=st.just(3), name=st.just("up%s"), state=st.sampled_from(State), frozen=st.booleans()),
        max_size=6,
    ).map(tuple),
    not_before=_moments,
    awaits_trigger=st.booleans(),
    command_held_until=_moments,
    command_expired_at=_moments,
    parallel=st.sampled_from(
        [None, Parallel(1), Parallel(1, 1, ((7, NOW),)), Parallel(9, 9, tuple((n, NOW) for n in range(5)))]
    ),
    needs_worker=st.booleans(),
    group=st.just("default"),
    slots=st.integers(0, 2),
    used=st.integers(0, 2),
    workers=st.integers(0, 1),
    attempt=st.integers(0, 2),
    worker=st.sampled_from(["", "box-1"]),
    result=_results,
    exit_code=st.sampled_from([None, 7]),
    next_rerun_at=_moments,
    reruns_left=st.integers(0, 2),
    set_success=st.booleans(),
    scheduler=st.booleans(),
    by_courier=st.booleans(),
    courier=st.booleans(),
)


def said(code: str, params: Any) -> str:
    text = say(code, params)
    assert text, code
    assert not CODE.search(text), f"no sentence for {text}"
    assert "%(" not in text, text
    return text


@given(snapshot=_snapshots)
def test_every_explanation_can_be_said(snapshot: InstanceSnapshot) -> None:
    explanation = explain(snapshot)
    for reason in (explanation.headline, explanation.short, *(one.reason for one in explanation.conditions)):
        said(reason.code, reason.params)


@given(
    snapshot=st.builds(
        trigger.TriggerSnapshot,
        is_trigger_node=st.booleans(),
        task_online=st.booleans(),
        task_frozen=st.booleans(),
        instance_exists=st.booleans(),
        instance_frozen=st.booleans(),
        bypassed=st.booleans(),
        state=st.sampled_from(State),
        unmet=st.integers(0, 2),
        scheduled_at=st.sampled_from([NOW - timedelta(hours=1), NOW + timedelta(hours=1)]),
        now=st.just(NOW),
        resource_ok=st.booleans(),
        command_held_until=_moments,
    )
)
def test_every_decision_about_a_trigger_can_be_said(snapshot: trigger.TriggerSnapshot) -> None:
    reason = trigger.decide(snapshot).reason
    stored = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in reason.params.items()
    }
    named = {"task": 7, "environment": "Prod", "scheduled_at": NOW.isoformat()}
    assert said(reason.code, named | dict(reason.params)) == said(reason.code, named | stored)


def _stored_codes() -> set[str]:
    """The codes of the reasons that the engine and the operations store, as written in their source."""
    files = [*(OPSCENTER / "engine").rglob("*.py"), OPSCENTER / "operations" / "instances.py"]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Dict))
    return {
        value.value
        for node in nodes
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant)
        and key.value == "code"
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
    }


PARAMS = {
    "attempt.exit_code": {"exit_code": 1},
    "attempt.signal": {"signal": "SIGKILL"},
    "attempt.timeout": {"seconds": 60},
    "attempt.lost": {"host": "box"},
    "attempt.handed_over": {"host": "box"},
    "attempt.worker_stopped": {"host": "box"},
    "attempt.error": {"error": "boom"},
    "attempt.parameters": {"problem": {"code": "parameters.unclosed", "params": {"expression": "${a"}}},
    "attempt.resource_missing": {"names": ["a.py"]},
    "attempt.no_python": {"path": "/opt/python"},
    "attempt.data_source_missing": {"name": "warehouse"},
    "attempt.data_source_own": {"name": "warehouse"},
    "attempt.sql_connect": {"name": "warehouse", "error": "no 100% answer"},
    "attempt.sql_statement": {"name": "warehouse", "number": 2, "line": 7, "error": "syntax error"},
    "attempt.sql_open_transaction": {"name": "warehouse", "line": 3},
    "trigger.expired": {"at": NOW.isoformat()},
    "instance.set_success": {"user": "mei"},
    "instance.missed": {"from": NOW.isoformat(), "until": NOW.isoformat()},
    "instance.frozen": {"user": "mei"},
    "instance.unfrozen": {"user": "mei"},
    "backfill.paused": {"user": "mei"},
    "backfill.resumed": {"user": "mei"},
    "backfill.stopped": {"user": "mei"},
    "backfill.stopped_by_failure": {"instance": 7},
    "backfill.went_on": {"bizdate": "2026-11-20"},
    "mail.failed": {"error": "refused"},
}


def test_every_stored_reason_can_be_said() -> None:
    codes = _stored_codes()
    assert codes >= {
        "attempt.exit_code",
        "attempt.stopped",
        "rerun.automatic",
        "trigger.expired",
        "instance.set_success",
    }
    for code in codes | set(PARAMS):
        said(code, PARAMS.get(code, {}))


def test_trigger_codes_that_the_operation_adds_can_be_said() -> None:
    named = {"task": 700000001, "environment": "Prod", "scheduled_at": NOW.isoformat()}
    for code in ("trigger.task_unknown", "trigger.instance_missing", "trigger.not_a_trigger_node"):
        assert "700000001" in said(code, named)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "UTC"])
def test_moments_are_said_in_the_readers_zone_with_its_name(zone: str) -> None:
    with timezone.override(zone):
        text = said("explain.time_unmet", {"at": NOW, "seconds": 1})
    assert ("2026-11-21 16:00:00" if zone == "Asia/Shanghai" else "2026-11-21 08:00:00") + f" {zone}" in text


@given(snapshot=_snapshots)
def test_names_with_percent_signs_stay_as_they_are(snapshot: InstanceSnapshot) -> None:
    with translation.override("zh-hans"):
        reason = explain(snapshot).headline
        if reason.code == "explain.upstream_unmet" and snapshot.blocking:
            assert "up%s" in say(reason.code, reason.params)
