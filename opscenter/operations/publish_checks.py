"""What must hold before nodes become tasks. Everything is looked at, and all that is wrong is told at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from django.utils.translation import gettext as _

from extensions import lifecycle
from opscenter.base.reasons import Invalid, Reason, say, sentence
from opscenter.engine.generate import root_output
from opscenter.operations.publish_candidates import (
    Candidate,
    PublishProblem,
    Upstreams,
)
from opscenter.operations.publish_triggers import trigger_problems
from opscenter.operations.registry import OPERATIONS
from opscenter.production import http_settings
from opscenter.production.models import (
    DataSource,
    Environment,
    Recurrence,
    Resource,
    Task,
    TaskDependency,
)
from opscenter.production.node_types import HTTP, NODE_TYPES
from opscenter.production.rules import parameters
from opscenter.production.rules.dependencies import find_cycle
from opscenter.workspaces.models import Workspace
from workflows.definitions import MANUAL, ON_ITSELF, UNKNOWN_TYPE

SOME_DAY = parameters.Context(date(2025, 6, 14), datetime(2025, 6, 15), date(2025, 6, 15), 1, 1, 1)
"""An ordinary day, on which every parameter must have a value."""

_RESOURCE = re.compile(r'##@resource_reference\{\s*"([^"]+)"\s*\}')


def check(upstreams: Upstreams) -> tuple[list[PublishProblem], list[PublishProblem]]:
    """Everything that forbids publishing the candidates, and what should be known before it runs."""
    candidates = upstreams.candidates
    resources = _resources(upstreams.workspace, candidates)
    problems: list[PublishProblem] = []
    warnings: list[PublishProblem] = []
    for candidate in candidates:
        problems += _own_problems(candidate, resources)
        problems += _dependency_problems(candidate, upstreams)
        known = NODE_TYPES.get(candidate.definition.type)
        if known is not None and known.has_code and not candidate.definition.content.strip():
            warnings.append(candidate.problem("content", "publish.no_code"))
    problems += _changed_types(upstreams)
    problems += trigger_problems(upstreams)
    problems += _guarded(upstreams)
    problems += output_problems(upstreams)
    problems += data_source_problems(upstreams)
    problems += _lost_outputs(upstreams)
    problems += _cycle(upstreams)
    return problems, warnings


def _own_problems(candidate: Candidate, resources: set[str]) -> list[PublishProblem]:
    definition = candidate.definition
    found = []
    if definition.type == UNKNOWN_TYPE:
        found.append(candidate.problem("type", "publish.type_missing"))
    elif definition.type not in NODE_TYPES:
        found.append(candidate.problem("type", "publish.type_not_run", type=definition.type))
    if not definition.cron and definition.trigger != MANUAL:
        found.append(candidate.problem("cron", "publish.no_schedule"))
    try:
        parameters.resolve(parameters.parse_assignments(definition.parameters), SOME_DAY)
    except Invalid as error:
        found.append(candidate.problem("parameters", "publish.parameter", reason=error.reason.as_json()))
    if definition.type == HTTP.code:
        try:
            http_settings.read(definition.content)
        except Invalid as error:
            found.append(candidate.problem("content", error.reason.code, **error.reason.params))
    for name in dict.fromkeys(_RESOURCE.findall(definition.content)):
        if name not in resources:
            found.append(candidate.problem("content", "publish.resource_missing", resource=name))
    return found


def _dependency_problems(candidate: Candidate, upstreams: Upstreams) -> list[PublishProblem]:
    found = []
    for item in candidate.definition.dependencies:
        if item.type in ON_ITSELF:
            continue
        target = upstreams.resolve(item)
        if isinstance(target, Reason):
            found.append(candidate.problem("dependencies", target.code, **target.params))
    return found


def data_source_problems(upstreams: Upstreams) -> list[PublishProblem]:
    """SQL nodes whose data source is not there in the environment that they are published to."""
    environment = Environment(upstreams.environment)
    known = set(
        DataSource.objects.filter(workspace=upstreams.workspace, environment=environment).values_list("name", flat=True)
    )
    found = []
    for candidate in upstreams.candidates:
        node_type, name = NODE_TYPES.get(candidate.definition.type), candidate.definition.data_source
        if node_type is None or not node_type.needs_data_source or name in known:
            continue
        if name:
            found.append(
                candidate.problem(
                    "data_source", "publish.data_source_missing", data_source=name, environment=environment.value
                )
            )
        elif environment is Environment.PROD:  # said once
            found.append(candidate.problem("data_source", "publish.no_data_source"))
    return found


def _changed_types(upstreams: Upstreams) -> list[PublishProblem]:
    """A task keeps its type: instances that exist would be run as something else."""
    return [
        candidate.problem("type", "publish.type_changed", before=task.node_type)
        for candidate, task in upstreams.own_tasks
        if task.node_type != candidate.definition.type
    ]


def _guarded(upstreams: Upstreams) -> list[PublishProblem]:
    """Tasks that would be frozen or unfrozen past the extensions that must be asked first."""
    found = []
    for candidate, task in upstreams.own_tasks:
        is_frozen, will_be = (one == Recurrence.PAUSE for one in (task.recurrence, candidate.recurrence_of(task)))
        if will_be is not is_frozen:
            spec = OPERATIONS["freeze_task" if will_be else "unfreeze_task"]
            listeners = lifecycle.listeners(upstreams.workspace, spec.point, partial(list, [task.node_type]))
            asked = [one.extension.name for one in listeners]
            if asked:
                found.append(candidate.problem("recurrence", f"publish.{spec.code}", extensions=asked))
    return found


def output_problems(upstreams: Upstreams) -> list[PublishProblem]:
    """Output names that another task of the environment has, another candidate, or a workspace's root."""
    workspaces = Workspace.objects.filter(tenant=upstreams.workspace.tenant)
    reserved = {root_output(workspace) for workspace in workspaces}
    offered: dict[str, Candidate] = {}
    found = []
    for candidate in upstreams.candidates:
        for output in candidate.output_names():
            owner = upstreams.owner_of(output)
            twin = offered.setdefault(output, candidate)
            if output in reserved:
                found.append(candidate.problem("outputs", "publish.output_reserved", output=output))
            elif owner is not None:
                told = {"output": output, "task": owner.name, "number": owner.number}
                found.append(candidate.problem("outputs", "publish.output_taken", **told))
            elif twin is not candidate:
                found.append(candidate.problem("outputs", "publish.output_twice", output=output, node=twin.node.name))
    return found


def _resources(workspace: Workspace, candidates: Sequence[Candidate]) -> set[str]:
    named = {name for candidate in candidates for name in _RESOURCE.findall(candidate.definition.content)}
    known = Resource.objects.filter(workspace=workspace, name__in=named, deleted_at__isnull=True)
    return set(known.values_list("name", flat=True))


def _lost_outputs(upstreams: Upstreams) -> list[PublishProblem]:
    """Names that a candidate gives up although tasks in production still depend on them."""
    by_number = {candidate.number: candidate for candidate in upstreams.candidates}
    rows = TaskDependency.objects.filter(
        upstream__number__in=by_number,
        upstream__environment=upstreams.environment,
        task__status=Task.Status.ONLINE,
    ).exclude(task__number__in=by_number)
    return [
        by_number[row.upstream.number].problem(
            "outputs", "publish.output_in_use", output=row.output, task=row.task.name
        )
        for row in rows.select_related("task", "upstream")
        if row.output not in by_number[row.upstream.number].output_names()
    ]


def _cycle(upstreams: Upstreams) -> list[PublishProblem]:
    """A loop in the tenant's dependencies as they would be; edges cross workspaces."""
    planned = upstreams.edges()
    graph: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    rows = TaskDependency.objects.filter(
        task__workspace__tenant=upstreams.workspace.tenant,
        task__environment=upstreams.environment,
        type=TaskDependency.Type.NORMAL,  # what waits for an earlier cycle closes no loop
    ).values_list("task__number", "task__name", "upstream__number")
    for number, name, upstream in rows.iterator():
        names[number] = name
        if number not in planned:
            graph.setdefault(number, []).append(upstream)
    by_number = {candidate.number: candidate for candidate in upstreams.candidates}
    names |= {number: candidate.node.name for number, candidate in by_number.items()}
    cycle = find_cycle(graph | {number: list(found) for number, found in planned.items()})
    if not cycle:
        return []
    at = next(by_number[number] for number in cycle if number in by_number)
    return [at.problem("dependencies", "publish.cycle", tasks=[names[number] for number in cycle])]


def _sentence(code: str, text: Callable[[], str]) -> None:
    sentence(code)(lambda params: text() % params)


_sentence("publish.type_missing", lambda: _("The node has no type. Import it again with one."))
_sentence("publish.type_not_run", lambda: _("Nodes of the type %(type)s are not run here yet."))
_sentence("publish.no_schedule", lambda: _("The node has no schedule. Give it a cron."))
_sentence("publish.no_code", lambda: _("The node has no code; it will run and do nothing."))
_sentence(
    "publish.resource_missing",
    lambda: _("The workspace has no resource “%(resource)s”. Upload it, or remove the reference from the code."),
)
_sentence(
    "publish.no_data_source",
    lambda: _("The node names no data source to run on. Name one in the document (datasource) and import it again."),
)
_sentence(
    "publish.output_unknown",
    lambda: _("No task in production and none of these nodes has the output “%(output)s”. Publish its node first."),
)
_sentence(
    "publish.upstream_unpublished",
    lambda: _("The upstream node “%(node)s” is not in production. Publish it first, or together with this one."),
)
_sentence("publish.upstream_offline", lambda: _("The upstream task “%(task)s” is offline. Publish it again first."))
_sentence(
    "publish.output_taken",
    lambda: _("The output “%(output)s” belongs to the task “%(task)s” (%(number)s) already. Outputs are unique."),
)
_sentence("publish.output_twice", lambda: _("The output “%(output)s” is also one of “%(node)s”. Outputs are unique."))
_sentence("publish.output_reserved", lambda: _("The output “%(output)s” is kept for the root of a workspace."))
_sentence(
    "publish.type_changed",
    lambda: _("The task is of the type %(before)s, which cannot change. Import the node with an id of its own."),
)
_sentence(
    "publish.output_in_use",
    lambda: _("The task “%(task)s” depends on the output “%(output)s”, which this node no longer has."),
)


@sentence("publish.data_source_missing")
def _say_data_source_missing(params: Mapping[str, Any]) -> str:
    return _("There is no data source “%(data_source)s” in the environment %(environment)s. Add it there first.") % {
        "data_source": params["data_source"],
        "environment": dict(Environment.choices)[params["environment"]],
    }


@sentence("publish.parameter")
def _say_parameter(params: Mapping[str, Any]) -> str:
    reason = params["reason"]
    return _("A parameter has no value: %(reason)s") % {"reason": say(reason["code"], reason["params"])}


@sentence("publish.freeze_task")
def _say_freeze(params: Mapping[str, Any]) -> str:
    return _(
        "This would freeze the task without asking %(extensions)s. Freeze the task in Operation Center, where the "
        "extensions are asked, then publish."
    ) % {"extensions": _names(params)}


@sentence("publish.unfreeze_task")
def _say_unfreeze(params: Mapping[str, Any]) -> str:
    return _(
        "This would unfreeze the task without asking %(extensions)s. Unfreeze the task in Operation Center, where the "
        "extensions are asked, then publish."
    ) % {"extensions": _names(params)}


def _names(params: Mapping[str, Any]) -> str:
    return ", ".join(f"“{name}”" for name in params["extensions"])


@sentence("publish.cycle")
def _say_cycle(params: Mapping[str, Any]) -> str:
    return _("These tasks would wait for each other: %(tasks)s.") % {"tasks": " → ".join(params["tasks"])}


@sentence("publish.refused")
def _say_refused(params: Mapping[str, Any]) -> str:
    lines = [
        f"{item['node_name']}, {item['field']}: {say(item['code'], item['params'])}" for item in params["problems"]
    ]
    return "\n".join([_("Nothing was published."), *lines])
