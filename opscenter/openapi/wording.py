"""How the two API versions spell states, kinds and moments, and what they read back."""

from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from opscenter.production.models import Attempt, Recurrence, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import WAITING, Kind, State

STATUS_2024: dict[State, str] = {
    State.NOT_RUN: "NotRun",
    State.WAIT_TIME: "WaitTime",
    State.WAIT_RESOURCE: "WaitResource",
    State.CLAIMED: "WaitResource",
    State.RUNNING: "Running",
    State.FAILURE: "Failure",
    State.SUCCESS: "Success",
    State.CHECKING: "Checking",
    State.CHECKING_CONDITION: "CheckingCondition",
    State.WAIT_TRIGGER: "WaitTrigger",
}
STATUS_2020: dict[State, str] = {
    State.NOT_RUN: "NOT_RUN",
    State.WAIT_TIME: "WAIT_TIME",
    State.WAIT_RESOURCE: "WAIT_RESOURCE",
    State.CLAIMED: "WAIT_RESOURCE",
    State.RUNNING: "RUNNING",
    State.FAILURE: "FAILURE",
    State.SUCCESS: "SUCCESS",
    State.CHECKING: "CHECKING",
    State.CHECKING_CONDITION: "CHECKING_CONDITION",
    State.WAIT_TRIGGER: "WAIT_TIME",  # that version has eight states
}
ATTEMPT_STATE: dict[str, State] = {
    Attempt.State.CLAIMED: State.CLAIMED,
    Attempt.State.RUNNING: State.RUNNING,
    Attempt.State.SUCCESS: State.SUCCESS,
    Attempt.State.FAILURE: State.FAILURE,
    Attempt.State.STOPPED: State.FAILURE,
    Attempt.State.LOST: State.FAILURE,
    Attempt.State.HANDED: State.FAILURE,
}
KIND_2020: dict[Kind, str] = {
    Kind.NORMAL: "NORMAL",
    Kind.MANUAL: "MANUAL",
    Kind.PAUSE: "PAUSE",
    Kind.SKIP: "SKIP",
    Kind.SKIP_UNCHOSEN: "SKIP_UNCHOOSE",
    Kind.SKIP_CYCLE: "SKIP_CYCLE",
    Kind.CONDITION_UNCHOSEN: "CONDITION_UNCHOOSE",
    Kind.EXPIRED: "REALTIME_DEPRECATED",
    Kind.MISSED: "SKIP",
}
DAG_TYPE_2020: dict[str, str] = {
    WorkflowInstance.Type.NORMAL: "DAILY",
    WorkflowInstance.Type.MANUAL: "MANUAL",
    WorkflowInstance.Type.MANUAL_WORKFLOW: "BUSINESS_PROCESS_DAG",
    WorkflowInstance.Type.SMOKE_TEST: "SMOKE_TEST",
    WorkflowInstance.Type.BACKFILL: "SUPPLY_DATA",
}


def states_of(status: str, spelling: dict[State, str]) -> list[State]:
    """The states that a version calls by this name."""
    return [state for state, name in spelling.items() if name == status]


def recurrence(instance: TaskInstance) -> str:
    """TriggerRecurrence of an instance."""
    if instance.frozen:
        return Recurrence.PAUSE.value
    return Recurrence.SKIP.value if Kind(instance.kind).is_dry_run else Recurrence.NORMAL.value


def run_number(instance: TaskInstance) -> int:
    """The number of the run that the instance's state tells of: the latest, or the one it waits for. Counted from 1."""
    if State(instance.state) in WAITING:
        return instance.attempt + 1
    return max(1, instance.attempt)


def milliseconds(moment: datetime | None) -> int | None:
    """A moment as the wire has it."""
    return None if moment is None else round(moment.timestamp() * 1000)


def day_milliseconds(day: date, zone: ZoneInfo) -> int:
    """00:00:00 of a business date, in the tenant's time zone."""
    return round(datetime.combine(day, time.min, zone).timestamp() * 1000)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is unknown: clients take an absent field for None."""
    return {name: value for name, value in values.items() if value is not None}
