"""The one function through which every instance changes its state (DESIGN.md 2)."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opscenter.base import sql
from opscenter.production.node_types import HTTP, HTTP_TRIGGER
from opscenter.production.rules.states import Kind, State, may_follow

NEXT_STATE = f"""CASE
    WHEN i.unmet > 0 THEN {State.NOT_RUN:d}
    WHEN i.not_before > statement_timestamp() THEN {State.WAIT_TIME:d}
    WHEN i.node_type = '{HTTP_TRIGGER.code}' AND NOT i.bypasses_trigger AND i.kind < {Kind.SKIP:d} THEN {State.WAIT_TRIGGER:d}
    ELSE {State.WAIT_RESOURCE:d} END"""
"""SQL: the state an instance ``i`` that has not started belongs in, by its conditions in their order."""

LIMITED = f"""(i.needs_worker OR (i.node_type = '{HTTP.code}' AND i.kind < {Kind.SKIP:d})) AND EXISTS (
    SELECT 1 FROM production_task limiting WHERE limiting.id = i.task_id AND limiting.max_parallel IS NOT NULL)"""
"""SQL: whether a run of the instance ``i`` counts against its task's maximum of parallel runs."""


@dataclass(frozen=True)
class Changed:
    """One instance that changed its state."""

    id: int
    before: State
    after: State
    attempt: int
    bizdate: Any
    needs_worker: bool
    node_type: str


_STATEMENT = """
WITH {chosen} target AS MATERIALIZED (
    SELECT i.id, i.state AS before, ({after})::smallint AS after
    FROM production_taskinstance i
    WHERE i.id {among} AND i.state = ANY(%(before)s::smallint[]) {fence}
    ORDER BY i.id FOR NO KEY UPDATE
), changed AS (
    UPDATE production_taskinstance i SET
        state = t.after,
        state_at = statement_timestamp(),
        due_at = CASE WHEN t.after = {wait_time} THEN i.not_before ELSE %(due)s::timestamptz END,
        reason = %(reason)s::jsonb,
        waiting_trigger_at = CASE WHEN t.after = {wait_trigger} THEN statement_timestamp() ELSE i.waiting_trigger_at END,
        waiting_resource_at = CASE WHEN t.after = {wait_resource} AND t.before <> {claimed}
                              THEN statement_timestamp() ELSE i.waiting_resource_at END,
        started_at = CASE WHEN t.after = {running} THEN statement_timestamp()
                          WHEN t.after IN ({success}) AND t.before <> {running} AND t.before <> {failure}
                              THEN statement_timestamp()
                          WHEN t.after IN ({not_run}, {wait_time}, {wait_trigger}, {wait_resource}) THEN NULL
                          ELSE i.started_at END,
        finished_at = CASE WHEN t.after IN ({success}, {failure}) THEN statement_timestamp() END,
        limited = CASE WHEN t.after = {wait_resource} THEN {limited} ELSE i.limited END
        {extra}
    FROM target t
    WHERE i.id = t.id AND t.after <> t.before
    RETURNING i.id, t.before, t.after, i.attempt, i.bizdate, i.needs_worker, i.node_type, i.workspace_id,
              i.waiting_resource_at, i.started_at, i.finished_at
), log AS (
    INSERT INTO production_transition (instance_id, bizdate, at, before, after, attempt, reason, operation)
    SELECT id, bizdate, statement_timestamp(), before, after, attempt, %(reason)s::jsonb, %(operation)s::bigint FROM changed
)
{also}
SELECT id, before, after, attempt, bizdate, needs_worker, node_type FROM changed ORDER BY id
"""
_also: dict[str, str] = {}
_NUMBERS = {state.name.lower(): int(state) for state in State}


def run_along(name: str, statement: str) -> None:
    """Have SQL run along with every transition, in its statement: a higher floor keeps note of changes.

    Args:
        statement: an INSERT that selects from ``changed``: id, before, after, attempt, bizdate, workspace_id,
            waiting_resource_at, started_at, finished_at, as they are after the change. It must cost next to nothing
            where there is nothing to note.
    """
    _also[name] = statement


@dataclass(frozen=True)
class Chosen:
    """Instances that the statement itself finds: a query for their ids, which may lock them, and its values."""

    query: str
    values: Mapping[str, Any]


def transition(
    ids: Sequence[int] | Chosen,
    before: Collection[State],
    after: State | str,
    *,
    attempt: int | None = None,
    reason: Mapping[str, Any] | None = None,
    due_at: Any = None,
    operation: int | None = None,
    extra: str = "",
    condition: str = "",
) -> list[Changed]:
    """Compare-and-set the state of instances, and write a transition row for each that changed.

    Must run inside a transaction. Instances that are in another state, or under another attempt, are left alone: the
    caller learns from what is returned which of its ids were changed.

    Args:
        before: states that the change may start from.
        after: the new state, or an SQL expression over the instance ``i`` such as NEXT_STATE.
        attempt: the fence: only if this is still the number of the latest attempt.
        reason: code and params of why, stored with the instance and with the transition.
        due_at: the next moment of interest; while WAIT_TIME always ``not_before``.
        condition: further condition on the instance ``i``, trusted SQL.
        extra: further assignments, trusted SQL that starts with a comma.
    """
    if not ids:
        return []
    statement = _STATEMENT.format(
        chosen=f"chosen AS MATERIALIZED ({ids.query})," if isinstance(ids, Chosen) else "",
        among="IN (SELECT id FROM chosen)" if isinstance(ids, Chosen) else "= ANY(%(ids)s::bigint[])",
        after=after if isinstance(after, str) else int(after),
        fence=" ".join(
            f"AND {part}" for part in ("i.attempt = %(attempt)s" if attempt is not None else "", condition) if part
        ),
        extra=extra,
        limited=LIMITED,
        also="".join(f", {name} AS ({part})" for name, part in _also.items()),
        **_NUMBERS,
    )
    values: dict[str, Any] = dict(ids.values) if isinstance(ids, Chosen) else {"ids": list(ids)}
    values |= {
        "before": [int(state) for state in before],
        "reason": json.dumps(reason) if reason is not None else None,
        "due": due_at,
        "operation": operation,
    }
    if attempt is not None:
        values["attempt"] = attempt
    changed = [Changed(row[0], State(row[1]), State(row[2]), *row[3:]) for row in sql.rows(statement, values)]
    for row in changed:
        if not may_follow(row.before, row.after):
            raise AssertionError(f"instance {row.id}: {row.before.name} -> {row.after.name} is no step of the machine")
    return changed
