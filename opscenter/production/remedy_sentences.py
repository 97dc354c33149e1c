"""What would change a condition, and who can, in words (rules.remedies)."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from opscenter.base.reasons import sentence
from opscenter.production.rules.remedies import Cause
from opscenter.production.sentences import moment

Params = Mapping[str, Any]


def _plain(code: str, text: Promise) -> None:
    sentence(code)(lambda params: str(text))


for _code, _text in {
    "unfreeze": gettext_lazy("Unfreeze it."),
    "unfreeze_task": gettext_lazy("Unfreeze the task."),
    "rerun": gettext_lazy("Rerun it."),
    "set_success": gettext_lazy("Set it to succeeded."),
    "trigger": gettext_lazy("The external system triggers it, or a person does."),
    "stop": gettext_lazy("Stop it."),
    "publish": gettext_lazy("Publish its node again."),
    "start_worker": gettext_lazy("Start a worker that serves the resource group."),
    "start_courier": gettext_lazy("Start a courier."),
    "start_scheduler": gettext_lazy("Start a scheduler."),
    "add_slots": gettext_lazy("Give the resource group more slots."),
    "look": gettext_lazy("Look at what it waits for."),
}.items():
    _plain(f"explain.remedy.{_code}", _text)


@sentence("explain.remedy.wait")
def _wait(params: Params) -> str:
    if params["at"] is None:
        return _("It goes on by itself.")
    return _("It goes on by itself at %(at)s.") % {"at": moment(params["at"])}


CAUSES: dict[Cause, Promise] = {
    Cause.FROZEN: gettext_lazy("It is frozen."),
    Cause.FAILED: gettext_lazy("It failed."),
    Cause.STOPPED: gettext_lazy("It was stopped."),
    Cause.RERUN: gettext_lazy("It failed and is rerun by itself."),
    Cause.UNTRIGGERED: gettext_lazy("No external system has triggered it yet."),
    Cause.UNSERVED: gettext_lazy("No live worker serves the resource group."),
    Cause.UNCALLED: gettext_lazy("No courier is alive to call its service."),
    Cause.FULL: gettext_lazy("All slots of the resource group are taken."),
    Cause.PARALLEL: gettext_lazy("It waits for other runs of its task to end."),
    Cause.STARTING: gettext_lazy("It starts within seconds."),
    Cause.TIME: gettext_lazy("Its scheduled time has not come."),
    Cause.RUNNING: gettext_lazy("It is running."),
    Cause.WAITING: gettext_lazy("It waits for others."),
}
