"""Operations as lists and pages show them: their objects by name, and what became of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min

from extensions.models import Check
from opscenter.console.access import ConsoleRequest, here
from opscenter.console.operation_parts import told
from opscenter.console.operation_words import name_of, title_of
from opscenter.console.templatetags.looks import OPERATIONS as LOOKS
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.registry import OPERATIONS
from opscenter.operations.results import ids_of
from opscenter.production import backfill_counts, selectors
from opscenter.production.models import Backfill, Recurrence, Task, TaskInstance
from opscenter.workspaces.models import User

RESULTS_SHOWN = 200
"""Objects on an operation's page, those that were left as they are first."""
HISTORY_SHOWN = 200
"""Operations in the history of one task."""


@dataclass(frozen=True)
class OperationRow:
    """One operation in a list.

    Attributes:
        first: the first object's name; empty where the object is no more.
        more: how many objects follow it.
        checked_by: the extensions that were asked, by name.
    """

    operation: Operation
    name: str
    first: str
    first_url: str
    more: int
    checked_by: str


def rows_of(request: ConsoleRequest, operations: Sequence[Operation]) -> list[OperationRow]:
    """The rows for a page of operations, in the same order; five questions, however many there are."""
    targets = OperationTarget.objects.filter(operation__in=operations)
    counts = {
        found["operation"]: found for found in targets.values("operation").annotate(n=Count("pk"), first=Min("pk"))
    }
    firsts = OperationTarget.objects.in_bulk([found["first"] for found in counts.values()])
    names = Names(request, list(firsts.values()))
    asked: dict[int | None, list[str]] = {}
    checks = Check.objects.filter(event__operation__in=[one.pk for one in operations]).order_by("extension__name")
    for pk, name in checks.values_list("event__operation", "extension__name").distinct():
        asked.setdefault(pk, []).append(name)
    rows = []
    for operation in operations:
        found = counts.get(operation.pk)
        first = firsts.get(found["first"]) if found else None
        rows.append(
            OperationRow(
                operation=operation,
                name=name_of(operation.code),
                first=names.name(first) if first else "",
                first_url=names.url(first) if first else "",
                more=found["n"] - 1 if found else 0,
                checked_by=", ".join(asked.get(operation.pk, ())),
            )
        )
    return rows


def results_of(request: ConsoleRequest, operation: Operation) -> list[dict[str, Any]]:
    """What became of each object of an operation, those that were left as they were first."""
    results = {Operation.Status.CHECKING: (False, None), Operation.Status.RUNNING: (False, None, True)}
    targets: list[OperationTarget] = []  # found in this order, as sorting a large operation would take long
    for done in results.get(Operation.Status(operation.status), (False, True)):
        targets += operation.targets.filter(done=done).order_by("pk")[: RESULTS_SHOWN - len(targets)]
    names = Names(request, targets)
    return [
        {
            "name": names.name(target),
            "url": names.url(target),
            "id": target.object_id,
            "done": target.done,
            "is_unreached": (target.reason or {}).get("code") in ("operation.stopped", "operation.cancelled"),
            "task": names.tasks.get(target.object_id) if target.object_type == "task" else None,
            "instance": names.instances.get(target.object_id) if target.object_type == "instance" else None,
            **told(request, None if target.done else target.reason),
        }
        for target in targets
    ]


def title_for(request: ConsoleRequest, operation: Operation, count: int) -> str:
    """What was asked for, with the name of a single object. Some operations reach further than what they were asked for."""
    if operation.code in OPERATIONS and "matching" not in operation.params:
        count = len(ids_of(operation, OPERATIONS[operation.code]))
    (target,) = operation.targets.order_by("pk")[:1] if count == 1 else (None,)
    name = Names(request, [target]).name(target) if target is not None else ""
    return title_of(operation.code, count, name)


class Names:
    """The objects of some targets, as far as the reader may see them, each kind read at once."""

    def __init__(self, request: ConsoleRequest, targets: Sequence[OperationTarget]) -> None:
        self._request = request
        place = (request.user, request.workspace, request.environment)
        tasks = [target.object_id for target in targets if target.object_type == "task"]
        instances = [target.object_id for target in targets if target.object_type == "instance"]
        jobs = [target.object_id for target in targets if target.object_type == "backfill"]
        self.tasks: dict[int, Task] = selectors.tasks(*place).in_bulk(tasks) if tasks else {}
        self.instances: dict[int, TaskInstance] = selectors.instances(*place).in_bulk(instances) if instances else {}
        self.jobs: dict[int, Backfill] = backfill_counts.jobs(*place).in_bulk(jobs) if jobs else {}

    def name(self, target: OperationTarget) -> str:
        if target.object_type == "backfill":
            job = self.jobs.get(target.object_id)
            return job.name if job is not None else ""
        task = self._task(target)
        return task.name if task is not None else ""

    def id(self, target: OperationTarget) -> int:
        """As the APIs and the pages know it."""
        task = self.tasks.get(target.object_id) if target.object_type == "task" else None
        return task.number if task is not None else target.object_id

    def url(self, target: OperationTarget) -> str:
        if target.object_type == "backfill":
            return here(self._request, "backfill", pk=target.object_id) if target.object_id in self.jobs else ""
        task = self._task(target)
        if task is None:
            return ""
        if target.object_type == "task":
            return here(self._request, "task", number=task.number)
        return here(self._request, "instance", pk=target.object_id)

    def _task(self, target: OperationTarget) -> Task | None:
        if target.object_type == "task":
            return self.tasks.get(target.object_id)
        instance = self.instances.get(target.object_id)
        return instance.task if instance is not None else None


def history_of(request: ConsoleRequest, task: Task) -> list[dict[str, Any]]:
    """The operations on a task, the latest first. Index: operation_target."""
    targets = OperationTarget.objects.filter(object_type="task", object_id=task.pk)
    found = targets.select_related("operation__actor").order_by("-pk")[:HISTORY_SHOWN]
    return [
        {
            "look": LOOKS[_standing(target)],
            "at": target.operation.at,
            "name": name_of(target.operation.code),
            "actor": target.operation.actor,
            "comment": target.operation.comment,
            "url": here(request, "operation", pk=target.operation_id),
            **told(request, None if target.done else target.reason),
        }
        for target in found
    ]


def _standing(target: OperationTarget) -> str:
    """How it ended for this one object, whatever became of the others."""
    status = target.operation.status
    if target.done:
        return Operation.Status.APPLIED
    partial = (Operation.Status.APPLIED, Operation.Status.PARTLY)
    return Operation.Status.REFUSED if status in partial and target.done is False else status


def open_operation(request: ConsoleRequest, task: Task) -> dict[str, Any] | None:
    """The operation on a task that extensions are asked about, if there is one. Index: one_open_operation."""
    targets = OperationTarget.objects.filter(object_type="task", object_id=task.pk, open_code__isnull=False)
    target = targets.select_related("operation__actor").order_by("pk").first()
    if target is None:
        return None
    operation = target.operation
    return {
        "name": OPERATIONS[operation.code].name,
        "actor": operation.actor,
        "at": operation.at,
        "url": here(request, "operation", pk=operation.pk),
        "checks_url": here(request, "operation_checks", pk=operation.pk),
    }


@dataclass(frozen=True)
class Freeze:
    """Since when a task is frozen, and by whom."""

    at: datetime
    by: User
    url: str


def freezes_of(request: ConsoleRequest, tasks: Sequence[Task]) -> dict[int, Freeze]:
    """Who froze the frozen ones among some tasks; those that were published as frozen are not in it."""
    frozen = [task.pk for task in tasks if task.recurrence == Recurrence.PAUSE]
    if not frozen:
        return {}
    done = OperationTarget.objects.filter(
        object_type="task", object_id__in=frozen, done=True, operation__code__in=("freeze_task", "unfreeze_task")
    )
    last = done.order_by("object_id", "-pk").distinct("object_id").select_related("operation__actor")
    return {
        target.object_id: Freeze(
            at=target.operation.settled_at or target.operation.at,
            by=target.operation.actor,
            url=here(request, "operation", pk=target.operation_id),
        )
        for target in last
        if target.operation.code == "freeze_task"
    }
