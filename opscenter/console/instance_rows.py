"""Instances as lists show them: plain values, so that what a row shows and whether it changed are the same question."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from opscenter.base.reasons import Reason, say
from opscenter.console.templatetags.looks import of_node_type
from opscenter.production.explaining import short_reasons
from opscenter.production.models import TaskInstance
from opscenter.production.rules.states import ENDED, LIVE, State


@dataclass(frozen=True)
class InstanceRow:
    """One row; ``why`` is a short phrase for what is not simply succeeded or running."""

    pk: int
    number: int
    name: str
    type_name: str
    owner: str
    bizdate: date
    scheduled_at: datetime
    started_at: datetime | None
    duration: timedelta | None
    attempt: int
    priority: int
    group: str
    state: int
    kind: int
    frozen: bool
    why: str


_PLAIN = frozenset(
    {
        "explain.succeeded_ran.short",
        "explain.succeeded_zero_load.short",
        "explain.running.short",
        "explain.frozen.short",
        "explain.time_unmet.short",
        "explain.trigger_none.short",
    }
)
"""Phrases that say no more than the row does without them."""


def rows_of(instances: Sequence[TaskInstance], zone: str) -> list[InstanceRow]:
    """The rows for a page of instances, in the same order; times in phrases are in the zone."""
    reasons = short_reasons(instances)
    with timezone.override(ZoneInfo(zone)):
        return [_row(instance, reasons[instance.pk]) for instance in instances]


def is_live(instances: Sequence[TaskInstance] | Sequence[InstanceRow]) -> bool:
    """Whether any of them may change by itself at any moment."""
    moving = LIVE | {State.WAIT_RESOURCE}
    return any(State(instance.state) in moving for instance in instances)


def duration_of(instance: TaskInstance) -> timedelta | None:
    """How long it ran; None while it has not ended or when it did not run."""
    if instance.started_at is None or instance.finished_at is None:
        return None
    if State(instance.state) not in ENDED or instance.attempt == 0:
        return None
    return instance.finished_at - instance.started_at


def _row(instance: TaskInstance, reason: Reason) -> InstanceRow:
    return InstanceRow(
        pk=instance.pk,
        number=instance.task.number,
        name=instance.task.name,
        type_name=str(of_node_type(instance.node_type).word),
        owner=str(instance.task.owner),
        bizdate=instance.bizdate,
        scheduled_at=instance.scheduled_at,
        started_at=instance.started_at,
        duration=duration_of(instance),
        attempt=instance.attempt,
        priority=instance.priority,
        group=instance.resource_group.name,
        state=instance.state,
        kind=instance.kind,
        frozen=instance.frozen,
        why="" if reason.code in _PLAIN else say(reason.code, reason.params),
    )
