"""What becomes of a call to an HTTP trigger node (seed 001 "Trigger logic"; DESIGN.md 6).

Codes of decisions: ``trigger.fired``; ``trigger.held`` (until, unmet, upstream, due_at); ``trigger.already_triggered``,
``trigger.already_held`` (until); ``trigger.not_a_trigger_node``, ``trigger.instance_missing``, ``trigger.bypassed``,
``trigger.task_offline``, ``trigger.task_frozen``, ``trigger.instance_frozen``, ``trigger.stopped``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opscenter.base.reasons import Reason
from opscenter.production.rules.states import LIVE, WAITING, State

HOLD = timedelta(hours=24)
"""How long a command waits for its conditions."""


class Outcome(StrEnum):
    """What became of a call."""

    FIRED = "fired"
    HELD = "held"
    NO_EFFECT = "no_effect"
    REFUSED = "refused"


@dataclass(frozen=True)
class Condition:
    """A condition: ``instance_exists``, ``pending``, ``upstream``, ``time``, ``resources`` or ``not_frozen``."""

    code: str
    met: bool
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """The answer to a call, and how each condition stood at that moment."""

    outcome: Outcome
    reason: Reason
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class TriggerSnapshot:
    """All that a decision looks at, as it is at ``now``.

    Attributes:
        instance_frozen, bypassed, state, unmet, scheduled_at: of the instance; without meaning if there is none.
        bypassed: the instance does not wait for a command (backfill, dry run).
        unmet: how many upstream instances have not succeeded.
        scheduled_at: when it may fire at the earliest.
        resource_ok: a live worker serves its resource group and a slot is free.
        command_held_until: the end of a command that is held for it and has not expired.
    """

    is_trigger_node: bool
    task_online: bool
    task_frozen: bool
    instance_exists: bool
    instance_frozen: bool
    bypassed: bool
    state: State | None
    unmet: int
    scheduled_at: datetime
    now: datetime
    resource_ok: bool
    command_held_until: datetime | None = None


def decide(snapshot: TriggerSnapshot) -> Decision:
    """Whether the instance opens, the command is held, it has no effect, or it is refused because of a condition.

    An instance that was triggered already answers a repeated call in the same way whatever has become of its task
    since: callers repeat calls whose answer they lost.
    """
    conditions = _conditions(snapshot)
    refused = _not_to_be_triggered(snapshot)
    if refused is not None:
        return Decision(Outcome.REFUSED, Reason(refused), conditions)
    if snapshot.state is State.SUCCESS or snapshot.state in LIVE:
        return Decision(Outcome.NO_EFFECT, Reason("trigger.already_triggered"), conditions)
    refused = _not_now(snapshot)
    if refused is not None:
        return Decision(Outcome.REFUSED, Reason(refused), conditions)
    held_until = snapshot.command_held_until
    if held_until is not None and held_until > snapshot.now:
        return Decision(Outcome.NO_EFFECT, Reason("trigger.already_held", {"until": held_until}), conditions)
    unmet = [condition.code for condition in conditions if not condition.met]
    if not unmet:
        return Decision(Outcome.FIRED, Reason("trigger.fired"), conditions)
    params = {
        "until": snapshot.now + HOLD,
        "unmet": unmet,
        "upstream": snapshot.unmet,
        "due_at": snapshot.scheduled_at,
    }
    return Decision(Outcome.HELD, Reason("trigger.held", params), conditions)


def _not_to_be_triggered(snapshot: TriggerSnapshot) -> str | None:
    """The code of what makes this no target for a trigger at any time."""
    if not snapshot.is_trigger_node:
        return "trigger.not_a_trigger_node"
    if not snapshot.instance_exists:
        return "trigger.instance_missing"
    if snapshot.bypassed:
        return "trigger.bypassed"
    return None


def _not_now(snapshot: TriggerSnapshot) -> str | None:
    """The code of what a person has to change before a trigger can count."""
    if not snapshot.task_online:
        return "trigger.task_offline"
    if snapshot.task_frozen:
        return "trigger.task_frozen"
    if snapshot.instance_frozen:
        return "trigger.instance_frozen"
    if snapshot.state is State.FAILURE:
        return "trigger.stopped"
    return None


def _conditions(snapshot: TriggerSnapshot) -> tuple[Condition, ...]:
    """The six conditions in seed 001's order; what an instance must have is unmet where there is none."""
    exists = snapshot.instance_exists
    return (
        Condition("instance_exists", exists),
        Condition("pending", exists and snapshot.state in WAITING),
        Condition("upstream", exists and snapshot.unmet == 0, {"unmet": snapshot.unmet}),
        Condition("time", exists and snapshot.now >= snapshot.scheduled_at, {"at": snapshot.scheduled_at}),
        Condition("resources", exists and snapshot.resource_ok),
        Condition("not_frozen", not (snapshot.task_frozen or snapshot.instance_frozen)),
    )
