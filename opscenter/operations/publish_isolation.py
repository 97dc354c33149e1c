"""Nodes that would be isolated: without an upstream that has instances they have none either (spec 3.1, 3.2).

Every node hangs on a root or on other nodes, so none is isolated for ever; but an upstream may begin later or end earlier, and
one whose instances come with the next night has none today.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy

from opscenter.base import clock
from opscenter.base.reasons import sentence
from opscenter.operations.publish_candidates import ROOT, Candidate, PublishProblem, Upstreams
from opscenter.production.models import Environment, Task, TaskInstance, TaskVersion, WorkflowInstance
from opscenter.production.rules import planning


@dataclass(frozen=True)
class _Period:
    """When a task's instances are effective, local to the tenant; empty = unbounded."""

    start: str = ""
    end: str = ""


def isolated(upstreams: Upstreams) -> list[PublishProblem]:
    """Candidates that will have no instances for some time, because their upstream tasks have none."""
    edges = upstreams.edges()
    zone = ZoneInfo(upstreams.workspace.tenant.time_zone)
    others = {number for found in edges.values() for number in found} - {ROOT} - edges.keys()
    tasks = Task.objects.filter(number__in=others, environment=upstreams.environment).select_related("version")
    known = {task.number: task for task in tasks}
    periods = {number: _period_of(task, zone) for number, task in known.items()}
    periods |= {one.number: _Period(one.definition.start, one.definition.end) for one in upstreams.candidates}
    periods[ROOT] = _Period()
    names = {number: task.name for number, task in known.items()}
    names |= {one.number: one.node.name for one in upstreams.candidates}
    found = []
    for candidate in upstreams.candidates:
        above = [number for number in edges[candidate.number] if number in periods]
        if above:
            told = sorted(names[number] for number in above if number != ROOT)
            found += _outside(candidate, [periods[number] for number in above], told)
    return found + _without_today(upstreams, edges, zone, names)


def _period_of(task: Task, zone: ZoneInfo) -> _Period:
    version = task.version
    start, end = (version.start_at, version.end_at) if version is not None else (None, None)
    return _Period(*("" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}" for at in (start, end)))


def _outside(candidate: Candidate, above: list[_Period], names: list[str]) -> list[PublishProblem]:
    """The parts of a node's effective period in which none of its upstream tasks is effective."""
    start = min(period.start for period in above)
    ends = [period.end for period in above]
    end = "" if "" in ends else max(ends)
    mine, found = candidate.definition, []
    if start > mine.start:
        found.append(candidate.problem("dependencies", "publish.isolated_until", at=start, upstream=names))
    if end and (not mine.end or mine.end > end):
        found.append(candidate.problem("dependencies", "publish.isolated_after", at=end, upstream=names))
    return found


def _without_today(
    upstreams: Upstreams, edges: Mapping[int, Mapping[int, str]], zone: ZoneInfo, names: Mapping[int, str]
) -> list[PublishProblem]:
    """Nodes whose instances of today are to be made at once, although none of their upstream tasks has any."""
    at_once = {
        one.number: one
        for one in upstreams.candidates
        if one.definition.instance_mode == TaskVersion.InstanceMode.IMMEDIATELY
    }
    now = clock.now().astimezone(zone)
    if not at_once or upstreams.environment != Environment.PROD or now.time() >= planning.GENERATION_STARTS:
        return []
    wanted = {up for number in at_once for up in edges[number]}
    reached = {ROOT, *_present(wanted, now)}
    while fresh := [pk for pk in at_once if pk not in reached and not reached.isdisjoint(edges[pk])]:
        reached.update(fresh)
    return [
        one.problem(
            "instance_mode", "publish.isolated_today", upstream=sorted(names.get(up, "") for up in edges[number])
        )
        for number, one in at_once.items()
        if number not in reached
    ]


def _present(numbers: set[int], now: datetime) -> set[int]:
    """Those of the tasks that have scheduled instances today."""
    found = TaskInstance.objects.filter(
        task__number__in=numbers,
        task__environment=Environment.PROD,
        bizdate=now.date() - timedelta(days=1),
        workflow_instance__type=WorkflowInstance.Type.NORMAL,
    )
    return set(found.values_list("task__number", flat=True).distinct())


for _code, _text in {
    "publish.isolated_until": gettext_lazy(
        "Until %(at)s it has no instances: none of the tasks that it depends on (%(upstream)s) has any before."
    ),
    "publish.isolated_after": gettext_lazy(
        "After %(at)s it has no instances: none of the tasks that it depends on (%(upstream)s) has any from then on."
    ),
    "publish.isolated_today": gettext_lazy(
        "It has no instances today, although it is published with the mode Immediately: none of the tasks that it depends on "
        "(%(upstream)s) has any today."
    ),
}.items():
    sentence(_code)(
        lambda params, text=_text: str(text) % {**params, "upstream": ", ".join(params["upstream"])}  # type: ignore[misc]
    )
