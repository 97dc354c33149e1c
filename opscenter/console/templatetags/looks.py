"""How each state, node type and outcome is shown: word, icon, colour class. One list, for pages and filters alike."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

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
    "not_run": Look("not_run", "circle", _("Not run")),
    "wait_time": Look("wait_time", "clock", _("Waiting for time")),
    "wait_trigger": Look("wait_trigger", "plug", _("Waiting for trigger")),
    "wait_resource": Look("wait_resource", "layers", _("Waiting for resources")),
    "running": Look("running", "running", _("Running")),
    "checking": Look("checking", "shield", _("Checking")),
    "checking_condition": Look("checking", "shield", _("Checking condition")),
    "success": Look("success", "circle-check", _("Succeeded")),
    "failure": Look("failure", "circle-x", _("Failed")),
}
FROZEN = Look("frozen", "snowflake", _("Frozen"))
DRY_RUN = Look("dry_run", "dry-run", _("Dry run"))

RECEIPTS: dict[str, Look] = {
    "fired": Look("success", "circle-check", _("Fired")),
    "held": Look("wait_trigger", "hourglass", _("Held")),
    "no_effect": Look("not_run", "circle-minus", _("No effect")),
    "refused": Look("failure", "circle-slash", _("Refused")),
    "expired": Look("failure", "timer", _("Expired")),
    "spent": Look("dry_run", "history", _("Spent")),
}

ATTEMPTS: dict[str, Look] = {
    "claimed": Look("wait_resource", "layers", _("Starting")),
    "running": STATES["running"],
    "success": STATES["success"],
    "failure": STATES["failure"],
    "stopped": Look("failure", "circle-stop", _("Stopped")),
    "lost": Look("failure", "circle-slash", _("Lost")),
}

NODE_TYPE_ICONS = {"virtual": "circle-dot", "http_trigger": "webhook", "shell": "terminal"}


def of_state(code: str | int) -> Look:
    """The look of a state: by its code (``wait_trigger``), by ``frozen`` or ``dry_run``, or by the number stored."""
    if isinstance(code, int):
        code = State(code).code
    extra = {"frozen": FROZEN, "dry_run": DRY_RUN}
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


def of_node_type(code: str) -> Look:
    """Icon and name of a node type; an unknown one shows its code."""
    known = NODE_TYPES.get(code)
    return Look("not_run", NODE_TYPE_ICONS.get(code, "circle"), known.name if known else code)
