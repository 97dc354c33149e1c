"""Graphs of instances, made directly, for tests and benchmarks of the engine."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from opscenter.base import ids
from opscenter.production.models import (
    InstanceEdge,
    ResourceGroup,
    Task,
    TaskInstance,
    TaskVersion,
    WorkflowInstance,
)
from opscenter.production.node_types import NODE_TYPES
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Tenant, User, Workspace

BIZDATE = date(2026, 11, 20)
PAST = datetime(2026, 11, 21, tzinfo=UTC)


class Scene:
    """A workspace with tasks and one scheduled workflow instance to hang instances on."""

    def __init__(self, name: str = "scene") -> None:
        self.tenant = Tenant.objects.create(name=name)
        self.user = User.objects.create_user(f"{name}-owner", tenant=self.tenant)
        self.workspace = Workspace.objects.create(tenant=self.tenant, name=name)
        self.group = ResourceGroup.objects.create(tenant=self.tenant, name="default", slots=1000)
        self.family = WorkflowInstance.objects.create(
            workspace=self.workspace,
            environment="Prod",
            type=WorkflowInstance.Type.NORMAL,
            name="run",
            bizdate=BIZDATE,
        )

    def task(
        self, node_type: str = "virtual", content: str = "", max_parallel: int | None = None, **version: object
    ) -> Task:
        """A published daily task."""
        number = ids.next_value("task_number")[0]
        task = Task.objects.create(
            number=number,
            environment="Prod",
            workspace=self.workspace,
            name=f"{node_type}-{number}",
            node_type=node_type,
            owner=self.user,
            resource_group=self.group,
            max_parallel=max_parallel,
        )
        task.version = TaskVersion.objects.create(
            task=task,
            number=1,
            content=content,
            cron="00 00 00 * * ?",
            published_by=self.user,
            first_day=BIZDATE,
            **version,
        )
        task.save()
        return task

    def instances(
        self, task: Task, count: int, edges: Iterable[tuple[int, int]] = (), **fields: object
    ) -> list[TaskInstance]:
        """``count`` instances of one task with edges (upstream index, downstream index) between them.

        Those without upstream are ready (virtual, shell) or wait for their trigger.
        """
        numbers = ids.next_value("production_taskinstance_id_seq", count)
        made = [self._instance(task, pk, index, fields) for index, pk in enumerate(numbers)]
        self.connect([(made[a], made[b]) for a, b in edges], save=False)
        TaskInstance.objects.bulk_create(made, batch_size=5000)
        self._store_edges()
        return made

    def connect(self, pairs: Sequence[tuple[TaskInstance, TaskInstance]], *, save: bool = True) -> None:
        """Make the second of each pair wait for the first."""
        self._edges = [InstanceEdge(upstream=a, downstream=b, bizdate=BIZDATE) for a, b in pairs]
        unmet = Counter(b.pk for _, b in pairs)
        waiting = {b.pk: b for _, b in pairs}
        for pk, instance in waiting.items():
            instance.unmet += unmet[pk]
            instance.state = State.NOT_RUN
        if save:
            TaskInstance.objects.bulk_update(waiting.values(), ["unmet", "state"])
            self._store_edges()

    def _store_edges(self) -> None:
        InstanceEdge.objects.bulk_create(self._edges, batch_size=5000)
        self._edges = []

    def _instance(self, task: Task, pk: int, index: int, fields: dict[str, object]) -> TaskInstance:
        ready = State.WAIT_TRIGGER if task.node_type == "http_trigger" else State.WAIT_RESOURCE
        values: dict[str, object] = {
            "id": pk,
            "workflow_instance": self.family,
            "task": task,
            "version": task.version,
            "workspace": self.workspace,
            "environment": "Prod",
            "bizdate": BIZDATE,
            "scheduled_at": PAST.replace(microsecond=index % 1_000_000, second=(index // 1_000_000) % 60),
            "not_before": PAST,
            "node_type": task.node_type,
            "needs_worker": NODE_TYPES[task.node_type].needs_worker,
            "limited": task.max_parallel is not None,
            "state": ready,
            "resource_group": self.group,
        }
        return TaskInstance(**(values | fields))
