"""Publishing: drafts become tasks in production, all of them or none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F, Max, OuterRef, Subquery
from django.utils.translation import gettext as _

from opscenter.base import clock, ids
from opscenter.base.reasons import Invalid, sentence
from opscenter.engine import generate, limits
from opscenter.operations import telling
from opscenter.operations.actor import Actor
from opscenter.operations.permits import require
from opscenter.operations.publish_candidates import (
    ROOT,
    Candidate,
    PublishProblem,
    PublishRefused,
    Upstreams,
    published_before,
)
from opscenter.operations.publish_checks import check, data_source_problems, output_problems
from opscenter.operations.publish_groups import group_problems
from opscenter.operations.publish_isolation import isolated
from opscenter.operations.publish_parameters import with_new_parameters, workflow_problems
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
from opscenter.workspaces import audit
from opscenter.workspaces.models import Tenant, User, Workspace
from opscenter.workspaces.roles import Permission
from workflows.definitions import NodeDefinition
from workflows.models import Node, Workflow

__all__ = ["PublishProblem", "PublishRefused", "PublishReport", "publish"]

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


@dataclass(frozen=True)
class PublishReport:
    """What a publication did.

    Attributes:
        tasks: the tasks in production that were made or changed, with their new versions.
        new: ids of those among them that were not there before.
        unchanged: nodes that were left out, since production has them as they are.
        instances: how many instances of today were made at once.
        workflows: those whose parameters were changed.
        warnings: what should be known, each with its node and field.
    """

    tasks: tuple[Task, ...]
    new: frozenset[int]
    unchanged: tuple[Node, ...]
    instances: int
    workflows: tuple[Workflow, ...]
    warnings: tuple[PublishProblem, ...]


@transaction.atomic
def publish(actor: Actor, workspace: Workspace, nodes: Sequence[Node], message: str) -> PublishReport:
    """Make production tasks of draft nodes, as they are saved now.

    In a workspace of the standard mode the same tasks are made in the development environment too. An owner, a priority,
    a resource group or a recurrence that was changed in production stays, unless the draft's own changed since it was
    last published. The parameters of the nodes' workflows are published too; they hold for all tasks of the workflow, for
    attempts that start from now on.

    Raises:
        NotFound, Forbidden: the actor may not publish in the workspace.
        Invalid: no nodes, nodes of another workspace, no message or one that is too long.
        PublishRefused: the error names every node, field and reason.
    """
    workspace = require(actor, workspace, Permission.PUBLISH).workspace
    message = message.strip()
    if not 1 <= len(message) <= 1000:
        raise Invalid("publish.message", field="message", most=1000)
    Tenant.objects.select_for_update(no_key=True).get(pk=workspace.tenant_id)  # edges cross workspaces: one at a time
    drafts = _drafts(workspace, nodes)
    left_out = _unchanged(workspace, drafts)
    known = set(left_out)
    candidates = _candidates([node for node in drafts if node not in known])
    _hold(candidates)
    upstreams = Upstreams(workspace, Environment.PROD, candidates)
    problems, warnings = check(upstreams)
    problems += workflow_problems(drafts)
    problems += group_problems(upstreams)
    warnings += isolated(upstreams)
    if workspace.mode == Workspace.Mode.STANDARD:
        in_dev = Upstreams(workspace, Environment.DEV, candidates)
        problems += output_problems(in_dev) + data_source_problems(in_dev)
    if problems:
        raise PublishRefused(problems)
    workflows = {node.workflow.pk: node.workflow for node in drafts if node.workflow is not None}
    changed = with_new_parameters(workflows.values())
    publication = _Publication(actor.user, workspace, candidates, workflows, message, clock.now())
    publication.save_drafts()
    tasks, new = publication.deploy(upstreams)
    if workspace.mode == Workspace.Mode.STANDARD:
        publication.deploy(Upstreams(workspace, Environment.DEV, candidates))
    instances = generate.deploy_immediately(tasks, new)
    telling.of_tasks(telling.CREATED, new, actor.user)
    telling.of_tasks(telling.UPDATED, {task.pk for task in tasks} - new, actor.user)
    _audit(actor, workspace, drafts, tasks, message)
    return PublishReport(tuple(tasks), frozenset(new), tuple(left_out), instances, tuple(changed), tuple(warnings))


def environments(workspace: Workspace) -> tuple[Environment, ...]:
    """Where a workspace's nodes are published to."""
    if workspace.mode == Workspace.Mode.STANDARD:
        return (Environment.PROD, Environment.DEV)
    return (Environment.PROD,)


def _drafts(workspace: Workspace, nodes: Sequence[Node]) -> list[Node]:
    """The nodes as they are stored now, locked, in the order given."""
    wanted = list(dict.fromkeys(node.pk for node in nodes))
    found = {
        node.pk: node
        for node in Node.objects.filter(pk__in=wanted, workspace=workspace)
        .select_related("workflow", "owner", "workspace__tenant")
        .select_for_update(of=("self",), no_key=True)
        .order_by("pk")
    }
    if not wanted or len(found) < len(wanted):
        raise Invalid("publish.nodes", field="nodes", missing=[pk for pk in wanted if pk not in found])
    return [found[pk] for pk in wanted]


def _unchanged(workspace: Workspace, nodes: Sequence[Node]) -> list[Node]:
    """Nodes whose saved version is in every environment already."""
    same = {node.number: node for node in nodes if node.number and node.published_version == node.version}
    online = Task.objects.filter(number__in=same, status=Task.Status.ONLINE).values_list("number", "environment")
    present = set(online)
    return [
        node
        for number, node in same.items()
        if all((number, environment.value) in present for environment in environments(workspace))
    ]


def _candidates(nodes: Sequence[Node]) -> list[Candidate]:
    """The nodes with the numbers of their tasks. A refused publication leaves a gap in them, which is harmless."""
    missing = [node for node in nodes if node.number is None]
    fresh = dict(zip((node.pk for node in missing), ids.next_value("task_number", len(missing)), strict=True))
    before = published_before(nodes)
    return [
        Candidate(node, NodeDefinition.from_json(node.definition), node.number or fresh[node.pk], before.get(node.pk))
        for node in nodes
    ]


def _hold(candidates: Sequence[Candidate]) -> None:
    """Lock their production tasks: none is frozen between the checks and the publication."""
    numbers = [candidate.number for candidate in candidates]
    found = Task.objects.filter(number__in=numbers, environment=Environment.PROD).order_by("pk")
    list(found.select_for_update(no_key=True).values_list("pk"))


@dataclass
class _Publication:
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


def _audit(actor: Actor, workspace: Workspace, nodes: Sequence[Node], tasks: Sequence[Task], message: str) -> None:
    workflows = {node.workflow for node in nodes}
    only = next(iter(workflows)) if len(workflows) == 1 else None
    audit.record(
        actor.user,
        actor.face,
        "workflow.publish",
        workspace=workspace,
        obj=("workflow", only.pk, only.name) if only else ("workspace", workspace.pk, workspace.name),
        params={
            "message": message,
            "tasks": [
                {"number": task.number, "name": task.name, "version": task.version.number if task.version else None}
                for task in tasks
            ],
            "parameters": {workflow.name: workflow.parameters for workflow in workflows if workflow is not None},
        },
        address=actor.address,
    )


def _sentence(code: str, text: Callable[[], str]) -> None:
    sentence(code)(lambda params: text() % params)


_sentence("publish.message", lambda: _("Say what changes, in 1 to %(most)s characters."))
_sentence("publish.nodes", lambda: _("Choose nodes of this workspace to publish; these are not there: %(missing)s."))
