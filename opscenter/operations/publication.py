"""What a publication writes: drafts, tasks, versions, outputs and edges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db.models import F, Max, OuterRef, Subquery

from opscenter.base import ids
from opscenter.engine import generate, limits
from opscenter.operations.publish_candidates import (
    ROOT,
    Candidate,
    Upstreams,
)
from opscenter.production.models import (
    Environment,
    ProductionWorkflow,
    Recurrence,
    ResourceGroup,
    Task,
    TaskDependency,
    TaskOutput,
    TaskVersion,
)
from opscenter.production.node_types import NODE_TYPES
from opscenter.production.rules import planning
from opscenter.workspaces.models import User, Workspace
from workflows.models import Node, Workflow

_BATCH = 500
_TASK_FIELDS = (
    "workflow",
    "name",
    "description",
    "node_type",
    "trigger",
    "owner",
    "resource_group",
    "recurrence",
    "thawed_recurrence",
    "priority",
    "max_parallel",
    "misfire_policy",
    "status",
    "modified_at",
    "modified_by",
)


@dataclass
class Publication:
    """One publication that passed its checks: writes drafts, tasks, versions, outputs and edges."""

    publisher: User
    workspace: Workspace
    candidates: Sequence[Candidate]
    workflows: Mapping[int, Workflow]
    message: str
    at: datetime

    def __post_init__(self) -> None:
        groups = ResourceGroup.objects.usable_in(self.workspace)
        self._groups = {group.name: group for group in groups}
        self._zone = ZoneInfo(self.workspace.tenant.time_zone)

    def save_drafts(self) -> None:
        """Note at the drafts what they became."""
        unnumbered = [workflow for workflow in self.workflows.values() if workflow.number is None]
        numbers = ids.next_value("workflow_number", len(unnumbered))
        for workflow, number in zip(unnumbered, numbers, strict=True):
            workflow.number = number
        for workflow in self.workflows.values():
            workflow.published_at = self.at
        Workflow.objects.bulk_update(self.workflows.values(), ("number", "published_at"))
        fresh = [candidate.node for candidate in self.candidates if candidate.node.number is None]
        for candidate in self.candidates:
            candidate.node.number = candidate.number
            candidate.node.published_version = candidate.node.version
        Node.objects.bulk_update(fresh, ("number",), batch_size=_BATCH)
        published = [node.pk for node in self._nodes()]
        Node.objects.filter(pk__in=published).update(published_version=F("version"))

    def _nodes(self) -> list[Node]:
        return [candidate.node for candidate in self.candidates]

    def deploy(self, upstreams: Upstreams) -> tuple[list[Task], set[int]]:
        """Write the candidates' tasks of one environment; returns them and the ids of those that are new."""
        environment = Environment(upstreams.environment)
        tasks, new = self._tasks(environment)
        self._versions(tasks)
        self._outputs(tasks, environment)
        self._edges(tasks, upstreams, environment)
        return [tasks[candidate.number] for candidate in self.candidates], new

    def _tasks(self, environment: Environment) -> tuple[dict[int, Task], set[int]]:
        workflows = self._workflows(environment)
        numbers = [candidate.number for candidate in self.candidates]
        found = Task.objects.filter(number__in=numbers, environment=environment).order_by("pk")
        tasks = {task.number: task for task in found.select_for_update(no_key=True)}
        fresh = []
        before = list(tasks.values())
        limit_before = {task.pk: task.max_parallel for task in before}
        for candidate in self.candidates:
            task = tasks.get(candidate.number)
            if task is None:
                task = Task(
                    number=candidate.number, environment=environment, recurrence=candidate.definition.recurrence
                )
                fresh.append(task)
            self._fill(task, candidate, workflows)
        Task.objects.bulk_update(before, _TASK_FIELDS, batch_size=_BATCH)
        relimited = [task for task in before if task.max_parallel != limit_before[task.pk]]
        if relimited:
            limits.changed(relimited)
        Task.objects.bulk_create(fresh, batch_size=_BATCH)
        return tasks | {task.number: task for task in fresh}, {task.pk for task in fresh}

    def _fill(self, task: Task, candidate: Candidate, workflows: Mapping[int, ProductionWorkflow]) -> None:
        node, definition = candidate.node, candidate.definition
        task.workspace = self.workspace
        task.workflow = workflows[node.workflow.pk] if node.workflow is not None else None
        task.name = node.name
        task.description = definition.description
        task.node_type = definition.type
        task.trigger = definition.trigger
        if task.pk is None or candidate.sets("owner"):
            task.owner = node.owner
        if task.pk is None or candidate.sets("resource_group"):
            task.resource_group = self._groups[definition.resource_group or ResourceGroup.DEFAULT]
        if task.pk is None or candidate.sets("priority"):
            task.priority = definition.priority
        task.max_parallel = definition.max_parallel or None
        task.misfire_policy = definition.misfire_policy
        task.status = Task.Status.ONLINE
        task.modified_at, task.modified_by = self.at, self.publisher
        recurrence = candidate.recurrence_of(task)
        if recurrence == Recurrence.PAUSE != task.recurrence:
            task.thawed_recurrence = task.recurrence
        task.recurrence = recurrence

    def _workflows(self, environment: Environment) -> dict[int, ProductionWorkflow]:
        """By draft workflow: the workflow in production, with the draft's name and owner."""
        found = {}
        for workflow in self.workflows.values():
            assert workflow.number is not None  # save_drafts gave it one
            found[workflow.pk], _made = ProductionWorkflow.objects.update_or_create(
                number=workflow.number,
                environment=environment,
                defaults={
                    "workspace": self.workspace,
                    "name": workflow.name,
                    "owner": workflow.owner,
                    "parameters": workflow.parameters,
                },
            )
        return found

    def _versions(self, tasks: Mapping[int, Task]) -> None:
        """One immutable version each, and the task points at it."""
        rows = TaskVersion.objects.filter(task__in=tasks.values()).values("task_id").annotate(last=Max("number"))
        last = {row["task_id"]: row["last"] for row in rows}
        first_day = planning.first_generated_day(self.at, self._zone)
        versions = []
        for candidate in self.candidates:
            definition, task = candidate.definition, tasks[candidate.number]
            version = TaskVersion(
                task=task,
                number=last.get(task.pk, 0) + 1,
                content=definition.content,
                data_source=definition.data_source if NODE_TYPES[definition.type].needs_data_source else "",
                parameters=definition.parameters,
                cron=definition.cron,
                start_at=self._moment(definition.start),
                end_at=self._moment(definition.end),
                instance_mode=definition.instance_mode,
                rerun_mode=definition.rerun_mode,
                rerun_times=definition.rerun_times,
                rerun_interval=definition.rerun_interval,
                timeout=definition.timeout,
                published_by=self.publisher,
                published_at=self.at,
                message=self.message,
                first_day=first_day,
            )
            versions.append(version)
        TaskVersion.objects.bulk_create(versions, batch_size=_BATCH)
        for version in versions:
            version.task.version = version
        latest = TaskVersion.objects.filter(task=OuterRef("pk")).order_by("-number").values("pk")[:1]
        Task.objects.filter(pk__in=[task.pk for task in tasks.values()]).update(version=Subquery(latest))

    def _moment(self, local: str) -> datetime | None:
        """A draft's local time in the tenant's zone."""
        return datetime.fromisoformat(local).replace(tzinfo=self._zone) if local else None

    def _outputs(self, tasks: Mapping[int, Task], environment: Environment) -> None:
        wanted = {
            (name, tasks[candidate.number].pk) for candidate in self.candidates for name in candidate.output_names()
        }
        rows = TaskOutput.objects.filter(task__in=tasks.values()).values_list("name", "task_id", "pk")
        present = {(name, task): pk for name, task, pk in rows}
        TaskOutput.objects.filter(pk__in=[pk for key, pk in present.items() if key not in wanted]).delete()
        TaskOutput.objects.bulk_create(
            [
                TaskOutput(tenant=self.workspace.tenant, environment=environment, name=name, task_id=task)
                for name, task in sorted(wanted - present.keys())
            ],
            batch_size=_BATCH,
        )

    def _edges(self, tasks: Mapping[int, Task], upstreams: Upstreams, environment: Environment) -> None:
        """Replace the tasks' dependencies; who waits for nothing else waits for the workspace's root."""
        normal = TaskDependency.Type.NORMAL
        wanted = [
            (number, normal.value, other, output)
            for number, found in upstreams.edges().items()
            for other, output in found.items()
        ] + [(number, *link) for number, found in upstreams.previous().items() for link in found]
        numbers = {other for _number, _type, other, _output in wanted} - tasks.keys() - {ROOT}
        known = {
            **tasks,
            **{task.number: task for task in Task.objects.filter(number__in=numbers, environment=environment)},
        }
        if any(other == ROOT for _number, _type, other, _output in wanted):
            known[ROOT] = generate.ensure_root(self.workspace, environment, self._owner())
        names = {candidate.number: candidate.output_names()[0] for candidate in self.candidates}
        TaskDependency.objects.filter(task__in=tasks.values()).delete()
        TaskDependency.objects.bulk_create(
            [
                TaskDependency(
                    task=tasks[number],
                    upstream=known[other],
                    type=kind,
                    output=output or self._name(known[other], names),
                )
                for number, kind, other, output in wanted
            ],
            batch_size=_BATCH,
        )

    @staticmethod
    def _name(task: Task, names: Mapping[int, str]) -> str:
        """The output name for a dependency that names the node alone."""
        if task.number in names:
            return names[task.number]
        first = task.outputs.order_by("pk").first()
        return first.name if first else ""

    def _owner(self) -> User:
        """Whose the root task is: the workspace's owner."""
        owner = User.objects.filter(
            memberships__workspace=self.workspace, memberships__roles__contains=["role_project_owner"]
        ).first()
        return owner or self.publisher
