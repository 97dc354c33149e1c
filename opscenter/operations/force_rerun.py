"""Force rerun downstream: all descendants of an instance run again, over workspaces and days as chosen, running ones stopped.

What runs is asked to stop; the operation stays ``running`` until that has ended and was put back as well. Meanwhile no other
such operation is done in the tenant.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import F, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base import clock, notify
from opscenter.base.due import Source
from opscenter.base.reasons import Forbidden, Invalid, Reason, Refused, sentence
from opscenter.engine.locks import lock_with_downstream, repeated
from opscenter.operations import reruns, telling
from opscenter.operations.arguments import Arguments, Values, arguments_of, only
from opscenter.operations.dependencies import numbers
from opscenter.operations.downstream import within
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.outcomes import outcome_of
from opscenter.operations.permits import missing
from opscenter.operations.reach import KILL, RERUN, Reach, Reached, unasked
from opscenter.production.models import InstanceEdge, TaskInstance
from opscenter.production.rules.states import LIVE, State
from opscenter.production.selectors import edges_in_run
from opscenter.workspaces.models import Member, User, Workspace
from opscenter.workspaces.roles import Permission

CODE = "force_rerun"
MOST = 5000
"""Instances that one operation puts back."""
SELF, CHILDREN = "self", "children"
_DAYS = (1, 2)
"""Business dates that may be rerun so: yesterday and the day before."""
_LOOK_AGAIN = timedelta(seconds=1)
_BATCH = 1000


def administered(user: User) -> set[int]:
    """The workspaces of which the user may force reruns."""
    members = Member.objects.filter(user=user).only("workspace_id", "roles")
    return {member.workspace_id for member in members if member.may(Permission.FORCE_RERUN)}


def _read(given: Values, workspace: Workspace) -> dict[str, Any]:
    """``start``: from the instance itself, or from its children; ``workspaces``: those whose instances are rerun;
    ``cross_day``: whether instances of later business dates are."""
    only(given, "start", "workspaces", "cross_day")
    if given["start"] not in (SELF, CHILDREN):
        raise Invalid("force_rerun.start", given=str(given["start"])[:20])
    if not isinstance(given["cross_day"], bool):
        raise Invalid("force_rerun.cross_day")
    chosen = numbers("workspaces", given["workspaces"], 1000)
    known = Workspace.objects.filter(pk__in=chosen, tenant=workspace.tenant_id).values_list("pk", flat=True)
    for unknown in sorted(set(chosen) - set(known)):
        raise Invalid("force_rerun.workspace", workspace=unknown)
    return {"start": given["start"], "workspaces": chosen, "cross_day": given["cross_day"]}


def _words(values: Values) -> str:
    count = len(values["workspaces"])
    parts = [
        _("from the instance itself") if values["start"] == SELF else _("from its direct downstream instances"),
        ngettext("in %(n)s workspace", "in %(n)s workspaces", count) % {"n": count},
        _("of later days too") if values["cross_day"] else _("of the same business date"),
    ]
    return ", ".join(parts)


FORCE = Arguments(_read, words=_words)


def refused(instances: Sequence[TaskInstance]) -> dict[int, Reason]:
    """Those of another day than yesterday or the day before; all, while another such operation runs in the tenant."""
    if not instances:
        return {}
    tenant = instances[0].workspace.tenant
    today = clock.now().astimezone(ZoneInfo(tenant.time_zone)).date()
    found = {
        i.pk: Reason("force_rerun.bizdate", {"bizdate": i.bizdate.isoformat()})
        for i in instances
        if (today - i.bizdate).days not in _DAYS
    }
    running = _running().filter(workspace__tenant=tenant).first()
    if running is not None:
        busy = Reason("force_rerun.busy", {"by": str(running.actor), "operation": running.pk})
        found |= {i.pk: found.get(i.pk, busy) for i in instances}
    return found


def _running() -> "QuerySet[Operation]":
    found = Operation.objects.filter(code=CODE, status=Operation.Status.RUNNING)
    return found.select_related("actor").order_by("pk")


def _where(instances: Sequence[TaskInstance], values: Values) -> Sequence[int]:
    chosen: Sequence[int] = values["workspaces"]
    return chosen


def _reached(instances: Sequence[TaskInstance], values: Values, member: Member) -> Mapping[str, Sequence[Reached]]:
    """All that is rerun, and what of it runs now and is stopped first."""
    _permit(member.user, member.workspace_id, values)
    chosen = TaskInstance.objects.filter(pk__in=_hold([i.pk for i in instances], values)).order_by("pk")
    found = [(Reached(*row), State(state)) for *row, state in chosen.values_list(*_REACHED, "state")]
    return {
        RERUN: [one for one, _state in found],
        KILL: [one for one, state in found if state in LIVE],
    }


_REACHED = ("pk", "workspace_id", "node_type", "task__name")
REACH = Reach((RERUN, KILL), _where, _reached)


def _permit(user: User, workspace: int, values: Values) -> None:
    if set(values["workspaces"]) - administered(user):
        asker = Member.objects.filter(user=user, workspace=workspace).first()
        raise Forbidden("permission.missing", **missing(Permission.FORCE_RERUN, asker))


def force(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """Put back the descendants; those that run are stopped first, and stay undone until they have ended.

    Where extensions were asked, nothing is done that they were not asked about: what has come downstream since, and what
    runs since and would have to be stopped, stays as it is.
    """
    values = arguments_of(operation)
    _permit(operation.actor, operation.workspace_id, values)
    start = [i.pk for i in instances]
    chosen = _hold(start, values)
    targets = operation.targets.filter(object_type="instance")
    known = set(targets.values_list("object_id", flat=True))
    new = list(TaskInstance.objects.filter(pk__in=chosen - known).only("workspace_id", "node_type"))
    kept = unasked(operation, RERUN, new)
    OperationTarget.objects.bulk_create(
        [OperationTarget(operation=operation, object_type="instance", object_id=pk) for pk in sorted(chosen - known)],
        batch_size=_BATCH,
    )
    _refuse(targets.filter(object_id__in=kept), "force_rerun.not_asked")
    _put_back(chosen - kept, operation)
    _refuse(targets.filter(done=None).exclude(object_id__in=chosen), "force_rerun.not_downstream")
    notify.notify(notify.DUE)


def leave(operation: Operation) -> None:
    """Where it is done to none of its objects, nothing is done to what is downstream of them."""
    targets = operation.targets.filter(object_type="instance")
    own = targets.filter(object_id__in=operation.params["instances"])
    refused = own.filter(done=False).order_by("pk").first()
    if refused is not None and not own.exclude(done=False).exists():
        targets.filter(done=None).update(done=False, reason=refused.reason)


def _refuse(targets: "QuerySet[OperationTarget]", code: str) -> None:
    targets.update(done=False, reason=Reason(code).as_json())


def _hold(start: Sequence[int], values: Values) -> set[int]:
    """What is to be rerun, locked with everything downstream of it; looked for again until nothing new turns up."""
    chosen: set[int] = set()
    while (found := _descendants(start, values)) != chosen:
        chosen = found
        lock_with_downstream(sorted(chosen))
    return chosen


def _descendants(start: Sequence[int], values: Values) -> set[int]:
    """Descendants in the chosen workspaces, and the start itself if it is to run."""
    found: set[int] = set()
    level = set(start)
    while level:
        below = _edges(level, values).filter(downstream__workspace__in=values["workspaces"])
        level = set(below.values_list("downstream_id", flat=True)) - found - set(start)
        found |= level
        if len(found) > MOST:
            raise Refused("force_rerun.too_many", most=MOST)
    return found | set(start) if values["start"] == SELF else found


def _edges(upstream: set[int], values: Values) -> "QuerySet[InstanceEdge]":
    """Those of the same business date, or of all days, among runs of one kind."""
    if not values["cross_day"]:
        return edges_in_run(upstream)
    kind = "workflow_instance__type"
    return InstanceEdge.objects.filter(upstream__in=upstream, **{f"downstream__{kind}": F(f"upstream__{kind}")})


def _put_back(ids: set[int], operation: Operation) -> None:
    """Stop what runs, rerun what has ended; locks are held. Targets that are back count as done."""
    found = (
        TaskInstance.objects.filter(pk__in=ids).order_by("pk").select_related("task", "version", "workspace__tenant")
    )
    found = found.defer("version__content")
    running = [one for one in found if State(one.state) in LIVE]
    kept = unasked(operation, KILL, running)
    running = [one for one in running if one.pk not in kept]
    reruns.stop(running, operation)
    now = list(found.all())  # a claim that was not started has failed at once
    back = [one for one in now if State(one.state) not in LIVE]
    reruns.rerun(back, operation)
    telling.of_instances(telling.KILLED, running, operation)
    telling.of_instances(telling.RERUN, back, operation)
    live = {one.pk for one in now if State(one.state) in LIVE} - kept
    targets = operation.targets.filter(object_type="instance")
    targets.filter(object_id__in=live).update(done=None)
    targets.filter(object_id__in=ids - live - kept).update(done=True)
    _refuse(targets.filter(object_id__in=kept), "force_rerun.runs")


def run() -> datetime | None:
    """Go on with those that wait for running instances; when to look again."""
    for pk in list(_running().values_list("pk", flat=True)):
        _go_on(pk)
    return clock.now() + _LOOK_AGAIN if _running().exists() else None


@repeated
def _go_on(pk: int) -> None:
    operation = Operation.objects.select_for_update(no_key=True).get(pk=pk)
    if operation.status != Operation.Status.RUNNING:
        return
    targets = operation.targets.filter(object_type="instance")
    waiting = set(targets.filter(done=None).values_list("object_id", flat=True))
    live = set(TaskInstance.objects.filter(pk__in=waiting, state__in=LIVE).values_list("pk", flat=True))
    over = waiting - live
    if over:
        chosen = set(targets.exclude(done=False).values_list("object_id", flat=True))
        if arguments_of(operation)["start"] == CHILDREN:
            chosen -= set(operation.params["instances"])
        # what ended well before it was stopped has let others start: these run again, too
        again = within(over, chosen, _edges(chosen, arguments_of(operation))) - live
        lock_with_downstream(sorted(again))
        _put_back(again, operation)
        notify.notify(notify.DUE)
    if not targets.filter(done=None).exists():
        operation.status = outcome_of(operation)
        operation.save(update_fields=["status"])


SOURCES: Sequence[Source] = [Source(CODE, run)]
"""What goes on here by itself; the scheduler runs it."""


@sentence("force_rerun.not_asked")
def _not_asked(params: Mapping[str, Any]) -> str:
    return _("It came downstream while extensions were asked, and they were not asked about it. Ask once more.")


@sentence("force_rerun.not_downstream")
def _not_downstream(params: Mapping[str, Any]) -> str:
    return _("While extensions were asked it ceased to be downstream of what is rerun.")


@sentence("force_rerun.runs")
def _runs(params: Mapping[str, Any]) -> str:
    return _(
        "It runs since extensions were asked, and they were not asked whether it may be stopped. What waits for it waits for "
        "this run; ask once more if it is to run again."
    )


@sentence("force_rerun.start")
def _start(params: Mapping[str, Any]) -> str:
    return _("“%(given)s” is no place to start from. It is either “self” or “children”.") % params


@sentence("force_rerun.cross_day")
def _cross_day(params: Mapping[str, Any]) -> str:
    return _("“cross_day” must be true or false.")


@sentence("force_rerun.workspace")
def _workspace(params: Mapping[str, Any]) -> str:
    return _("There is no workspace %(workspace)s in this tenant.") % params


@sentence("force_rerun.bizdate")
def _bizdate(params: Mapping[str, Any]) -> str:
    return (
        _("Only instances of yesterday's business date or of the day before can be rerun so, not of %(bizdate)s.")
        % params
    )


@sentence("force_rerun.busy")
def _busy(params: Mapping[str, Any]) -> str:
    return (
        _(
            "%(by)s is rerunning instances by force (operation %(operation)s); one at a time in a tenant. Wait until it is done."
        )
        % params
    )


@sentence("force_rerun.too_many")
def _too_many(params: Mapping[str, Any]) -> str:
    return _("More than %(most)s instances would be rerun. Start further down, or choose fewer workspaces.") % params
