"""Drafts as pages show them: what state they are in, and what stands against publishing them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from opscenter.base.reasons import say, sentence
from opscenter.operations.publish_candidates import Candidate, PublishProblem, Upstreams, published_before
from opscenter.operations.publish_checks import check
from opscenter.operations.publish_groups import group_problems
from opscenter.operations.publish_isolation import isolated
from opscenter.production.models import Environment
from opscenter.workspaces.models import Workspace
from workflows.definitions import NodeDefinition
from workflows.models import Node, Workflow

FIELD_NAMES: dict[str, Promise] = {
    "type": gettext_lazy("Type"),
    "cron": gettext_lazy("Schedule"),
    "trigger": gettext_lazy("Trigger"),
    "content": gettext_lazy("Code"),
    "parameters": gettext_lazy("Parameters"),
    "dependencies": gettext_lazy("Dependencies"),
    "outputs": gettext_lazy("Outputs"),
    "recurrence": gettext_lazy("Recurrence"),
    "instance_mode": gettext_lazy("Instances made"),
}
"""How the fields are called that problems name."""


STATE_NAMES: dict[str, Promise] = {
    "new": gettext_lazy("New"),
    "changed": gettext_lazy("Changed"),
    "published": pgettext_lazy("draft", "Published"),
    "undeployed": pgettext_lazy("draft", "Undeployed"),
}


@dataclass(frozen=True)
class Finding:
    """A problem of a draft in words."""

    node: str
    field: Promise | str
    text: str


@dataclass
class Draft:
    """A node with what its row shows.

    Attributes:
        state: ``new``, ``changed``, ``published`` or ``undeployed``.
        upstream: what it waits for, by name.
    """

    node: Node
    definition: NodeDefinition
    upstream: str = ""
    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    @property
    def state(self) -> str:
        if self.node.published_version is None:
            return "new" if self.node.number is None else "undeployed"
        return "published" if self.node.published_version == self.node.version else "changed"

    @property
    def state_name(self) -> str:
        """The state in words."""
        return str(STATE_NAMES[self.state])


def workflows(workspace: Workspace) -> "QuerySet[Workflow]":
    """The workflows of a workspace, each with how many nodes it has, and how many of them are not published as they are."""
    pending = Q(nodes__published_version=None) | ~Q(nodes__published_version=F("nodes__version"))
    return (
        Workflow.objects.filter(workspace=workspace)
        .select_related("owner", "modified_by")
        .annotate(node_count=Count("nodes"), pending_count=Count("nodes", filter=Q(nodes__isnull=False) & pending))
        .order_by("name")
    )


def of(workspace: Workspace, workflow: Workflow | None) -> list[Draft]:
    """The drafts of a workflow, or those that stand on their own, with what speaks against publishing the pending ones."""
    nodes = Node.objects.filter(workspace=workspace, workflow=workflow)
    found = nodes.select_related("owner", "modified_by", "workspace", "workflow").order_by("name", "pk")
    drafts = [draft(node) for node in found]
    names = {one.node.source_id: one.node.name for one in drafts}
    names |= {output: one.node.name for one in drafts for output in one.definition.outputs}
    for one in drafts:
        upstream = (
            names.get(item.output or item.node, item.output or item.node) for item in one.definition.dependencies
        )
        one.upstream = ", ".join(dict.fromkeys(upstream))
    look_at(workspace, [one for one in drafts if one.state != "published"])
    return drafts


def draft(node: Node) -> Draft:
    """A node as a draft, not looked at yet."""
    return Draft(node, NodeDefinition.from_json(node.definition))


def look_at(workspace: Workspace, drafts: Sequence[Draft]) -> None:
    """Note at the drafts what publishing them together would complain about."""
    if not drafts:
        return
    by_node = {one.node.pk: one for one in drafts}
    # a node without a task has no number yet; any that no task has will do to look at it
    before = published_before([one.node for one in drafts])
    candidates = [
        Candidate(one.node, one.definition, one.node.number or -one.node.pk, before.get(one.node.pk)) for one in drafts
    ]
    upstreams = Upstreams(workspace, Environment.PROD, candidates)
    problems, warnings = check(upstreams)
    for problem in problems + group_problems(upstreams):
        by_node[problem.node].problems.append(finding(problem))
    for problem in (*warnings, *isolated(upstreams)):
        by_node[problem.node].warnings.append(finding(problem))


def finding(problem: PublishProblem) -> Finding:
    """A problem in words."""
    return Finding(
        problem.node_name,
        FIELD_NAMES.get(problem.field, problem.field),
        say(problem.reason.code, problem.reason.params),
    )


@sentence("draft.unknown")
def _draft_unknown(params: Mapping[str, Any]) -> str:
    return _("This workspace has no such draft. Somebody may have removed it just now.")


@sentence("workflow.unknown")
def _workflow_unknown(params: Mapping[str, Any]) -> str:
    return _("This workspace has no such workflow.")
