"""What is about to be published: the nodes, what they would wait for, and what is wrong with one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db.models import F

from opscenter.base.reasons import Reason, Refused, say
from opscenter.engine.generate import root_output
from opscenter.production.models import (
    Recurrence,
    Task,
    TaskOutput,
)
from opscenter.workspaces.models import Workspace
from workflows.definitions import MANUAL, NORMAL, ON_ITSELF, Dependency, NodeDefinition
from workflows.models import Node, NodeVersion

ROOT = 0
"""Stands for the number of the workspace's root task, which may not be there yet."""


@dataclass(frozen=True)
class PublishProblem:
    """One finding.

    Attributes:
        node: id of the draft node.
        field: the field of its definition.
    """

    node: int
    node_name: str
    field: str
    reason: Reason

    def __str__(self) -> str:
        return f"{self.node_name}, {self.field}: {say(self.reason.code, self.reason.params)}"

    def as_json(self) -> dict[str, Any]:
        """The form in which it is stored and answered."""
        return {"node": self.node, "node_name": self.node_name, "field": self.field, **self.reason.as_json()}


class PublishRefused(Refused):
    """Nothing was published.

    Attributes:
        problems: everything that was found.
    """

    def __init__(self, problems: Sequence[PublishProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("publish.refused", problems=[problem.as_json() for problem in self.problems])


@dataclass(frozen=True)
class Candidate:
    """A node about to be published.

    Attributes:
        number: the one its task has, or will have.
        before: what the draft said of ``KEPT`` when it was last published; None if it never was, or was undeployed since.
    """

    node: Node
    definition: NodeDefinition
    number: int
    before: Mapping[str, Any] | None = None

    def problem(self, field: str, code: str, **params: Any) -> PublishProblem:
        """A finding about this node."""
        return PublishProblem(self.node.pk, self.node.name, field, Reason(code, params))

    def output_names(self) -> list[str]:
        """All names under which others may depend on the task; the automatic one is last."""
        automatic = f"{self.node.workspace.name}.{self.number}_out"
        return list(dict.fromkeys([*self.definition.outputs, automatic]))

    def recurrence_of(self, task: Task) -> str:
        """The recurrence that its task gets: the one it has in production, unless the draft's own changed."""
        if (
            self.before is None and task.recurrence != Recurrence.PAUSE
        ):  # what was frozen stays so through an undeployment
            return self.definition.recurrence
        return self.definition.recurrence if self.changes("recurrence") else task.recurrence

    def changes(self, name: str) -> bool:
        """Whether the draft says another value of one of ``KEPT`` than when it was last published."""
        return self.before is not None and self.before[name] != getattr(self.definition, name)

    def sets(self, name: str) -> bool:
        """Whether its task gets the draft's value of one of ``KEPT`` but the recurrence, rather than keep its own."""
        return self.before is None or self.changes(name)


KEPT = ("recurrence", "owner", "resource_group", "priority")
"""What is changed in production too: a publication leaves it as it is there, unless the draft's own changed."""


def published_before(nodes: Sequence[Node]) -> dict[int, dict[str, Any]]:
    """By node id: what the draft said of ``KEPT`` when it was last published."""
    rows = NodeVersion.objects.filter(node__in=nodes, number=F("node__published_version"))
    found = rows.values_list("node_id", *(f"definition__{name}" for name in KEPT))
    return {node: dict(zip(KEPT, values, strict=True)) for node, *values in found}


@dataclass
class Upstreams:
    """Finds the tasks of one environment that drafts depend on, among the candidates and in production."""

    workspace: Workspace
    environment: str
    candidates: Sequence[Candidate]
    in_production: dict[str, Task] = field(init=False)

    def __post_init__(self) -> None:
        wanted = {item.output for candidate in self.candidates for item in candidate.definition.dependencies}
        offered = {name for candidate in self.candidates for name in candidate.output_names()}
        rows = TaskOutput.objects.filter(
            tenant=self.workspace.tenant, environment=self.environment, name__in=wanted | offered
        ).select_related("task__workspace")
        self.in_production = {row.name: row.task for row in rows}

    @cached_property
    def own_tasks(self) -> list[tuple[Candidate, Task]]:
        """The candidates that are in production already, each with its task."""
        by_number = {candidate.number: candidate for candidate in self.candidates}
        tasks = Task.objects.filter(number__in=by_number, environment=self.environment).order_by("number")
        tasks = tasks.select_related("resource_group")
        return [(by_number[task.number], task) for task in tasks]

    @cached_property
    def _offered(self) -> dict[str, int]:
        return {name: candidate.number for candidate in self.candidates for name in candidate.output_names()}

    @cached_property
    def _numbers(self) -> set[int]:
        return {candidate.number for candidate in self.candidates}

    @cached_property
    def _by_source(self) -> dict[str, Candidate]:
        return {candidate.node.source_id: candidate for candidate in self.candidates}

    @cached_property
    def _published(self) -> dict[str, Task]:
        """Tasks of the workspace's nodes that drafts name by their source id."""
        wanted = {item.node for candidate in self.candidates for item in candidate.definition.dependencies if item.node}
        nodes = Node.objects.filter(workspace=self.workspace, source_id__in=wanted)
        numbers = {node.number: node.source_id for node in nodes if node.number is not None}
        tasks = Task.objects.filter(number__in=numbers, environment=self.environment)
        return {numbers[task.number]: task for task in tasks}

    def resolve(self, dependency: Dependency) -> int | Reason:
        """The number of the task that a dependency means, or why there is none."""
        if dependency.output:
            if dependency.output in self._offered:
                return self._offered[dependency.output]
            task = self.in_production.get(dependency.output)
            if task is None and dependency.output == root_output(self.workspace):
                return ROOT
            if task is None or task.number in self._numbers:  # a candidate that no longer offers this name
                return Reason("publish.output_unknown", {"output": dependency.output})
        else:
            if dependency.node in self._by_source:
                return self._by_source[dependency.node].number
            task = self._published.get(dependency.node)
            if task is None:
                return Reason("publish.upstream_unpublished", {"node": dependency.node})
        if task.status != Task.Status.ONLINE:
            return Reason("publish.upstream_offline", {"task": task.name})
        return task.number

    def owner_of(self, output: str) -> Task | None:
        """The task in production that has an output name, unless it is one of the candidates."""
        task = self.in_production.get(output)
        return None if task is None or task.number in self._numbers else task

    def edges(self) -> dict[int, dict[int, str]]:
        """For each candidate's number its upstream numbers, each with the output name, if they resolve; who waits for
        nothing else waits for the root, unless it is triggered manually."""
        found: dict[int, dict[int, str]] = {}
        for candidate in self.candidates:
            upstream: dict[int, str] = {}
            for item in candidate.definition.dependencies:
                number = self.resolve(item) if item.type == NORMAL else None
                if isinstance(number, int):
                    upstream.setdefault(number, item.output)
            if candidate.definition.trigger == MANUAL:
                roots = {ROOT, *(task.number for task in self.in_production.values() if task.is_root)}
                found[candidate.number] = {number: name for number, name in upstream.items() if number not in roots}
            else:
                found[candidate.number] = upstream or {ROOT: root_output(self.workspace)}
        return found

    def previous(self) -> dict[int, list[tuple[str, int, str]]]:
        """For each candidate's number its cross-cycle dependencies: type, upstream number (its own, for those on itself
        and on its children), output name."""
        found: dict[int, list[tuple[str, int, str]]] = {}
        for candidate in self.candidates:
            chosen: dict[tuple[str, int], str] = {}
            for item in candidate.definition.dependencies:
                if item.type == NORMAL:
                    continue
                number = candidate.number if item.type in ON_ITSELF else self.resolve(item)
                if isinstance(number, int):
                    chosen.setdefault((item.type, number), item.output)
            found[candidate.number] = [(kind, number, output) for (kind, number), output in chosen.items()]
        return found
