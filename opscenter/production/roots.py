"""Up the chain: what at the bottom keeps instances from starting. Found by one bounded walk over the edges."""

from collections.abc import Iterable, Sequence
from typing import Any

from opscenter.base import sql
from opscenter.production import capacity
from opscenter.production.rules.remedies import Culprit
from opscenter.production.rules.states import State

SHOWN = 5
"""Instances told by name; failed and frozen ones come first, since they need somebody."""
MOST_STEPS = 5_000
"""Instances that one walk looks at, for all that it starts from. A wider or deeper graph is walked so far and no further:
the nearest levels first, so what is found is the nearest that needs somebody."""

COLUMNS = """i.id, t.name, i.state, i.frozen, i.reason ->> 'code', i.due_at, i.not_before, i.resource_group_id,
    (SELECT turn.after::text FROM production_backfilldate turn WHERE turn.turn_id = i.id)"""
"""What ``culprits`` reads, of an instance i and its task t."""

_FIRST = f"(i.state = {State.FAILURE:d} OR i.frozen) DESC, (i.state = {State.WAIT_TRIGGER:d}) DESC"
_BLOCKING = f"""
SELECT d.id, u.* FROM unnest(%(ids)s::bigint[]) AS d(id) CROSS JOIN LATERAL (
    SELECT {COLUMNS}
    FROM production_instanceedge e
    JOIN production_taskinstance i ON i.id = e.upstream_id
    JOIN production_task t ON t.id = i.task_id
    WHERE e.downstream_id = d.id AND NOT e.met
    ORDER BY {_FIRST}, i.id LIMIT {SHOWN}
) u"""
# UNION, not UNION ALL: what is reached on several ways is walked once. Only the rows that are asked for are made.
_ROOTS = f"""
WITH RECURSIVE walk(start, id) AS (
    SELECT one, one FROM unnest(%(ids)s::bigint[]) AS d(one)
    UNION
    SELECT walk.start, e.upstream_id
    FROM walk JOIN production_taskinstance i ON i.id = walk.id AND (i.state = {State.NOT_RUN:d} OR i.id = walk.start)
    JOIN production_instanceedge e ON e.downstream_id = walk.id AND NOT e.met
), seen AS MATERIALIZED (SELECT start, id FROM walk LIMIT %(most)s::int),
ranked AS (
    SELECT seen.start, {COLUMNS}, row_number() OVER (PARTITION BY seen.start ORDER BY {_FIRST}, i.id) AS rank
    FROM seen JOIN production_taskinstance i ON i.id = seen.id JOIN production_task t ON t.id = i.task_id
    WHERE seen.id <> seen.start AND (i.state <> {State.NOT_RUN:d} OR i.frozen)
)
SELECT * FROM ranked WHERE rank <= {SHOWN} ORDER BY start, rank"""


def blocking(ids: Sequence[int]) -> dict[int, list[Culprit]]:
    """By instance: the first few of its own upstream instances that have not succeeded. Index: the edges' primary key."""
    return _by_start(sql.rows(_BLOCKING, {"ids": list(ids)}) if ids else [])


def roots(ids: Sequence[int]) -> dict[int, list[Culprit]]:
    """By instance: what it waits for at the bottom of the chain, frozen ones on the way too. Cost: at most MOST_STEPS
    instances and their edges are read, however many wait."""
    return _by_start(sql.rows(_ROOTS, {"ids": list(ids), "most": MOST_STEPS}) if ids else [])


def _by_start(rows: Sequence[tuple[Any, ...]]) -> dict[int, list[Culprit]]:
    found: dict[int, list[Culprit]] = {}
    for start, culprit in zip((row[0] for row in rows), culprits([row[1:] for row in rows]), strict=True):
        found.setdefault(start, []).append(culprit)
    return found


def culprits(rows: Iterable[tuple[Any, ...]]) -> list[Culprit]:
    """Culprits of rows that begin with COLUMNS, with what their resource groups have room for."""
    rows = list(rows)
    ready = [row for row in rows if row[2] == State.WAIT_RESOURCE]
    lacks = capacity.lacks({row[0] for row in ready})
    usage = capacity.usage({row[7] for row in ready if lacks[row[0]].by_worker})
    return [_culprit(row, usage, lacks.get(row[0])) for row in rows]


def _culprit(row: tuple[Any, ...], usage: dict[int, capacity.Usage], lack: capacity.Lack | None) -> Culprit:
    pk, name, state, frozen, reason, due_at, not_before, group, turn = row[:9]
    known = usage.get(group) if lack is not None and lack.by_worker else None
    return Culprit(
        pk,
        name,
        State(state),
        frozen,
        stopped=reason == "attempt.stopped",
        rerun_at=due_at if state == State.FAILURE else None,
        not_before=not_before,
        room=known.has_room if known else None,
        served=known is None or known.workers > 0,
        at_maximum=lack is not None and lack.at_maximum,
        called=lack is None or not lack.uncalled,
        turn=turn or "",
    )
