"""Reads that both faces share. Each returns a queryset that is restricted to what the asker may see, or plain values."""

from collections.abc import Collection

from django.db.models import F, QuerySet
from django.db.models.functions import Length

from opscenter.production.explaining import explain_instance
from opscenter.production.models import (
    Attempt,
    InstanceEdge,
    LogChunk,
    Task,
    TaskDependency,
    TaskInstance,
    TriggerCommand,
)
from opscenter.workspaces.models import User, Workspace


def instances(user: User, workspace: Workspace, environment: str) -> QuerySet[TaskInstance]:
    """Instances of a workspace's environment that the user may see. Index: instance_list, instance_list_all."""
    return (
        TaskInstance.objects.visible_to(user)
        .filter(workspace=workspace, environment=environment)
        .select_related("task__owner", "workflow_instance", "resource_group")
    )


def upstream_of(instance: TaskInstance) -> QuerySet[TaskInstance]:
    """What the instance waits for, directly. Index: the edges' primary key."""
    return _neighbours(InstanceEdge.objects.filter(downstream=instance).values_list("upstream_id"))


def downstream_of(instance: TaskInstance) -> QuerySet[TaskInstance]:
    """What waits for the instance, directly. Index: the edges' upstream."""
    return _neighbours(InstanceEdge.objects.filter(upstream=instance).values_list("downstream_id"))


def edges_in_run(upstream: Collection[int]) -> QuerySet[InstanceEdge]:
    """Edges from these instances to others of the same run: of the same business date and kind. Index: the edges' upstream."""
    kind = "workflow_instance__type"
    return InstanceEdge.objects.filter(
        upstream__in=upstream,
        downstream__bizdate=F("upstream__bizdate"),
        **{f"downstream__{kind}": F(f"upstream__{kind}")},
    )


def _neighbours(ids: "QuerySet[InstanceEdge, tuple[int]]") -> QuerySet[TaskInstance]:
    return (
        TaskInstance.objects.filter(pk__in=ids)
        .select_related("task__owner", "workflow_instance", "resource_group", "workspace")
        .order_by("scheduled_at", "pk")
    )


def neighbours_of(task: Task, side: str) -> dict[int, str]:
    """The tasks directly ``upstream`` or ``downstream``, by primary key, with the kind of their dependency: ``Normal`` of the
    same cycle, or ``CrossCycle`` of the previous one.

    What waits for itself is no neighbour; who waits for its children's previous cycle has them upstream too.
    """
    kinds = TaskDependency.Type
    normal = TaskDependency.objects.filter(type=kinds.NORMAL)
    other = TaskDependency.objects.filter(type=kinds.OTHER)
    if side == "upstream":
        same = normal.filter(task=task).values_list("upstream_id", flat=True)
        crossing = list(other.filter(task=task).values_list("upstream_id", flat=True))
        if TaskDependency.objects.filter(task=task, type=kinds.CHILDREN).exists():
            crossing += normal.filter(upstream=task).values_list("task_id", flat=True)
    else:
        same = normal.filter(upstream=task).values_list("task_id", flat=True)
        crossing = list(other.filter(upstream=task).values_list("task_id", flat=True))
        crossing += TaskDependency.objects.filter(
            type=kinds.CHILDREN, task__dependents__task=task, task__dependents__type=kinds.NORMAL
        ).values_list("task_id", flat=True)
    return dict.fromkeys(crossing, "CrossCycle") | dict.fromkeys(same, "Normal")


def log_text(attempt: Attempt) -> str:
    """The whole log of an attempt, as far as it was stored."""
    return "".join(LogChunk.objects.filter(attempt=attempt).order_by("seq").values_list("text", flat=True))


def log_since(attempt: Attempt, offset: int) -> tuple[str, int]:
    """The log from a character offset on, and the offset after it; reads only the chunks that hold it."""
    position = 0
    wanted: list[int] = []
    start = 0
    chunks = LogChunk.objects.filter(attempt=attempt).order_by("seq").annotate(length=Length("text"))
    for seq, length in chunks.values_list("seq", "length"):
        if position + length > offset:
            if not wanted:
                start = position
            wanted.append(seq)
        position += length
    if not wanted:
        return "", position
    texts = LogChunk.objects.filter(attempt=attempt, seq__in=wanted).order_by("seq").values_list("text", flat=True)
    return "".join(texts)[max(0, offset - start) :], position


def attempts_of(instance: TaskInstance) -> QuerySet[Attempt]:
    """The attempts of an instance, the latest first."""
    return Attempt.objects.filter(instance=instance).select_related("version").order_by("-number")


def receipts_of(instance: TaskInstance) -> QuerySet[TriggerCommand]:
    """The trigger calls that named this instance, the latest first."""
    return TriggerCommand.objects.filter(instance=instance).select_related("caller").order_by("-pk")


def receipts(user: User, workspace: Workspace, environment: str) -> QuerySet[TriggerCommand]:
    """The trigger calls to tasks of a workspace's environment, whether or not they named an instance, that the user may see.
    Index: trigger_workspace."""
    found = TriggerCommand.objects.filter(workspace=workspace, environment=environment)
    return found.filter(workspace__members__user=user).select_related("caller")


def stray_receipts(user: User, environment: str) -> QuerySet[TriggerCommand]:
    """The trigger calls that named no task known to their caller: the user's own, and for who administers the tenant all of
    its users'. Index: trigger_workspace."""
    found = TriggerCommand.objects.filter(workspace=None, tenant=user.tenant_id, environment=environment)
    return (found if user.is_tenant_admin else found.filter(caller=user)).select_related("caller")


def tasks(user: User, workspace: Workspace, environment: str) -> QuerySet[Task]:
    """Tasks of a workspace's environment that the user may see. Index: task_list."""
    return (
        Task.objects.visible_to(user)
        .filter(workspace=workspace, environment=environment)
        .select_related("owner", "workflow", "resource_group", "version")
    )


def tasks_of_tenant(user: User, workspace: Workspace, environment: str) -> QuerySet[Task]:
    """Tasks of all workspaces of the tenant that the user may see."""
    found = Task.objects.visible_to(user).filter(workspace__tenant=workspace.tenant_id, environment=environment)
    return found.select_related("workspace")


def backfillable(user: User, workspace: Workspace, environment: str) -> QuerySet[Task]:
    """Those of them that get instances in a backfill; whether the user may run them, its plan says."""
    found = tasks_of_tenant(user, workspace, environment).filter(status=Task.Status.ONLINE, version__isnull=False)
    return found.filter(trigger=Task.Trigger.SCHEDULER, is_root=False)


__all__ = [
    "attempts_of",
    "backfillable",
    "downstream_of",
    "edges_in_run",
    "explain_instance",
    "instances",
    "log_since",
    "log_text",
    "neighbours_of",
    "receipts",
    "receipts_of",
    "stray_receipts",
    "tasks",
    "tasks_of_tenant",
    "upstream_of",
]
