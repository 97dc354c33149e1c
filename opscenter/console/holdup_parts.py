"""What holds many instances up, as rows of a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base.reasons import Reason
from opscenter.console.access import ConsoleRequest, here
from opscenter.console.filters import query_string
from opscenter.console.remedy_parts import Remedies
from opscenter.production.holdups import HoldUp
from opscenter.production.node_types import HTTP
from opscenter.production.remedy_sentences import CAUSES
from opscenter.production.rules.explain import Condition
from opscenter.production.rules.remedies import Cause, Remedy
from opscenter.production.sentences import moment
from opscenter.workspaces.models import Member, Workspace

SHOWN = 50
_LOOKS: Mapping[Cause, str] = {
    Cause.FROZEN: "frozen",
    Cause.FAILED: "failure",
    Cause.STOPPED: "failure",
    Cause.RERUN: "failure",
    Cause.UNTRIGGERED: "wait_trigger",
    Cause.UNSERVED: "failure",
    Cause.UNCALLED: "failure",
    Cause.FULL: "wait_resource",
    Cause.PARALLEL: "wait_resource",
    Cause.STARTING: "wait_resource",
    Cause.TIME: "wait_time",
    Cause.RUNNING: "running",
    Cause.WAITING: "not_run",
}


def rows_of(
    request: ConsoleRequest, reasons: Sequence[HoldUp], kept: Mapping[str, Any], with_help: bool = True
) -> list[dict[str, Any]]:
    """The rows; with ``kept``, the list's own filters, in their links."""
    shown = reasons[:SHOWN]
    conditions = [_condition(one) for one in shown]
    remedies = Remedies(request, None, conditions) if with_help else None
    known = _known(request, shown)
    return [
        {
            "state": _LOOKS[one.cause],
            "text": _text(one),
            "name": one.culprit.name if one.culprit else "",
            "url": _url(request, one) if one.culprit and one.workspace in known else "",
            "workspace": known.get(one.workspace, "") if one.workspace != request.workspace.pk else "",
            "why": str(CAUSES[one.cause]) if one.culprit else "",
            "since": one.since,
            "groups_url": here(request, "group_list") if one.group else "",
            "held_url": here(request, "instance_list") + query_string(_filter(one, kept)),
            "remedies": remedies.buttons(condition) if remedies else [],
            "help": remedies.help(condition) if remedies else [],
        }
        for one, condition in zip(shown, conditions, strict=True)
    ]


def _condition(one: HoldUp) -> Condition:
    """What is to blame as a condition, so that what helps is told as everywhere."""
    remedies = one.culprit.remedies if one.culprit else _OF_MANY.get(one.cause, ())
    if one.group and not one.slots:  # none that could become free
        remedies = tuple(remedy for remedy in remedies if remedy.operation != "wait")
    return Condition("upstream", False, Reason("explain.upstream_unmet"), one.since, remedies)


_OF_MANY: Mapping[Cause, tuple[Remedy, ...]] = {
    Cause.UNSERVED: (Remedy("start_worker"),),
    Cause.UNCALLED: (Remedy("start_courier"),),
    Cause.FULL: (Remedy("add_slots"), Remedy("wait")),
    Cause.PARALLEL: (Remedy("wait"),),
}


def _known(request: ConsoleRequest, reasons: Sequence[HoldUp]) -> dict[int, str]:
    """The workspaces of the culprits that the reader is a member of, by name."""
    ids = {one.workspace for one in reasons if one.culprit}
    mine = Member.objects.filter(user=request.user, workspace__in=ids).values("workspace")
    return {one.pk: str(one) for one in Workspace.objects.filter(pk__in=mine)}


def _url(request: ConsoleRequest, one: HoldUp) -> str:
    env = request.environment.value.lower()
    pk = one.culprit.id if one.culprit else 0
    return reverse("console:instance", kwargs={"workspace_id": one.workspace, "env": env, "pk": pk})


def _filter(one: HoldUp, kept: Mapping[str, Any]) -> dict[str, Any]:
    """The list's filters, narrowed to what waits because of it."""
    if one.culprit is not None:
        return {**kept, "held_by": one.culprit.id}
    if one.group:
        return {**kept, "state": "wait_resource", "group": one.group}
    if one.task is not None:
        return {**kept, "state": "wait_resource", "task": one.task[0]}
    narrow = {
        Cause.FROZEN: {"frozen": "1"},
        Cause.UNTRIGGERED: {"state": "wait_trigger"},
        Cause.UNCALLED: {"state": "wait_resource", "type": HTTP.code},
        Cause.STARTING: {"state": "wait_resource"},
    }
    return {**kept, **narrow.get(one.cause, {"state": "wait_time"})}


def _text(one: HoldUp) -> str:
    if one.culprit is not None:
        return ngettext("%(n)s instance waits because of", "%(n)s instances wait because of", one.held) % {
            "n": one.held
        }
    told = _own(one)
    if one.held:
        more = ngettext("%(n)s more waits for what does not run.", "%(n)s more wait for what does not run.", one.held)
        told = f"{told} {more % {'n': one.held}}".strip()
    return told


def _own(one: HoldUp) -> str:
    values = {"n": one.own, "group": one.group, "at": moment(one.at), "task": one.task[1] if one.task else ""}
    if one.group and not one.own:
        return _("The resource group “%(group)s” takes no more at the moment.") % values
    texts = {
        Cause.FROZEN: ngettext("%(n)s instance is frozen itself.", "%(n)s instances are frozen themselves.", one.own),
        Cause.UNTRIGGERED: ngettext(
            "%(n)s instance waits for its own trigger.", "%(n)s instances wait for their own triggers.", one.own
        ),
        Cause.UNSERVED: ngettext(
            "%(n)s instance is ready, but no live worker serves the resource group “%(group)s”.",
            "%(n)s instances are ready, but no live worker serves the resource group “%(group)s”.",
            one.own,
        ),
        Cause.FULL: ngettext(
            "%(n)s instance is ready, but the resource group “%(group)s” is full.",
            "%(n)s instances are ready, but the resource group “%(group)s” is full.",
            one.own,
        ),
        Cause.UNCALLED: ngettext(
            "%(n)s HTTP node is ready, but no courier is alive.",
            "%(n)s HTTP nodes are ready, but no courier is alive.",
            one.own,
        ),
        Cause.PARALLEL: ngettext(
            "%(n)s instance of “%(task)s” waits for other runs of the task to end.",
            "%(n)s instances of “%(task)s” wait for other runs of the task to end.",
            one.own,
        ),
        Cause.STARTING: ngettext(
            "%(n)s instance starts within seconds.", "%(n)s instances start within seconds.", one.own
        )
        if not one.group
        else ngettext(
            "%(n)s instance starts on the resource group “%(group)s” within seconds.",
            "%(n)s instances start on the resource group “%(group)s” within seconds.",
            one.own,
        ),
        Cause.TIME: ngettext(
            "%(n)s instance waits for its scheduled time, %(at)s.",
            "%(n)s instances wait for their scheduled times, the first until %(at)s.",
            one.own,
        ),
    }
    return texts[one.cause] % values
