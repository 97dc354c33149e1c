"""How each state, node type and outcome is shown: word, icon, colour class. One list, for pages and filters alike."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from extensions.models import Check
from opscenter.operations.models import Operation
from opscenter.production.names import STARTING, state_name
from opscenter.production.node_types import NODE_TYPES
from opscenter.production.rules.states import Kind, State


@dataclass(frozen=True)
class Look:
    """``tone`` names the colour: the CSS class ``state-<tone>`` with underscores as hyphens."""

    tone: str
    icon: str
    word: Promise | str

    @property
    def css(self) -> str:
        """The class that carries the colour."""
        return f"state-{self.tone.replace('_', '-')}"


STATES: dict[str, Look] = {
    code: Look(tone, icon, state_name(code))
    for code, tone, icon in (
        ("not_run", "not_run", "circle"),
        ("wait_time", "wait_time", "clock"),
        ("wait_trigger", "wait_trigger", "plug"),
        ("wait_resource", "wait_resource", "layers"),
        ("running", "running", "running"),
        ("checking", "checking", "shield"),
        ("checking_condition", "checking", "shield"),
        ("success", "success", "circle-check"),
        ("failure", "failure", "circle-x"),
    )
}
FROZEN = Look("frozen", "snowflake", _("Frozen"))
DRY_RUN = Look("dry_run", "dry-run", _("Dry run"))
OFFLINE = Look("not_run", "circle-slash", _("Offline"))

RECEIPTS: dict[str, Look] = {
    "changed": Look("not_run", "circle-dot", _("Changed")),
    "fired": Look("success", "circle-check", _("Fired")),
    "held": Look("wait_trigger", "hourglass", _("Held")),
    "no_effect": Look("not_run", "circle-minus", _("No effect")),
    "refused": Look("failure", "circle-slash", _("Refused")),
    "expired": Look("failure", "timer", _("Expired")),
    "spent": Look("dry_run", "history", _("Spent")),
}

ATTEMPTS: dict[str, Look] = {
    "claimed": Look("wait_resource", "layers", STARTING),
    "running": STATES["running"],
    "success": STATES["success"],
    "failure": STATES["failure"],
    "stopped": Look("failure", "circle-stop", _("Stopped")),
    "lost": Look("failure", "circle-slash", _("Lost")),
    "handed": Look("not_run", "history", _("Handed over")),
}

OPERATIONS: dict[str, Look] = {
    Operation.Status.CHECKING: Look("checking", "shield", Operation.Status.CHECKING.label),
    Operation.Status.RUNNING: Look("running", "running", Operation.Status.RUNNING.label),
    Operation.Status.APPLIED: Look("success", "circle-check", Operation.Status.APPLIED.label),
    Operation.Status.PARTLY: Look("wait_trigger", "circle-alert", Operation.Status.PARTLY.label),
    Operation.Status.REFUSED: Look("failure", "circle-slash", Operation.Status.REFUSED.label),
    Operation.Status.BLOCKED: Look("failure", "circle-x", Operation.Status.BLOCKED.label),
    Operation.Status.CANCELLED: Look("not_run", "circle-minus", Operation.Status.CANCELLED.label),
}
"""What became of an operation."""

CHECKS: dict[str, Look] = {
    Check.State.CHECKING: Look("checking", "shield", Check.State.CHECKING.label),
    Check.State.PASSED: Look("success", "circle-check", Check.State.PASSED.label),
    Check.State.FAILED: Look("failure", "circle-x", Check.State.FAILED.label),
    Check.State.ENDED: Look("not_run", "circle-minus", Check.State.ENDED.label),
}
_WARNED = Look("wait_time", "triangle-alert", _("Passed with a warning"))

NODE_TYPE_ICONS = {
    "virtual": "circle-dot",
    "http_trigger": "webhook",
    "http": "globe",
    "shell": "terminal",
    "python": "code",
    "sql": "database",
}


def of_state(code: str | int) -> Look:
    """The look of a state: by its code (``wait_trigger``), ``claimed``, ``frozen``, ``dry_run``, or the number stored."""
    if isinstance(code, int):
        code = State(code).code
    extra = {"frozen": FROZEN, "dry_run": DRY_RUN, "claimed": ATTEMPTS["claimed"]}
    return extra.get(code) or STATES[code]


def of_instance(instance: Any) -> Look:
    """The look of a task instance. One that ended without running anything is a dry run, not a success."""
    if instance.state == State.SUCCESS and Kind(instance.kind).is_dry_run:
        return DRY_RUN
    return of_state(int(instance.state))


def marks_of(instance: Any) -> list[Look]:
    """What is said beside an instance's state: that it is frozen, that it will be a dry run."""
    dry_run = instance.state != State.SUCCESS and Kind(instance.kind).is_dry_run
    return [FROZEN] * bool(instance.frozen) + [DRY_RUN] * dry_run


def of_check(check: Check) -> Look:
    """How an extension's check stands; a pass with a warning is told apart."""
    is_warned = check.state == Check.State.PASSED and check.verdict == Check.Verdict.WARN
    return _WARNED if is_warned else CHECKS[check.state]


def of_node_type(code: str) -> Look:
    """Icon and name of a node type; an unknown one shows its code."""
    known = NODE_TYPES.get(code)
    return Look("not_run", NODE_TYPE_ICONS.get(code, "circle"), known.name if known else code)
