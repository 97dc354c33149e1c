"""The life of an instance in the past: the same steps, rows and columns as production.transitions and the engine leave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from opscenter.production.models import Attempt, LogChunk, TaskInstance, Transition
from opscenter.production.node_types import HTTP_TRIGGER
from opscenter.production.rules.states import WAITING, Kind, State, may_follow

_INSTANCE_FIELDS = (
    "state",
    "state_at",
    "due_at",
    "reason",
    "unmet",
    "attempt",
    "waiting_trigger_at",
    "waiting_resource_at",
    "started_at",
    "finished_at",
)
STEP = timedelta(milliseconds=40)
"""Between two steps that follow at once."""


@dataclass
class Life:
    """One instance, moved through its states at times of the past.

    Attributes:
        attempts: each with what it printed.
    """

    instance: TaskInstance
    transitions: list[Transition] = field(default_factory=list)
    attempts: list[tuple[Attempt, str]] = field(default_factory=list)

    def move(
        self, at: datetime, after: State, *, reason: Mapping[str, Any] | None = None, operation: int | None = None
    ) -> None:
        """Take one step."""
        instance = self.instance
        before = State(instance.state)
        if not may_follow(before, after):
            raise AssertionError(f"{before.name} -> {after.name} is no step of the machine")
        if after is State.CLAIMED:
            instance.attempt += 1
        instance.state, instance.state_at, instance.reason = after, at, reason
        instance.due_at = instance.not_before if after is State.WAIT_TIME else None
        self._stamp(at, before, after)
        self.transitions.append(
            Transition(
                instance=instance,
                bizdate=instance.bizdate,
                at=at,
                before=before,
                after=after,
                attempt=instance.attempt,
                reason=reason,
                operation=operation,
            )
        )

    def _stamp(self, at: datetime, before: State, after: State) -> None:
        instance = self.instance
        if after is State.WAIT_TRIGGER:
            instance.waiting_trigger_at = at
        if after is State.WAIT_RESOURCE:
            instance.waiting_resource_at = at
        if after is State.RUNNING or (after is State.SUCCESS and before is not State.RUNNING):
            instance.started_at = at
        elif after in WAITING:
            instance.started_at = None
        instance.finished_at = at if after in (State.SUCCESS, State.FAILURE) else None

    def wait(self, at: datetime) -> datetime:
        """From the moment its upstream is done to the moment its scheduled time has come; returns the latter.

        A trigger then waits to be triggered, anything else is ready.
        """
        planned = self.instance.not_before or at
        if planned > at and self.instance.state != State.WAIT_TIME:
            self.move(at, State.WAIT_TIME)
        at = max(at, planned)
        is_trigger = self.instance.node_type == HTTP_TRIGGER.code and not Kind(self.instance.kind).is_dry_run
        self.move(at, State.WAIT_TRIGGER if is_trigger else State.WAIT_RESOURCE)
        return at

    def succeed_in_place(self, at: datetime) -> datetime:
        """What needs no worker, and is ready."""
        self.move(at + STEP, State.SUCCESS)
        return at + STEP

    def run(
        self,
        at: datetime,
        duration: timedelta,
        log: str,
        *,
        parameters: Mapping[str, str],
        host: str,
        exit_code: int = 0,
        sources: Mapping[str, Any] | None = None,
    ) -> datetime:
        """One attempt from ready to its end; returns when that was.

        Args:
            sources: where the parameters come from, as attempts keep it; None: all of them are the task's own.
        """
        claimed, started, ended = at + 3 * STEP, at + 5 * STEP, at + 5 * STEP + duration
        reason = {"code": "attempt.exit_code", "params": {"exit_code": exit_code}} if exit_code else None
        self.move(claimed, State.CLAIMED)
        self.move(started, State.RUNNING)
        self.move(ended, State.FAILURE if exit_code else State.SUCCESS, reason=reason)
        attempt = Attempt(
            instance=self.instance,
            number=self.instance.attempt,
            state=Attempt.State.FAILURE if exit_code else Attempt.State.SUCCESS,
            version_id=self.instance.version_id,
            parameters=dict(parameters),
            parameter_sources=None if sources is None else dict(sources),
            host=host,
            claimed_at=claimed,
            started_at=started,
            finished_at=ended,
            exit_code=exit_code,
            reason=reason,
        )
        self.attempts.append((attempt, log))
        return ended


def save(lives: Sequence[Life]) -> None:
    """Store the lives of instances that are in the database already."""
    TaskInstance.objects.bulk_create(  # all rows exist: an upsert is many times faster than bulk_update
        [life.instance for life in lives],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=_INSTANCE_FIELDS,
    )
    Transition.objects.bulk_create(sorted((row for life in lives for row in life.transitions), key=lambda row: row.at))
    attempts = [pair for life in lives for pair in life.attempts]
    Attempt.objects.bulk_create([attempt for attempt, _ in attempts])
    LogChunk.objects.bulk_create(
        [
            LogChunk(attempt=attempt, seq=0, bizdate=attempt.instance.bizdate, at=attempt.finished_at, text=log)
            for attempt, log in attempts
            if attempt.finished_at is not None
        ],
    )
