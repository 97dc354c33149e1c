"""Commands of the lab about sheer numbers: a day of very many instances that wait, none of them due."""

from typing import Any

TASKS = 10_000
"""Tasks that they are instances of."""


def million(workspace: str, count: str) -> dict[str, Any]:
    """A further ``count`` instances of a workspace's day (today's runs). Half of them wait for their time, days from now;
    the others for one of those each.

    Returns:
        Numbers of a task and of an instance among them.
    """
    from django.db import connection, transaction

    from opscenter.production.models import TaskInstance, WorkflowInstance
    from opscenter.production.rules.states import Kind, State

    bizdate = _bizdate()

    with transaction.atomic(), connection.cursor() as cursor:
        tasks = _tasks(int(workspace), bizdate)
        family = WorkflowInstance.objects.create(
            workspace_id=int(workspace), environment="Prod", type=WorkflowInstance.Type.NORMAL, name="reports",
            workflow=tasks[0].workflow, bizdate=bizdate,
        )  # fmt: skip
        values = {
            "family": family.pk,
            "first": tasks[0].pk,
            "tasks": len(tasks),
            "count": int(count),
            "time": State.WAIT_TIME.value,
            "upstream": State.NOT_RUN.value,
            "kind": Kind.NORMAL.value,
        }
        cursor.execute(
            "SET LOCAL session_replication_role = replica"
        )  # a million checks of what is right by the way it is made
        cursor.execute(_INSTANCES, values)
        cursor.execute("ANALYZE production_taskinstance")  # or the next statement is planned for an empty table
        cursor.execute(_EDGES, values)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE production_taskinstance, production_instanceedge, production_task")
    one = TaskInstance.objects.filter(workflow_instance=family, state=State.NOT_RUN).order_by("pk")[0]
    return {"task": one.task.number, "instance": one.pk}


_INSTANCES = """
    INSERT INTO production_taskinstance (
        workflow_instance_id, task_id, version_id, workspace_id, environment, bizdate, scheduled_at, not_before, due_at,
        period, node_type, kind, needs_worker, bypasses_trigger, state, frozen, unmet, attempt, reruns_left, priority,
        resource_group_id)
    SELECT f.id, t.id, t.version_id, f.workspace_id, f.environment, f.bizdate, at.moment, at.moment,
        CASE WHEN n < %(count)s / 2 THEN at.moment END, 1 + n / %(tasks)s, t.node_type, %(kind)s, true, false,
        CASE WHEN n < %(count)s / 2 THEN %(time)s ELSE %(upstream)s END, false,
        CASE WHEN n < %(count)s / 2 THEN 0 ELSE 1 END, 0, 0, 1, t.resource_group_id
    FROM generate_series(0, %(count)s - 1) AS n
    JOIN production_workflowinstance f ON f.id = %(family)s
    JOIN production_task t ON t.id = %(first)s + n %% %(tasks)s
    CROSS JOIN LATERAL (SELECT date_trunc('day', now()) + interval '3 days' + n / %(tasks)s * interval '10 minutes') AS at(moment)
    ORDER BY n"""
_EDGES = """
    INSERT INTO production_instanceedge (downstream_id, upstream_id, bizdate, met)
    SELECT below.id, above.id, below.bizdate, false
    FROM (SELECT id, bizdate, row_number() OVER (ORDER BY id) AS n FROM production_taskinstance
          WHERE workflow_instance_id = %(family)s AND state = %(upstream)s) AS below
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM production_taskinstance
          WHERE workflow_instance_id = %(family)s AND state = %(time)s) AS above USING (n)"""


def _tasks(workspace: int, first_day: Any) -> list[Any]:
    """Tasks with consecutive ids."""
    from opscenter.base import ids
    from opscenter.production.models import ProductionWorkflow, Task, TaskVersion

    root = Task.objects.get(workspace=workspace, environment="Prod", is_root=True)
    numbers = ids.next_value("task_number", TASKS + 1)
    workflow = ProductionWorkflow.objects.create(
        number=numbers[0], environment="Prod", workspace_id=workspace, name="reports", owner=root.owner
    )
    tasks = [
        Task(
            number=number, name=f"report_{number}", node_type="shell", environment="Prod", workspace_id=workspace,
            workflow=workflow, resource_group=root.resource_group, owner=root.owner,
        )
        for number in numbers[1:]
    ]  # fmt: skip
    Task.objects.bulk_create(tasks, batch_size=5000)
    versions = TaskVersion.objects.bulk_create(
        [
            TaskVersion(
                task=task,
                number=1,
                content="true",
                cron="00 00 00 * * ?",
                published_by=root.owner,
                first_day=_bizdate(),
            )
            for task in tasks
        ],
        batch_size=5000,
    )
    for task, version in zip(tasks, versions, strict=True):
        task.version = version
    Task.objects.bulk_update(tasks, ["version"], batch_size=5000)
    assert tasks[-1].pk - tasks[0].pk == TASKS - 1
    return tasks


def _bizdate() -> Any:
    """Of today's runs in the demo's zone."""
    from opscenter.base import clock
    from opscenter.console.filters import latest_bizdate

    return latest_bizdate(clock.now(), "Asia/Shanghai")


COMMANDS = (million,)
