"""Commands of the lab about checks: guarded tasks made, what became of them read."""

import uuid
from typing import Any


def guarded(count: str, url: str, keys: str, limit: str = "600") -> dict[str, Any]:
    """A workspace with tasks that an online extension at ``url`` guards against freezing, and access keys of operators.

    ``limit``: seconds in which it must answer.
    """
    from extensions import lifecycle
    from extensions.models import Enablement, Extension
    from opscenter.workspaces import access_keys
    from opscenter.workspaces.models import Member, User
    from tests.engine.graphs import Scene

    name = f"lab-{uuid.uuid4().hex[:12]}"
    scene = Scene(name)
    tasks = [scene.task("virtual") for _ in range(int(count))]
    extension = Extension.objects.create(
        tenant=scene.tenant,
        owner=User.objects.create_user(f"{name}-guard", tenant=scene.tenant),
        name="Lab guard",
        webhook_url=url,
        points=["freeze-node", "unfreeze-node"],
        test_workspace=scene.workspace,
        status=Extension.Status.ONLINE,
    )
    lifecycle.new_secret(extension)
    Enablement.objects.create(extension=extension, workspace=scene.workspace, is_enabled=True, answer_limit=int(limit))
    made = []
    for number in range(int(keys)):
        user = User.objects.create_user(f"{name}-{number}", tenant=scene.tenant)
        Member.objects.create(workspace=scene.workspace, user=user, roles=["role_project_pe"])
        key, secret = access_keys.create(user)
        made.append([key.key_id, secret])
    return {"workspace": scene.workspace.pk, "tasks": [task.number for task in tasks], "keys": made}


def still_checking(workspace: str) -> int:
    """How many operations wait for verdicts."""
    from opscenter.operations.models import Operation

    return Operation.objects.filter(workspace=int(workspace), status=Operation.Status.CHECKING).count()


def fates(workspace: str) -> dict[str, dict[str, Any]]:
    """By task number: whether it is frozen, how often it was said to be, and what its operations came to."""
    from collections import defaultdict

    from opscenter.operations.models import Operation, OperationTarget
    from opscenter.production.models import Task
    from opscenter.workspaces.models import AuditEntry

    tasks = {task.pk: task for task in Task.objects.filter(workspace=int(workspace))}
    said: dict[int, int] = defaultdict(int)
    for params in AuditEntry.objects.filter(workspace=int(workspace), action="task.freeze").values_list(
        "params", flat=True
    ):
        for pk in params["done"]:
            said[pk] += 1
    came: dict[int, list[str]] = defaultdict(list)
    targets = OperationTarget.objects.filter(object_type="task", operation__workspace=int(workspace))
    for pk, status, done in targets.values_list("object_id", "operation__status", "done"):
        if status != Operation.Status.REFUSED:  # asked again after a lost answer
            came[pk].append(f"{status} {done}")
    return {
        str(task.number): {"frozen": task.recurrence == "Pause", "applied": said[pk], "operations": came[pk]}
        for pk, task in tasks.items()
    }


def tomorrow(workspace: str) -> dict[str, list[bool]]:
    """Generate the next day of the workspace's tenant, as its night would; by task name whether instances are frozen."""
    from collections import defaultdict
    from datetime import timedelta

    from django.db.models import Max

    from opscenter.engine import generate
    from opscenter.production.models import GenerationRun, TaskInstance
    from opscenter.workspaces.models import Workspace

    tenant = Workspace.objects.get(pk=workspace).tenant
    last = GenerationRun.objects.filter(tenant=tenant).aggregate(day=Max("day"))["day"]
    day = last + timedelta(days=1)
    generate.generate_day(tenant, day)
    born: dict[str, list[bool]] = defaultdict(list)
    made = TaskInstance.objects.filter(workspace=int(workspace), bizdate=last, workflow_instance__type="Normal")
    for name, frozen in made.values_list("task__name", "frozen"):
        born[name].append(frozen)
    return dict(born)


COMMANDS = (guarded, still_checking, fates, tomorrow)
