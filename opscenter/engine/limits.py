"""Maximum parallel instances of a task: whatever starts runs asks here which limited tasks may start one more.

An instance that counts against a maximum is marked ``limited`` when it becomes ready, so that the others are claimed as if
there were no such thing. Marked ones stand in a queue for each task and group; one that is full is passed over by a
single look at the index, however long it is, and holds up nobody behind it.

Runs are counted under the task's row lock, by a statement that began after the lock was there. The lock is never waited
for: whoever finds it taken leaves that task to its holder, and looks again with the next claim.
"""

from collections.abc import Collection, Sequence

from opscenter.base import notify, sql
from opscenter.engine.locks import lock_instances
from opscenter.production.models import Task, TaskInstance
from opscenter.production.rules.states import State
from opscenter.production.transitions import LIMITED

WAITS = f"i.state = {State.WAIT_RESOURCE:d} AND i.limited AND NOT i.frozen"
"""SQL: an instance ``i`` that is ready and counts against its task's maximum."""

RUNNING = f"""(SELECT count(*) FROM production_taskinstance live
    WHERE live.task_id = t.id AND live.limited AND live.state IN ({State.CLAIMED:d}, {State.RUNNING:d}))"""
"""SQL: how many runs of a limited task ``t`` there are."""

_HEAD = "i.resource_group_id, i.task_id, i.priority, i.scheduled_at, i.id"
_ORDER = "i.task_id, i.priority DESC, i.scheduled_at, i.id"
_WITH_ROOM = f"""
    WITH RECURSIVE head AS (
        SELECT nearest.* FROM unnest(%(groups)s::bigint[]) AS g(id) CROSS JOIN LATERAL (
            SELECT {_HEAD} FROM production_taskinstance i
            WHERE {WAITS} AND i.needs_worker = %(by_worker)s::boolean AND i.resource_group_id = g.id
            ORDER BY {_ORDER} LIMIT 1) nearest
        UNION ALL
        SELECT nearest.* FROM head CROSS JOIN LATERAL (
            SELECT {_HEAD} FROM production_taskinstance i
            WHERE {WAITS} AND i.needs_worker = %(by_worker)s::boolean
            AND i.resource_group_id = head.resource_group_id AND i.task_id > head.task_id
            ORDER BY {_ORDER} LIMIT 1) nearest
    ), best AS MATERIALIZED (
        SELECT DISTINCT ON (task_id) * FROM head ORDER BY task_id, priority DESC, scheduled_at, id
    )
    SELECT t.id FROM best JOIN production_task t ON t.id = best.task_id
    WHERE t.max_parallel IS NULL OR t.max_parallel > {RUNNING}
    ORDER BY best.priority DESC, best.scheduled_at, best.id
    LIMIT %(most)s::int FOR NO KEY UPDATE OF t SKIP LOCKED"""
_ALL_GROUPS = "ARRAY(SELECT id FROM production_resourcegroup)"


def with_room(most: int, groups: Collection[int]) -> list[int]:
    """Limited tasks of which a worker may start an instance in one of these groups, locked until the transaction ends.

    Args:
        most: how many at most; those whose first instance comes first by priority and scheduled time.
    """
    found = sql.rows(_WITH_ROOM, {"most": most, "groups": list(groups), "by_worker": True})
    return [row[0] for row in found]


def to_call(most: int) -> list[int]:
    """The same for instances that the courier runs, in all groups."""
    found = sql.rows(
        f"""SELECT {_ALL_GROUPS} WHERE EXISTS (
            SELECT 1 FROM production_taskinstance i WHERE {WAITS} AND NOT i.needs_worker)""",
        {},
    )
    if not found:
        return []
    return [row[0] for row in sql.rows(_WITH_ROOM, {"most": most, "groups": found[0][0], "by_worker": False})]


def changed(tasks: Sequence[Task]) -> None:
    """The maximum of these tasks was set, changed or removed: their instances are marked accordingly.

    Inside the transaction that changes it. What becomes ready meanwhile has its row locked before it is marked, so that
    it is found here or finds the new maximum.
    """
    ids = [task.pk for task in tasks]
    open_ones = TaskInstance.objects.filter(task__in=ids).exclude(state=State.SUCCESS)
    lock_instances(sorted(open_ones.values_list("pk", flat=True)))
    sql.rows(
        f"""UPDATE production_taskinstance i SET limited = NOT i.limited
            WHERE i.task_id = ANY(%(ids)s::bigint[]) AND i.state <> {State.SUCCESS:d} AND i.limited <> ({LIMITED})""",
        {"ids": ids},
    )
    notify.notify(notify.WORK)
    notify.notify(notify.COURIER)
