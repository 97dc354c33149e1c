"""Publishing: drafts become tasks in production, all of them or none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base import clock, ids
from opscenter.base.reasons import Invalid, sentence
from opscenter.engine import generate
from opscenter.operations import telling
from opscenter.operations.actor import Actor
from opscenter.operations.permits import require
from opscenter.operations.publication import Publication
from opscenter.operations.publish_candidates import (
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
    Task,
)
from opscenter.workspaces import audit
from opscenter.workspaces.models import Tenant, Workspace
from opscenter.workspaces.roles import Permission
from workflows.definitions import NodeDefinition
from workflows.models import Node, Workflow

__all__ = ["PublishProblem", "PublishRefused", "PublishReport", "publish"]


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
    publication = Publication(actor.user, workspace, candidates, workflows, message, clock.now())
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
