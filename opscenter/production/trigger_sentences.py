"""What became of a trigger call, in words (rules.trigger). Parameters also name the task, environment and time."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from opscenter.base.reasons import sentence
from opscenter.production.sentences import moment

Params = Mapping[str, Any]


def _say(code: str, text: Promise) -> None:
    def told(params: Params) -> str:
        times = {name: moment(params[name]) for name in ("scheduled_at", "until", "at") if params.get(name)}
        told = str(text) % {"task": "–", "scheduled_at": "–", "environment": "–", **params, **times}
        return f"{told} {_who(params)}" if params.get("who") else told

    sentence(code)(told)


for _code, _text in {
    "trigger.fired": gettext_lazy("All conditions were met; the instance opened."),
    "trigger.already_triggered": gettext_lazy("It had been triggered already. Nothing was changed."),
    "trigger.already_held": gettext_lazy(
        "An earlier trigger is held for it until %(until)s. This one changes nothing; there is no need to repeat it."
    ),
    "trigger.task_unknown": gettext_lazy(
        "There is no task %(task)s in %(environment)s, or you are not a member of its workspace. "
        "Check the task id and the environment."
    ),
    "trigger.not_a_trigger_node": gettext_lazy(
        "The task %(task)s is not an HTTP Trigger node, so it cannot be triggered. Check the task id."
    ),
    "trigger.instance_missing": gettext_lazy(
        "The task %(task)s has no instance with the scheduled time %(scheduled_at)s in %(environment)s. "
        "Check the time: it must be exactly the instance's scheduled time."
    ),
    "trigger.bypassed": gettext_lazy("This instance waits for no trigger: it is a dry run or part of a backfill."),
    "trigger.task_offline": gettext_lazy("The task %(task)s is offline. Publish its node again, then trigger it."),
    "trigger.task_frozen": gettext_lazy("The task %(task)s is frozen. Unfreeze the task, then trigger it again."),
    "trigger.instance_frozen": gettext_lazy("The instance is frozen. Unfreeze the instance, then trigger it again."),
    "trigger.stopped": gettext_lazy("The instance was stopped or failed. Rerun the instance, then trigger it again."),
    "trigger.expired": gettext_lazy(
        "The trigger command expired on %(at)s: the other conditions were not met within 24 hours. Trigger it again."
    ),
    "trigger.instance_gone": gettext_lazy(
        "The task was published with another schedule, so the instance that the command was held for is gone. Trigger one of its "
        "new instances."
    ),
}.items():
    _say(_code, _text)


def _who(params: Params) -> str:
    names = list(params["who"])
    if params["more"]:
        names.append(_("and %(more)s more") % {"more": params["more"]})
    return _("These people can: %(names)s.") % {"names": ", ".join(names)}


@sentence("trigger.held")
def _held(params: Params) -> str:
    waits = ", ".join(_condition(code, params) for code in params.get("unmet", ()))
    until = moment(params.get("until"))
    if not waits:
        return _("The command is held until %(until)s, until the other conditions are met.") % {"until": until}
    return _("The command is held until %(until)s. It fires when these are met: %(waits)s.") % {
        "until": until,
        "waits": waits,
    }


def _condition(code: str, params: Params) -> str:
    if code == "upstream":
        count = params["upstream"]
        return ngettext("%(n)s upstream instance succeeds", "%(n)s upstream instances succeed", count) % {"n": count}
    if code == "time":
        return _("the scheduled time %(at)s comes") % {"at": moment(params["due_at"])}
    if code == "resources":
        return _("a worker serves its resource group and a slot is free")
    if code == "not_frozen":
        return _("it is not frozen")
    return _("it waits for a trigger")
