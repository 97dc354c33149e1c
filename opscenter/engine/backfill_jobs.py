"""What is done to a whole backfill at once: pause and resume. Each holds the job's row, then its instances'.

Stopping and rerunning go in batches: ``backfill_batches``.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opscenter.base import notify, sql
from opscenter.production.models import Backfill
from opscenter.production.rules.states import WAITING, State

OF_JOB = "FROM production_taskinstance i JOIN production_backfilldate d ON d.family_id = i.workflow_instance_id"
"""The instances of a job as ``i``; its id is ``d.backfill_id``."""
PAUSED = "backfill.paused"
_WAITING = ", ".join(str(int(state)) for state in WAITING)
_FREEZE = """
WITH chosen AS (
    SELECT i.id {of_job} WHERE d.backfill_id = %(job)s AND {which} {among} ORDER BY i.id FOR NO KEY UPDATE OF i
),
changed AS (
    UPDATE production_taskinstance i SET frozen = NOT i.frozen FROM chosen WHERE chosen.id = i.id
    RETURNING i.id, i.bizdate, i.state, i.attempt
)
INSERT INTO production_transition (instance_id, bizdate, at, before, after, attempt, reason, operation)
SELECT id, bizdate, statement_timestamp(), state, state, attempt, %(reason)s::jsonb, %(operation)s::bigint FROM changed"""


def pause(job: Backfill, by: str, operation: int) -> None:
    """What has not started is frozen; what runs goes on to its end."""
    which = f"NOT i.frozen AND (i.state IN ({_WAITING}) OR (i.state = {State.FAILURE:d} AND i.due_at IS NOT NULL))"
    _freeze(job, which, {"code": PAUSED, "params": {"user": by}}, operation)
    job.is_paused = True
    job.save(update_fields=["is_paused"])


def resume(job: Backfill, by: str, operation: int) -> None:
    """What the pause froze goes on; what was frozen before it, or by somebody since, stays so."""
    thaw(job, {"code": "backfill.resumed", "params": {"user": by}}, operation)
    job.is_paused = False
    job.save(update_fields=["is_paused"])
    for channel in (notify.WORK, notify.COURIER, notify.DUE):
        notify.notify(channel)


def freeze(job: Backfill, operation: int, ids: Sequence[int]) -> None:
    """Of a job that is paused these, too, go on when it is resumed and not before."""
    _freeze(job, "NOT i.frozen", {"code": PAUSED, "params": {}}, operation, ids)


def thaw(job: Backfill, reason: Mapping[str, Any], operation: int | None, ids: Sequence[int] | None = None) -> None:
    """Undo what a pause froze; among these, if some are given."""
    last = """(SELECT t.reason->>'code' FROM production_transition t WHERE t.instance_id = i.id
        AND t.reason->>'code' IN ('instance.frozen', 'backfill.paused') ORDER BY t.id DESC LIMIT 1)"""
    _freeze(job, f"i.frozen AND {last} = '{PAUSED}'", reason, operation, ids)


def _freeze(
    job: Backfill, which: str, reason: Mapping[str, Any], operation: int | None, ids: Sequence[int] | None = None
) -> None:
    among = "" if ids is None else "AND i.id = ANY(%(ids)s::bigint[])"
    values: dict[str, Any] = {"job": job.pk, "reason": json.dumps(reason), "operation": operation}
    statement = _FREEZE.format(of_job=OF_JOB, which=which, among=among)
    sql.rows(statement, values if ids is None else values | {"ids": list(ids)})
