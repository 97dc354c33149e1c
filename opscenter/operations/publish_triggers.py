"""What must hold of manually triggered nodes before they become tasks: a run of theirs consists of their own workflow alone."""

from collections.abc import Callable, Iterator

from django.utils.translation import gettext as _

from opscenter.base.reasons import sentence
from opscenter.operations.publish_candidates import PublishProblem, Upstreams
from opscenter.production.models import Task
from workflows.definitions import MANUAL, NORMAL


def trigger_problems(upstreams: Upstreams) -> list[PublishProblem]:
    """Dependencies between what runs by schedule and what runs by hand, and nodes that would change from one to the other."""
    return [*_changed(upstreams), *_mixed(upstreams), *_dependencies(upstreams)]


def _changed(upstreams: Upstreams) -> Iterator[PublishProblem]:
    """Instances that exist, and whoever depends on the task, count on what it was."""
    for candidate, task in upstreams.own_tasks:
        if task.trigger != candidate.definition.trigger:
            yield candidate.problem("trigger", "publish.trigger_changed", before=task.trigger)


def _mixed(upstreams: Upstreams) -> Iterator[PublishProblem]:
    """A workflow is run as a whole: by schedule, or by hand."""
    triggers = _triggers_in_production(upstreams)
    for candidate in upstreams.candidates:
        workflow = candidate.node.workflow
        if workflow is None:
            continue
        first = triggers.setdefault(workflow.pk, candidate.definition.trigger)
        if candidate.definition.trigger != first:
            yield candidate.problem("trigger", "publish.mixed_triggers", workflow=workflow.name)


def _triggers_in_production(upstreams: Upstreams) -> dict[int, str]:
    """By draft workflow of the candidates: how its other tasks in production are triggered."""
    workflows = {
        workflow.number: workflow.pk
        for candidate in upstreams.candidates
        if (workflow := candidate.node.workflow) is not None and workflow.number is not None
    }
    others = Task.objects.filter(
        workflow__number__in=list(workflows), environment=upstreams.environment, status=Task.Status.ONLINE
    ).exclude(number__in=[candidate.number for candidate in upstreams.candidates])
    rows = others.values_list("workflow__number", "trigger").distinct()
    return {workflows[number]: trigger for number, trigger in rows if number is not None}


def _dependencies(upstreams: Upstreams) -> Iterator[PublishProblem]:
    candidates = {candidate.number: candidate for candidate in upstreams.candidates}
    meant = {
        candidate.number: [
            number for item in candidate.definition.dependencies if isinstance(number := upstreams.resolve(item), int)
        ]
        for candidate in upstreams.candidates
    }
    wanted = {number for numbers in meant.values() for number in numbers} - candidates.keys()
    found = Task.objects.filter(number__in=wanted, environment=upstreams.environment).select_related("workflow")
    tasks = {task.number: task for task in found}
    for candidate in upstreams.candidates:
        is_manual = candidate.definition.trigger == MANUAL
        if is_manual and any(item.type != NORMAL for item in candidate.definition.dependencies):
            yield candidate.problem("dependencies", "publish.manual_previous")
        workflow = candidate.node.workflow
        for number in meant[candidate.number]:
            if number in candidates:
                other = candidates[number]
                name, trigger = other.node.name, other.definition.trigger
                is_inner = workflow is not None and other.node.workflow == workflow
            elif number in tasks and not tasks[number].is_root:
                task = tasks[number]
                name, trigger = task.name, task.trigger
                is_inner = (
                    workflow is not None and task.workflow is not None and task.workflow.number == workflow.number
                )
            else:
                continue  # the root, which nobody has to wait for by hand
            if is_manual and not is_inner:
                yield candidate.problem("dependencies", "publish.manual_upstream", task=name)
            elif not is_manual and trigger == MANUAL:
                yield candidate.problem("dependencies", "publish.scheduled_on_manual", task=name)


def _sentence(code: str, text: Callable[[], str]) -> None:
    sentence(code)(lambda params: text() % params)


_sentence(
    "publish.trigger_changed",
    lambda: _(
        "The task is in production with the trigger %(before)s, which cannot change. Import the node with an id of its own."
    ),
)
_sentence(
    "publish.mixed_triggers",
    lambda: _(
        "The workflow “%(workflow)s” has nodes that run by schedule and nodes that are triggered manually. "
        "Make two workflows of it."
    ),
)
_sentence(
    "publish.manual_previous",
    lambda: _("A manually triggered node has no cycles, so it cannot wait for a previous one. Remove the dependency."),
)
_sentence(
    "publish.manual_upstream",
    lambda: _(
        "A manually triggered node can wait only for nodes of its own workflow, and “%(task)s” is none of them. "
        "Remove the dependency."
    ),
)
_sentence(
    "publish.scheduled_on_manual",
    lambda: _("“%(task)s” is triggered manually: a scheduled node would wait for it forever. Remove the dependency."),
)
