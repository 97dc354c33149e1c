"""How backfills stand: counted from their instances, for lists, pages and the APIs."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from opscenter.production.models import Backfill, BackfillDate, TaskInstance
from opscenter.production.rules.states import LIVE, State
from opscenter.workspaces.models import User, Workspace


class Standing(StrEnum):
    """How a job, or one of its dates, stands as a whole."""

    NOT_RUN = "not_run"
    RUNNING = "running"
    FAILURE = "failure"
    SUCCESS = "success"


@dataclass
class Counts:
    """Instances by state; those that are frozen are counted beside."""

    by_state: Counter[State] = field(default_factory=Counter)
    frozen: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.by_state.total()

    @property
    def done(self) -> int:
        """Those that succeeded."""
        return self.by_state[State.SUCCESS]

    @property
    def failed(self) -> int:
        """Those that failed."""
        return self.by_state[State.FAILURE]

    @property
    def standing(self) -> Standing:
        """Of all together: failed where something failed and nothing goes on."""
        if self.total and self.done == self.total:
            return Standing.SUCCESS
        going = sum(self.by_state[state] for state in LIVE | {State.WAIT_RESOURCE})
        if self.failed and not going:
            return Standing.FAILURE
        begun = going or self.done or self.failed or self.by_state[State.WAIT_TIME]
        return Standing.RUNNING if begun else Standing.NOT_RUN

    def add(self, state: int, frozen: int, n: int) -> None:
        """So many more of a state."""
        self.by_state[State(state)] += n
        self.frozen += frozen


def jobs(user: User, workspace: Workspace, environment: str) -> "QuerySet[Backfill]":
    """Jobs that were asked for in a workspace's environment, if the user may see it; without their plans. Index:
    backfill_list."""
    found = Backfill.objects.filter(workspace=workspace, environment=environment, workspace__members__user=user)
    return found.select_related("created_by", "workspace__tenant").defer("plan")


def of_jobs(found: Collection[Backfill]) -> Mapping[int, Counts]:
    """The counts of whole jobs, by job. Turns are not counted."""
    counts = {job.pk: Counts() for job in found}
    for job, _day, *row in _counted(list(counts)):
        counts[job].add(*row)
    return counts


def of_dates(job: Backfill) -> Mapping[date, Counts]:
    """The counts of each business date of a job."""
    counts: dict[date, Counts] = {day: Counts() for day in job.dates.values_list("bizdate", flat=True)}
    for _job, day, *row in _counted([job.pk]):
        counts[day].add(*row)
    return counts


def of_families(ids: Collection[int]) -> Mapping[int, Counts]:
    """The counts of workflow instances of any type."""
    counts = {pk: Counts() for pk in ids}
    found = TaskInstance.objects.filter(workflow_instance__in=ids, turn_of__isnull=True)
    by = ("workflow_instance", "state", "frozen")
    for pk, state, frozen, n in found.values_list(*by).annotate(n=Count("pk")).order_by():
        counts[pk].add(state, n if frozen else 0, n)
    return counts


def standing_is(standing: Standing) -> Q:
    """Workflow instances that stand so; the same as ``Counts.standing`` says of each."""
    success = _has(State) & ~_has(set(State) - {State.SUCCESS})
    going = _has(LIVE | {State.WAIT_RESOURCE})
    failure = _has({State.FAILURE}) & ~going
    begun = going | _has({State.SUCCESS, State.FAILURE, State.WAIT_TIME})
    return {
        Standing.SUCCESS: success,
        Standing.FAILURE: failure,
        Standing.RUNNING: begun & ~success & ~failure,
        Standing.NOT_RUN: ~begun,
    }[standing]


def _has(states: Iterable[State]) -> Q:
    inside = TaskInstance.objects.filter(workflow_instance=OuterRef("pk"), turn_of__isnull=True, state__in=list(states))
    return Q(Exists(inside))


def _counted(ids: Sequence[int]) -> list[tuple[int, date, int, int, int]]:
    turns = BackfillDate.objects.filter(backfill__in=ids, turn__isnull=False).values("turn")
    found = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill__in=ids).exclude(pk__in=turns)
    by = ("workflow_instance__backfill_date__backfill", "workflow_instance__backfill_date__bizdate", "state", "frozen")
    return [
        (job, day, state, n if frozen else 0, n)
        for job, day, state, frozen, n in found.values_list(*by).annotate(n=Count("pk")).order_by()
    ]
