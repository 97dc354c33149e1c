"""How states and kinds are called on pages and in sentences."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from opscenter.production.rules.levels import Level
from opscenter.production.rules.states import Kind

_STATES: dict[str, Promise] = {
    "not_run": _("Not run"),
    "wait_time": _("Waiting for time"),
    "wait_trigger": _("Waiting for Trigger"),
    "wait_resource": _("Waiting for resources"),
    "running": pgettext_lazy("state", "Running"),
    "checking": pgettext_lazy("state", "Checking"),
    "checking_condition": _("Checking condition"),
    "success": pgettext_lazy("state", "Succeeded"),
    "failure": pgettext_lazy("state", "Failed"),
}

STARTING: Promise = _("Starting")
"""CLAIMED where the steps of one run are told, one after the other; everywhere else it is its state's name."""

_KINDS: dict[Kind, Promise] = {
    Kind.NORMAL: pgettext_lazy("kind", "Normal"),
    Kind.MANUAL: pgettext_lazy("kind", "Manual"),
    Kind.PAUSE: pgettext_lazy("kind", "Born frozen"),
    Kind.SKIP: _("Dry-run"),
    Kind.SKIP_UNCHOSEN: _("Unselected Instance in Temporary Workflow"),
    Kind.SKIP_CYCLE: _("Dry-run (not its day)"),
    Kind.CONDITION_UNCHOSEN: _("Branch not taken"),
    Kind.EXPIRED: _("Dry-run (expired instance)"),
    Kind.MISSED: _("Dry-run (missed)"),
}

LEVELS: dict[Level, Promise] = {
    Level.GLOBAL: pgettext_lazy("level of a parameter", "Global"),
    Level.WORKSPACE: pgettext_lazy("level of a parameter", "Workspace"),
    Level.WORKFLOW: pgettext_lazy("level of a parameter", "Workflow"),
    Level.NODE: pgettext_lazy("level of a parameter", "Node"),
    Level.RUN_WORKFLOW: pgettext_lazy("level of a parameter", "This run, all tasks"),
    Level.RUN_TASK: pgettext_lazy("level of a parameter", "This run, this task"),
}


def state_name(code: str) -> Promise:
    """The name of a state by its code (State.code)."""
    return _STATES[code]


def kind_name(kind: int) -> Promise:
    """The name of an instance's kind."""
    return _KINDS[Kind(kind)]
