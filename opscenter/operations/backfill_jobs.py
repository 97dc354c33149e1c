"""What the operations on backfills do: make, pause, resume, stop, rerun what failed. The door to all but the first is door.py."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base.reasons import Reason, sentence
from opscenter.engine import backfill_jobs as jobs
from opscenter.engine import backfill_make
from opscenter.operations.models import Operation
from opscenter.production.models import Backfill
from opscenter.workspaces.models import Member, Workspace


def read(ids: Sequence[int], workspace: Workspace, environment: str) -> dict[int, Backfill]:
    """The jobs of a workspace and environment, locked."""
    found = Backfill.objects.filter(pk__in=ids, workspace=workspace, environment=environment)
    locked = found.order_by("pk").select_for_update(no_key=True, of=("self",))
    return {one.pk: one for one in locked.select_related("workspace__tenant", "created_by")}


def look_again(job: Backfill, member: Member) -> Reason | None:
    """Why a job that was checked cannot be made any more."""
    from opscenter.operations import backfills

    return backfills.look_again(job, member)


def _make(found: Sequence[Backfill], operation: Operation) -> None:
    for job in found:
        backfill_make.begin(job)


def _pause(found: Sequence[Backfill], operation: Operation) -> None:
    for job in found:
        jobs.pause(job, operation.actor.username, operation.pk)


def _resume(found: Sequence[Backfill], operation: Operation) -> None:
    """One that was made and has not started yet is started."""
    for job in found:
        if job.state == Backfill.State.READY:
            backfill_make.start(job)
        else:
            jobs.resume(job, operation.actor.username, operation.pk)


def _stop(found: Sequence[Backfill], operation: Operation) -> None:
    reason = {"code": "backfill.stopped", "params": {"user": operation.actor.username}}
    for job in found:
        jobs.stop(job, reason, operation.pk)


def _rerun(found: Sequence[Backfill], operation: Operation) -> None:
    for job in found:
        jobs.rerun(job, operation.pk)


EFFECTS: dict[str, Callable[[Sequence[Backfill], Operation], None]] = {
    "make_backfill": _make,
    "pause_backfill": _pause,
    "resume_backfill": _resume,
    "stop_backfill": _stop,
    "rerun_backfill": _rerun,
}


@sentence("backfill.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no such backfill in this workspace and environment.")


@sentence("backfill.state")
def _state(params: Mapping[str, Any]) -> str:
    from opscenter.operations.registry import OPERATIONS

    spec, names = OPERATIONS[params["operation"]], dict(Backfill.State.choices)
    return _("The backfill is in the state “%(state)s”; %(operation)s is possible in: %(states)s.") % {
        "state": names[params["state"]],
        "operation": spec.name,
        "states": ", ".join(str(names[state]) for state in Backfill.State if state in spec.job_states),
    }


@sentence("backfill.paused_already")
def _paused_already(params: Mapping[str, Any]) -> str:
    return _("The backfill is paused already.")


@sentence("backfill.not_paused")
def _not_paused(params: Mapping[str, Any]) -> str:
    return _("The backfill is not paused.")


@sentence("backfill.half_made")
def _half_made(params: Mapping[str, Any]) -> str:
    return _("It was stopped while it was being made, so that dates are missing. Ask for a new backfill.")


@sentence("backfill.over")
def _over(params: Mapping[str, Any]) -> str:
    return _("Every instance of the backfill has ended.")


@sentence("backfill.nothing_failed")
def _nothing_failed(params: Mapping[str, Any]) -> str:
    return _("No instance of the backfill has failed.")


@sentence("backfill.paused")
def _paused(params: Mapping[str, Any]) -> str:
    return _("%(user)s paused the backfill.") % params


@sentence("backfill.resumed")
def _resumed(params: Mapping[str, Any]) -> str:
    return _("%(user)s resumed the backfill.") % params


@sentence("backfill.stopped")
def _stopped(params: Mapping[str, Any]) -> str:
    return _("%(user)s stopped the backfill.") % params


@sentence("backfill.stopped_by_failure")
def _stopped_by_failure(params: Mapping[str, Any]) -> str:
    return _("The backfill was stopped because its instance %(instance)s failed.") % params


@sentence("backfill.went_on")
def _went_on(params: Mapping[str, Any]) -> str:
    return _("The business date %(bizdate)s failed, and the backfill goes on with the next one, as asked for.") % params


def _named(params: Mapping[str, Any]) -> str:
    names = ", ".join(f"“{name}”" for name in params["names"])
    if params["more"]:
        names = _("%(names)s and %(more)s more") % {"names": names, "more": params["more"]}
    n = params.get("hidden", 0)
    hidden = ngettext(
        "%(n)s task of a workspace that you are not a member of",
        "%(n)s tasks of workspaces that you are not a member of",
        n,
    ) % {"n": n}
    return ", ".join([*([names] if names else []), *([hidden] if n else [])])


@sentence("backfill.barred")
def _barred(params: Mapping[str, Any]) -> str:
    told = _(
        "You may not run %(names)s, with which the backfill begins or ends. Leave them out, or have somebody start it who may."
    ) % {"names": _named(params)}
    if params.get("hidden"):
        told += " " + _("The mode “By workspace” leaves out what is of other workspaces than those that you choose.")
    return told


@sentence("backfill.newest_first")
def _newest_first(params: Mapping[str, Any]) -> str:
    return _(
        "%(names)s waits for the cycle before, so that the newest business date cannot run first. Choose ascending order."
    ) % {"names": _named(params)}


@sentence("backfill.too_many_roots")
def _too_many_roots(params: Mapping[str, Any]) -> str:
    return _("The backfill begins with %(given)s tasks; %(most)s are the most.") % params


@sentence("backfill.too_many_tasks")
def _too_many_tasks(params: Mapping[str, Any]) -> str:
    return (
        _("The backfill has %(given)s tasks; %(most)s are the most. Choose fewer levels, or leave tasks out.") % params
    )


@sentence("backfill.too_many_instances")
def _too_many_instances(params: Mapping[str, Any]) -> str:
    return (
        _("The backfill would make %(given)s instances; %(most)s are the most. Choose fewer dates or tasks.") % params
    )


@sentence("backfill.nothing_runs")
def _nothing_runs(params: Mapping[str, Any]) -> str:
    return _("None of the chosen tasks would run.")


@sentence("backfill.no_link")
def _no_link(params: Mapping[str, Any]) -> str:
    return _("No way leads from the first task to the last one.")


@sentence("backfill.no_instances")
def _no_instances(params: Mapping[str, Any]) -> str:
    return _("None of the chosen tasks has an instance on these business dates and in these hours.")


for _code, _text in {
    "backfill.chosen": lambda: _("Runs."),
    "backfill.bypassed": lambda: _("Succeeds without its trigger; nobody can trigger it in a backfill."),
    "backfill.frozen": lambda: _("The task is frozen: its instances are born frozen, and what comes after them waits."),
    "backfill.recurrence": lambda: _("The task's recurrence is a dry run."),
    "backfill.unchosen": lambda: _("Not chosen, but between chosen tasks: a dry run that keeps the order."),
    "backfill.left_out": lambda: _("Left out."),
    "backfill.no_permission": lambda: _("You may not run it: a dry run, since chosen tasks come before and after it."),
    "backfill.offline": lambda: _("It is not in production."),
    "backfill.manual": lambda: _("It is triggered manually: it has no schedule, so no business dates of its own."),
    "backfill.root": lambda: _("The workspace's root node: there is nothing to run."),
}.items():
    sentence(_code)(lambda params, text=_text: text())  # type: ignore[misc]
