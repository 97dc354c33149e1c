"""What the codes of this floor say: why an instance is in its state (rules.explain), and how attempts end.

The trigger call's codes are in trigger_sentences. Moments are said in Django's current time zone, with its name.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from opscenter.base.reasons import say, sentence
from opscenter.production.names import state_name

Params = Mapping[str, Any]
SHOWN = 5
"""Names in one sentence; the rest is counted."""


def moment(value: datetime | str | None) -> str:
    """``yyyy-MM-dd HH:mm:ss`` and the zone, of a moment or of one as it is stored."""
    if value is None:
        return "–"
    zone = timezone.get_current_timezone()
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S} {zone}"


def _plain(code: str, text: Promise) -> None:
    """A code whose sentence has no more than its parameters in it."""
    sentence(code)(lambda params: str(text) % params)


for _code, _text in {
    "explain.not_frozen": gettext_lazy("It is not frozen."),
    "explain.frozen": gettext_lazy(
        "The instance is frozen. It keeps its state, does not run, and what comes after it waits."
    ),
    "explain.frozen.short": gettext_lazy("Frozen"),
    "explain.born_frozen": gettext_lazy(
        "The task was frozen when this instance was generated, so the instance was born frozen. "
        "It does not run, and what comes after it waits."
    ),
    "explain.paused": gettext_lazy(
        "Its backfill is paused. It goes on when somebody resumes the backfill, or unfreezes it."
    ),
    "explain.paused.short": gettext_lazy("Its backfill is paused"),
    "explain.born_frozen.short": gettext_lazy("Born frozen: its task was frozen"),
    "explain.time_none": gettext_lazy("It was asked to run at once; it waits for no time."),
    "explain.trigger_fired": gettext_lazy("An external system triggered it."),
    "explain.trigger_passed": gettext_lazy("It was set to succeeded by a person, without a trigger."),
    "explain.trigger_none": gettext_lazy("No external system has triggered it yet."),
    "explain.trigger_none.short": gettext_lazy("Waits for its trigger"),
    "explain.trigger_offline": gettext_lazy("Its task is offline, so a trigger is refused."),
    "explain.trigger_offline.short": gettext_lazy("Its task is offline"),
    "explain.trigger_task_frozen": gettext_lazy("Its task is frozen, so a trigger is refused."),
    "explain.trigger_task_frozen.short": gettext_lazy("Its task is frozen"),
    "explain.trigger_expired.short": gettext_lazy("The trigger expired; it needs a new one"),
    "explain.parallel_free": gettext_lazy(
        "Its task's runs are limited to %(limit)s at the same time; running now: %(running)s."
    ),
    "explain.parallel_full.short": gettext_lazy("Its task runs %(running)s of at most %(limit)s"),
    "explain.parallel_passed": gettext_lazy("Its task's runs are limited to %(limit)s at the same time."),
    "explain.resources_not_needed": gettext_lazy("It needs no worker and no slot."),
    "explain.resources_taken": gettext_lazy("It got a slot of the resource group “%(group)s”."),
    "explain.resources_free": gettext_lazy(
        "The resource group “%(group)s” has room: %(used)s of %(slots)s slots are taken."
    ),
    "explain.resources_unserved": gettext_lazy(
        "No live worker serves the resource group “%(group)s”. Start a worker for it, or use another group."
    ),
    "explain.resources_unserved.short": gettext_lazy("No worker serves “%(group)s”"),
    "explain.resources_full.short": gettext_lazy("“%(group)s” is full: %(used)s of %(slots)s"),
    "explain.run_waiting": gettext_lazy("It runs when the conditions above are met."),
    "explain.run_waiting.short": gettext_lazy("Waits for its conditions"),
    "explain.run_next": gettext_lazy("All conditions are met. It starts within seconds."),
    "explain.run_next.short": gettext_lazy("Starts within seconds"),
    "explain.run_unreleased": gettext_lazy(
        "All conditions are met, and it needs no worker; but no scheduler is running that would let it pass."
    ),
    "explain.run_unreleased.short": gettext_lazy("No scheduler: it does not go on"),
    "explain.claimed": gettext_lazy("A worker took it and is starting attempt %(attempt)s."),
    "explain.claimed.short": gettext_lazy("Starting"),
    "explain.running_lost": gettext_lazy(
        "The worker of attempt %(attempt)s is gone, and no scheduler is running that would go on from there."
    ),
    "explain.running_lost.short": gettext_lazy("Its worker is gone, and no scheduler is running"),
    "explain.stopping": gettext_lazy("Attempt %(attempt)s is being stopped."),
    "explain.stopping.short": gettext_lazy("Is being stopped"),
    "explain.running.short": gettext_lazy("Attempt %(attempt)s is running"),
    "explain.checking": gettext_lazy("Attempt %(attempt)s has run; its result is being checked."),
    "explain.checking.short": gettext_lazy("Its result is being checked"),
    "explain.checking_condition": gettext_lazy("Attempt %(attempt)s has run; its branch condition is being evaluated."),
    "explain.checking_condition.short": gettext_lazy("Its branch condition is being evaluated"),
    "explain.succeeded_ran": gettext_lazy("Attempt %(attempt)s succeeded."),
    "explain.succeeded_ran.short": gettext_lazy("Succeeded"),
    "explain.succeeded_zero_load": gettext_lazy("It runs nothing; it succeeded when its conditions were met."),
    "explain.succeeded_zero_load.short": gettext_lazy("Succeeded, runs nothing"),
    "explain.succeeded_triggered": gettext_lazy("An external system triggered it, and it succeeded."),
    "explain.succeeded_triggered.short": gettext_lazy("Triggered"),
    "explain.succeeded_by_hand": gettext_lazy("A person set it to succeeded."),
    "explain.succeeded_by_hand.short": gettext_lazy("Instance Set Successfully"),
    "explain.succeeded_dry_run": gettext_lazy("It was a dry run: it succeeded at its time without running anything."),
    "explain.succeeded_dry_run.short": gettext_lazy("Dry-run"),
    "explain.succeeded_not_its_day": gettext_lazy(
        "The task does not run on this day. The instance succeeded without running, so that its downstream goes on."
    ),
    "explain.succeeded_not_its_day.short": gettext_lazy("Dry-run: not its day"),
    "explain.succeeded_not_chosen": gettext_lazy("It was not chosen for this run, and succeeded without running."),
    "explain.succeeded_not_chosen.short": gettext_lazy("Unselected Instance in Temporary Workflow"),
    "explain.succeeded_branch_not_taken": gettext_lazy("Its branch was not taken; it succeeded without running."),
    "explain.succeeded_branch_not_taken.short": gettext_lazy("Branch not taken"),
    "explain.succeeded_expired": gettext_lazy(
        "Its scheduled time was over when the task was published, so it succeeded without running."
    ),
    "explain.succeeded_expired.short": gettext_lazy("Dry-run (expired instance)"),
    "explain.succeeded_missed": gettext_lazy(
        "Its scheduled time passed while no scheduler was running, and its task's misfire policy is not to run what was "
        "missed. It succeeded without running, so that its downstream goes on."
    ),
    "explain.succeeded_missed.short": gettext_lazy("Dry-run (missed)"),
    "attempt.exit_code": gettext_lazy("The process ended with exit code %(exit_code)s."),
    "attempt.signal": gettext_lazy("The process was ended by the signal %(signal)s."),
    "attempt.stopped": gettext_lazy("It was stopped."),
    "attempt.lost": gettext_lazy("Its worker on %(host)s was lost, and the attempt with it."),
    "attempt.handed_over": gettext_lazy("Its worker on %(host)s was stopped; it was handed over to another worker."),
    "attempt.worker_stopped": gettext_lazy(
        "Its worker on %(host)s was stopped before it ended, and its rerun setting does not let it start again."
    ),
    "attempt.not_started": gettext_lazy("The worker that took it did not start it in time; it was put back."),
    "attempt.no_python": gettext_lazy(
        "There is no Python interpreter %(path)s on the host that ran it. Correct OPSCENTER_NODE_PYTHON there."
    ),
    "attempt.data_source_missing": gettext_lazy(
        "The workspace has no data source “%(name)s” in this environment. Add it, then rerun."
    ),
    "attempt.data_source_own": gettext_lazy(
        "The data source “%(name)s” is Opscenter's own database, or enters its server as somebody who could get at it. "
        "Nothing was executed."
    ),
    "attempt.sql_connect": gettext_lazy("The data source “%(name)s” cannot be connected to: %(error)s"),
    "attempt.sql_statement": gettext_lazy("Statement %(number)s failed in line %(line)s: %(error)s"),
    "attempt.sql_open_transaction": gettext_lazy(
        "The script began a transaction in line %(line)s and did not end it, so it was rolled back. Add COMMIT."
    ),
    "attempt.error": gettext_lazy("It could not be executed: %(error)s"),
    "rerun.automatic": gettext_lazy("Rerun automatically after the failure."),
    "instance.set_success": gettext_lazy("%(user)s set it to succeeded."),
    "instance.undeployed": gettext_lazy("%(user)s undeployed its task: it becomes a dry run."),
    "instance.frozen": gettext_lazy("%(user)s froze it."),
    "instance.unfrozen": gettext_lazy("%(user)s unfroze it."),
}.items():
    _plain(_code, _text)


@sentence("instance.missed")
def _missed(params: Params) -> str:
    return _(
        "No scheduler was running from %(from)s until %(until)s, and its scheduled time passed meanwhile. By its task's misfire "
        "policy it is a dry run: it succeeds without running."
    ) % {name: moment(params[name]) for name in ("from", "until")}


@sentence("explain.upstream_met")
def _upstream_met(params: Params) -> str:
    total = params["total"]
    if total == 0:
        return _("It has no upstream instances to wait for.")
    return ngettext("Its upstream instance succeeded.", "All %(total)s upstream instances succeeded.", total) % {
        "total": total
    }


@sentence("explain.upstream_passed")
def _upstream_passed(params: Params) -> str:
    return _("It did not wait for its upstream: %(unmet)s of %(total)s have not succeeded.") % params


@sentence("explain.upstream_unmet")
def _upstream_unmet(params: Params) -> str:
    told = ngettext(
        "%(unmet)s of %(total)s upstream instance has not succeeded: %(blocking)s.",
        "%(unmet)s of %(total)s upstream instances have not succeeded: %(blocking)s.",
        params["unmet"],
    )
    told %= {**params, "blocking": _blocking(params) or _("see the list of upstream instances")}
    known = {one["id"] for one in params["blocking"]}
    below = [f"{one['name']} ({_state(one)})" for one in params["roots"] if one["id"] not in known]
    if not below:
        return told
    return f"{told} " + _("These wait in turn; at the bottom of the chain: %(roots)s.") % {"roots": ", ".join(below)}


@sentence("explain.resources_full")
def _resources_full(params: Params) -> str:
    told = _("The resource group “%(group)s” is full: %(used)s of %(slots)s slots are taken.") % params
    names = [f"“{one['name']}”" for one in params["occupants"]]
    if not names:
        return told
    more = params["used"] - len(names)
    if more > 0:
        names.append(_("and %(more)s more") % {"more": more})
    return f"{told} " + _("Those who hold them: %(names)s.") % {"names": ", ".join(names)}


@sentence("explain.upstream_unmet.short")
def _upstream_unmet_short(params: Params) -> str:
    blocking = params["roots"] or params["blocking"]
    if turns := [one for one in params["blocking"] if one.get("turn")]:
        return _("Waits for the %(turn)s") % {"turn": _named(turns[0])}
    if params["roots"]:
        first = {"name": blocking[0]["name"], "state": _state(blocking[0])}
        return _("Waits for %(name)s (%(state)s)") % first
    if not blocking:
        return ngettext("Waits for %(unmet)s upstream", "Waits for %(unmet)s upstream", params["unmet"]) % params
    first = {"name": blocking[0]["name"], "state": _state(blocking[0]), "more": params["unmet"] - 1}
    if first["more"] <= 0:
        return _("Waits for %(name)s (%(state)s)") % first
    return _("Waits for %(name)s (%(state)s) and %(more)s more") % first


def _blocking(params: Params) -> str:
    shown = [_named(one) for one in params["blocking"][:SHOWN]]
    more = params["unmet"] - len(shown)
    if shown and more > 0:
        shown.append(_("and %(more)s more") % {"more": more})
    return ", ".join(shown)


def _named(upstream: Params) -> str:
    if upstream.get("turn"):
        return _("business date %(date)s of the backfill") % {"date": upstream["turn"]}
    return f"{upstream['name']} ({_state(upstream)})"


def _state(upstream: Params) -> str:
    state = str(state_name(upstream["state"]))
    return _("%(state)s, frozen") % {"state": state} if upstream["frozen"] else state


def _with_moment(code: str, text: Promise, name: str = "at") -> None:
    """A code whose sentence says a moment."""
    sentence(code)(lambda params: str(text) % {**params, name: moment(params[name])})


_with_moment("explain.time_met", gettext_lazy("Its scheduled time has come: %(at)s."))
_with_moment("explain.time_passed", gettext_lazy("It did not wait for its scheduled time, %(at)s."))
_with_moment("explain.time_unmet", gettext_lazy("Its scheduled time has not come: %(at)s."))
_with_moment(
    "explain.time_unreleased",
    gettext_lazy(
        "Its scheduled time has come, %(at)s, but no scheduler is running that would let it start. Start one."
    ),
)
_with_moment("explain.time_unreleased.short", gettext_lazy("No scheduler: due since %(at)s"))
_with_moment("explain.time_unmet.short", gettext_lazy("Starts at %(at)s"))
_with_moment(
    "explain.trigger_held",
    gettext_lazy("A trigger command is held for it until %(until)s; it fires when the other conditions are met."),
    "until",
)
_with_moment(
    "explain.trigger_expired",
    gettext_lazy(
        "The last trigger command expired on %(at)s: the other conditions were not met in 24 hours. Trigger it again."
    ),
)


@sentence("explain.parallel_full")
def _parallel_full(params: Params) -> str:
    shown = [f"{moment(one['scheduled_at'])} ({one['id']})" for one in params["runs"][:SHOWN]]
    more = params["running"] - len(shown)
    if shown and more > 0:
        shown.append(_("and %(more)s more") % {"more": more})
    return _(
        "Its task's runs are limited to %(limit)s at the same time. Running now: %(runs)s. It starts when one of them ends."
    ) % {**params, "runs": ", ".join(shown)}


@sentence("explain.running")
def _running(params: Params) -> str:
    if params["worker"]:
        return _("Attempt %(attempt)s is running on %(worker)s.") % params
    return _("Attempt %(attempt)s is running.") % params


def _result(params: Params) -> str:
    result = params["result"]
    if result is not None:
        return say(result["code"], result["params"])
    if params["exit_code"] is not None:
        return say("attempt.exit_code", {"exit_code": params["exit_code"]})
    return ""


def _failed_of(lead: Callable[[Params], str]) -> Callable[[Params], str]:
    return lambda params: " ".join(part for part in (lead(params), _result(params)) if part)


def _failed(params: Params) -> str:
    return _("Attempt %(attempt)s failed.") % params if params["attempt"] else _("It ended as failed before it ran.")


def _failed_rerun(params: Params) -> str:
    values = {**params, "at": moment(params["at"])}
    return (
        ngettext(
            "Attempt %(attempt)s failed. It is rerun by itself at %(at)s; %(reruns_left)s automatic rerun is left.",
            "Attempt %(attempt)s failed. It is rerun by itself at %(at)s; %(reruns_left)s automatic reruns are left.",
            params["reruns_left"],
        )
        % values
    )


def _failed_overdue(params: Params) -> str:
    return _(
        "Attempt %(attempt)s failed. Its automatic rerun is due since %(at)s, but no scheduler is running that would start it. "
        "Start one."
    ) % {**params, "at": moment(params["at"])}


sentence("explain.failed_overdue")(_failed_of(_failed_overdue))
sentence("explain.failed")(_failed_of(_failed))
sentence("explain.failed_rerun")(_failed_of(_failed_rerun))
_with_moment("explain.failed_overdue.short", gettext_lazy("Failed; no scheduler: its rerun is due since %(at)s"))
_with_moment("explain.failed_rerun.short", gettext_lazy("Failed; rerun at %(at)s"))


@sentence("explain.failed.short")
def _failed_short(params: Params) -> str:
    return _result(params) or _failed(params)


@sentence("attempt.timeout")
def _timeout(params: Params) -> str:
    return _("It ran longer than its timeout of %(minutes)s min and was ended.") % {
        "minutes": f"{params['seconds'] / 60:g}"
    }


@sentence("attempt.resource_missing")
def _resource_missing(params: Params) -> str:
    return _("The code names resources that the workspace does not have: %(names)s. Upload them and rerun.") % {
        "names": ", ".join(params["names"])
    }


@sentence("attempt.parameters")
def _parameters(params: Params) -> str:
    problem = params["problem"]
    return _("A scheduling parameter has no value. %(problem)s Then publish the node again.") % {
        "problem": say(problem["code"], problem["params"])
    }
