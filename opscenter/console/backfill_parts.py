"""Backfills as their pages show them: how a job stands, its facts, the preview of one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from opscenter.base.reasons import say
from opscenter.console.access import ConsoleRequest, here
from opscenter.console.backfill_forms import ALERTS, MODES, ON_FAILURE, ORDERS
from opscenter.console.filters import query_string
from opscenter.console.operation_parts import asked_in_words
from opscenter.console.task_picking import Choice, Scope
from opscenter.console.templatetags import looks
from opscenter.console.templatetags.looks import Look
from opscenter.engine import backfill_mail
from opscenter.operations.backfill_request import BackfillRequest, from_json
from opscenter.operations.backfills import Preview
from opscenter.operations.models import Operation
from opscenter.production.backfill_counts import Counts, Standing
from opscenter.production.models import Backfill
from opscenter.production.rules.backfill import Mode, Part
from opscenter.production.rules.states import LIVE, State

_NAMED = 10
"""Tasks of a request that its page names."""
TASKS_SHOWN = 200
"""Tasks of a preview, the first levels first."""
_STATES = {
    Backfill.State.MAKING: Look("running", "running", Backfill.State.MAKING.label),
    Backfill.State.READY: Look("not_run", "circle", Backfill.State.READY.label),
    Backfill.State.STOPPED: Look("failure", "circle-stop", Backfill.State.STOPPED.label),
}
_PAUSED = Look("frozen", "circle-pause", gettext_lazy("Paused"))
_STANDINGS = {
    Standing.NOT_RUN: looks.STATES["not_run"],
    Standing.RUNNING: looks.STATES["running"],
    Standing.FAILURE: looks.STATES["failure"],
    Standing.SUCCESS: looks.STATES["success"],
}
_PARTS = {
    Part.RUN: Look("running", "play", gettext_lazy("Runs")),
    Part.DRY_RUN: looks.DRY_RUN,
    Part.FROZEN: looks.FROZEN,
}
_SKIPPED = Look("not_run", "circle-minus", gettext_lazy("No instances"))


def look_of_job(job: Backfill, counts: Counts, operation: Operation | None) -> Look:
    """How a job stands: as its checks do while it is asked for, then as its instances do."""
    if job.state == Backfill.State.ASKED and operation is not None:
        return looks.OPERATIONS[operation.status]
    if job.state in _STATES:
        return _STATES[Backfill.State(job.state)]
    if job.is_paused:
        return _PAUSED
    return look_of(counts)


def look_of(counts: Counts) -> Look:
    """How some instances stand together."""
    return _STANDINGS[counts.standing]


def is_moving(job: Backfill, counts: Counts, operation: Operation | None) -> bool:
    """Whether it may change by itself at any moment."""
    if job.state == Backfill.State.ASKED:
        return operation is not None and operation.status == Operation.Status.CHECKING
    if job.state == Backfill.State.MAKING:
        return True
    if job.state == Backfill.State.STOPPED:
        return any(counts.by_state[state] for state in LIVE)  # until the last program has ended
    return job.state == Backfill.State.STARTED and counts.standing is Standing.RUNNING


@dataclass(frozen=True)
class Chip:
    """So many instances of one state."""

    look: Look
    n: int


def chips(counts: Counts) -> list[Chip]:
    """What there is of each state, in the order in which instances pass them."""
    order = (
        State.NOT_RUN,
        State.WAIT_TIME,
        State.WAIT_TRIGGER,
        State.WAIT_RESOURCE,
        State.RUNNING,
        State.FAILURE,
        State.SUCCESS,
    )
    found = [Chip(looks.of_state(int(state)), counts.by_state[state]) for state in order if counts.by_state[state]]
    if live := sum(counts.by_state[state] for state in (State.CLAIMED, State.CHECKING, State.CHECKING_CONDITION)):
        found.append(Chip(looks.STATES["running"], live))
    return found + ([Chip(looks.FROZEN, counts.frozen)] if counts.frozen else [])


def dates_in_words(request: BackfillRequest) -> str:
    """``2026-11-01 – 2026-11-03, 2026-11-07``."""
    told = [str(one.first) if one.first == one.last else f"{one.first} – {one.last}" for one in request.ranges]
    return ", ".join(told)


def order_in_words(request: BackfillRequest) -> str:
    """The order, and how many dates run side by side."""
    order = str(ORDERS[request.order])
    if request.groups == 1:
        return order
    return _("%(order)s, %(n)s side by side") % {"order": order, "n": request.groups}


def facts_of(job: Backfill, scope: Scope) -> list[tuple[str, Any]]:
    """What it was asked for with; tasks by the names that the reader may see."""
    asked = from_json(job.request)
    as_tasks = _("As each task has it")
    names = scope.numbered({*asked.roots, *asked.include, *asked.exclude})
    facts = [
        (_("Tasks"), _("%(mode)s (%(n)s)") % {"mode": MODES[asked.mode][0], "n": job.tasks}),
        *_named(asked, names),
        (_("Business dates"), dates_in_words(asked)),
        (_("Order"), order_in_words(asked)),
        (_("After a failure"), ON_FAILURE[asked.on_failure]),
        (_("Hours"), f"{asked.start:%H:%M:%S} – {asked.end:%H:%M:%S}"),
        (_("Run window"), _window(asked)),
        (_("Dates to come"), _("Run at once") if asked.immediately else _("Wait for their time")),
        (_("Priority"), asked.priority or as_tasks),
        (_("Resource group"), asked.resource_group or as_tasks),
    ]
    if asked.data_sources:
        pairs = ", ".join(f"{old} → {new}" for old, new in asked.data_sources.items())
        facts.append((_("Other data sources"), pairs))
    if alert_kind(asked.alert):
        told = ALERTS[alert_kind(asked.alert)]
        by_mail = backfill_mail.is_wanted(job.request)
        facts.append((_("When it ends"), _("%(told)s, by mail too") % {"told": told} if by_mail else told))
    return facts


def mail_of(job: Backfill) -> dict[str, Any] | None:
    """The mail about its last end, if there was one."""
    mail = job.mails.order_by("pk").last()
    if mail is None:
        return None
    why = say(mail.reason["code"], mail.reason["params"]) if mail.reason else ""
    return {"state": mail.get_state_display(), "at": mail.sent_at, "why": why}


def _named(asked: BackfillRequest, names: Mapping[int, Choice]) -> Iterator[tuple[str, str]]:
    """The tasks that the request names, by what they are in it."""
    last = _("Ends with") if asked.mode is Mode.LINK else _("These tasks too")
    told: list[tuple[str, Sequence[int]]] = [
        (_("Begins with"), asked.roots),
        (_("Chosen") if asked.mode is Mode.ADVANCED else last, asked.include),
        (_("Leave out"), asked.exclude),
    ]
    for label, numbers in told:
        if numbers:
            shown = ", ".join(names[one].name if one in names else str(one) for one in numbers[:_NAMED])
            more = len(numbers) - _NAMED
            yield label, _("%(names)s and %(more)s more") % {"names": shown, "more": more} if more > 0 else shown


def alert_kind(alert: Mapping[str, str] | None) -> str:
    """At which ends, as the dialog has it; the APIs have spellings of their own. Empty: at none."""
    kind = (alert or {}).get("type", "").replace("_", "").lower()
    return next((code for code in ALERTS if code.lower() == kind), "")


def _window(asked: BackfillRequest) -> str:
    if asked.run_window is None:
        return _("Any time")
    start, end, weekend = asked.run_window
    hours = f"{start:%H:%M:%S} – {end:%H:%M:%S}"
    return _("%(hours)s, at weekends only") % {"hours": hours} if weekend else hours


def parameters_of(job: Backfill) -> list[tuple[str, str, str]]:
    """Overridden parameters, as (task or nothing for all, name, expression)."""
    given = job.request["parameters"]
    found = [("", name, text) for name, text in given.get("workflow", {}).items()]
    for task, values in given.get("tasks", {}).items():
        found += [(task, name, text) for name, text in values.items()]
    return found


def preview_of(request: ConsoleRequest, found: Preview) -> dict[str, Any]:
    """What a preview shows."""
    plan = found.plan
    order = sorted(plan.roles, key=lambda pk: (plan.level.get(pk, 0), plan.tasks[pk].name, pk))
    hidden = _("of a workspace that you are not a member of")
    left = {pk for pk, role in plan.roles.items() if role.why == "backfill.left_out"}
    rows = [
        {
            "task": plan.tasks[pk],
            "is_hidden": plan.tasks[pk].workspace not in found.sees,
            "level": plan.level.get(pk, 0),
            "look": _PARTS[plan.roles[pk].part],
            "why": "" if plan.roles[pk].why == "backfill.chosen" else say(plan.roles[pk].why),
            "is_here": plan.tasks[pk].workspace == request.workspace.pk,
            "is_out": pk in left,
        }
        for pk in order[:TASKS_SHOWN]
    ]
    skipped = [
        {"name": plan.tasks[pk].name if plan.tasks[pk].workspace in found.sees else hidden, "why": say(why)}
        for pk, why in sorted(plan.skipped.items())
        if pk in plan.tasks
    ]
    return {
        "rows": rows,
        "hidden": hidden,
        "more": len(order) - len(rows),
        "skipped": skipped,
        "days": [
            {"day": day, "parts": [Chip(_look_of_part(part), n) for part, n in day.counts.items()]} for day in plan.days
        ],
        "headline": _headline(found),
        "expected": _expected(found),
        "problems": [say(one.code, one.params) for one in plan.problems],
        "asked": asked_in_words(found.asked, found.advising),
        "fingerprint": found.fingerprint,
        "instances": plan.instances,
        "is_large": plan.instances > 2000,
    }


def _look_of_part(part: str) -> Look:
    return looks.DRY_RUN if part == "off_day" else _PARTS[Part(part)]


def _headline(found: Preview) -> str:
    plan = found.plan
    instances = ngettext("%(n)s instance", "%(n)s instances", plan.instances) % {"n": plan.instances}
    tasks = ngettext("%(n)s task", "%(n)s tasks", len(plan.roles)) % {"n": len(plan.roles)}
    days = ngettext("%(n)s business date", "%(n)s business dates", len(plan.days)) % {"n": len(plan.days)}
    return _("%(instances)s: %(tasks)s, %(days)s") % {"instances": instances, "tasks": tasks, "days": days}


def _expected(found: Preview) -> dict[str, Any] | None:
    if found.expected is None:
        return None
    unknown = found.expected.unknown
    text = ngettext("%(n)s task has never run.", "%(n)s tasks have never run.", unknown) % {"n": unknown}
    return {"seconds": found.expected.seconds, "unknown": text if unknown else ""}


def instances_url(request: ConsoleRequest, job: Backfill, **filters: Any) -> str:
    """Its instances in the list."""
    return here(request, "backfill_instance_list") + query_string({"backfill": job.pk, **filters})
