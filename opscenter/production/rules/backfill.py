"""Data backfill: which tasks run for which business dates, in which order, and why others do not (spec/opscenter.md 5)."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from opscenter.production.rules.planning import local_to_utc

K = TypeVar("K", bound=Hashable)

MOST_ROOTS = 500
MOST_TASKS = 2_000
MOST_TASKS_BY_WORKSPACE = 20_000
MOST_RANGES = 7
MOST_GROUPS = 10
MOST_DATES = 1_100
"""Three years of business dates in one job."""
MOST_INSTANCES = 1_000_000


class Mode(StrEnum):
    """How the tasks are chosen; beside each what it was called before."""

    CURRENT = "current"  # Backfill Data for Current Node
    DESCENDANTS = "descendants"  # Current and Descendent Nodes Retroactively
    MASSIVE = "massive"  # Massive Nodes Mode; now Select by Workspace
    ADVANCED = "advanced"  # Advanced Mode; now Manual Selection
    LINK = "link"  # Select by Link


class Order(StrEnum):
    """By business date."""

    ASC = "asc"
    DESC = "desc"


class OnFailure(StrEnum):
    """What becomes of the other business dates when an instance has failed and is not rerun automatically."""

    WAIT = "wait"
    GO_ON = "go_on"
    STOP = "stop"


class Part(StrEnum):
    """What a task does in the job."""

    RUN = "run"
    DRY_RUN = "dry_run"
    FROZEN = "frozen"


@dataclass(frozen=True)
class DateRange:
    """Business dates, both ends inclusive."""

    first: date
    last: date

    def __len__(self) -> int:
        return max(0, (self.last - self.first).days + 1)


def business_dates(ranges: Iterable[DateRange], order: Order = Order.ASC) -> list[date]:
    """Every date of the ranges once, in order."""
    found = {one.first + timedelta(days=n) for one in ranges for n in range(len(one))}
    return sorted(found, reverse=order is Order.DESC)


def chains(days: Sequence[date], groups: int) -> list[list[date]]:
    """The dates in groups that run side by side; within a group one date after the other.

    They are dealt out in turn, so that all groups go through the dates in their order together, and what waits for an
    earlier date waits for one that is under way.
    """
    return [list(days[n::groups]) for n in range(min(groups, len(days)))]


def predecessors(days: Sequence[date], groups: int) -> dict[date, date | None]:
    """For each date the one that its group does before it; None for those that begin."""
    return {day: days[n - groups] if n >= groups else None for n, day in enumerate(days)}


# which tasks


@dataclass(frozen=True)
class Graph:
    """Which task's same-cycle downstream tasks are which, both ways."""

    down: Mapping[int, Collection[int]]
    up: Mapping[int, Collection[int]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> "Graph":
        """From pairs (upstream task, task)."""
        down: dict[int, list[int]] = {}
        up: dict[int, list[int]] = {}
        for above, below in pairs:
            down.setdefault(above, []).append(below)
            up.setdefault(below, []).append(above)
        return cls(down, up)


def levels(follow: Mapping[K, Collection[K]], starts: Iterable[K], most: int | None = None) -> dict[K, int]:
    """What is reached from ``starts``, with the fewest steps to it; the starts themselves at 0.

    Args:
        most: how many steps are gone at most; None for all.
    """
    found = dict.fromkeys(starts, 0)
    edge = list(found)
    step = 0
    while edge and (most is None or step < most):
        step += 1
        edge = list({follower for key in edge for follower in follow.get(key, ()) if follower not in found})
        found |= dict.fromkeys(edge, step)
    return found


def between(graph: Graph, chosen: Collection[int]) -> set[int]:
    """Tasks that are not chosen, but lie on a way from a chosen one to another."""
    return (levels(graph.down, chosen).keys() & levels(graph.up, chosen).keys()) - set(chosen)


def on_link(graph: Graph, start: int, end: int) -> set[int]:
    """Every task on a way from ``start`` to ``end``, with both; nothing where there is no way."""
    return levels(graph.down, [start]).keys() & levels(graph.up, [end]).keys()


@dataclass(frozen=True)
class Selection:
    """What was asked for; ids are those of the graph.

    Attributes:
        roots: where it begins; with LINK the start alone.
        include: ADVANCED: more tasks. LINK: the end. MASSIVE: the whitelist.
        exclude: tasks left out of it; MASSIVE: the blacklist.
        depth: DESCENDANTS: how many levels below the roots; None for all.
        workspaces: MASSIVE: whose tasks; empty for those of all.
        not_workspaces: MASSIVE: whose tasks not.
    """

    mode: Mode
    roots: tuple[int, ...] = ()
    include: tuple[int, ...] = ()
    exclude: frozenset[int] = frozenset()
    depth: int | None = None
    workspaces: frozenset[int] = frozenset()
    not_workspaces: frozenset[int] = frozenset()


def choose(wanted: Selection, graph: Graph, workspace_of: Mapping[int, int]) -> tuple[set[int], set[int]]:
    """The tasks that are to run, and those that were named to be left out of them.

    Args:
        workspace_of: of every task there is.
    """
    found: set[int]
    match wanted.mode:
        case Mode.CURRENT:
            found = set(wanted.roots)
        case Mode.ADVANCED:
            found = {*wanted.roots, *wanted.include}
        case Mode.DESCENDANTS:
            found = set(levels(graph.down, wanted.roots, wanted.depth))
        case Mode.LINK:
            found = on_link(graph, wanted.roots[0], wanted.include[0]) if wanted.roots and wanted.include else set()
        case Mode.MASSIVE:
            reached = set(levels(graph.down, wanted.roots)) if wanted.roots else set(workspace_of)
            found = {pk for pk in reached if _is_of(wanted, workspace_of.get(pk))} | set(wanted.include)
    return found - wanted.exclude, found & wanted.exclude


def _is_of(wanted: Selection, workspace: int | None) -> bool:
    if workspace is None or workspace in wanted.not_workspaces:
        return False
    return not wanted.workspaces or workspace in wanted.workspaces


@dataclass(frozen=True)
class Facts:
    """What counts of a task.

    Attributes:
        is_permitted: the asker may run it.
        is_frozen: its instances are born frozen.
        is_dry_run: its recurrence is a dry run.
        is_trigger: it waits for an external system otherwise.
        is_online: it has a version in production.
        is_manual: it runs when somebody runs it, and has no schedule.
        is_root: it is a workspace's root node, on which all others hang.
    """

    is_permitted: bool = True
    is_frozen: bool = False
    is_dry_run: bool = False
    is_trigger: bool = False
    is_online: bool = True
    is_manual: bool = False
    is_root: bool = False


@dataclass(frozen=True)
class Role:
    """What a task does in the job, and the code of why."""

    part: Part
    why: str


@dataclass(frozen=True)
class Cast:
    """Every task that was looked at.

    Attributes:
        roles: of those that get instances.
        skipped: those that get none, with the code of why.
        barred: tasks without permission where the job begins or ends; with any of them it must not be made.
    """

    roles: Mapping[int, Role] = field(default_factory=dict)
    skipped: Mapping[int, str] = field(default_factory=dict)
    barred: frozenset[int] = frozenset()


def cast(graph: Graph, chosen: Collection[int], left_out: Collection[int], facts: Mapping[int, Facts]) -> Cast:
    """Who runs, who is a dry run so that the others keep their order, who stays away.

    * tasks between chosen ones that were not chosen, and those left out: dry runs;
    * without permission: in the middle a dry run; where the job begins or ends it cannot be made at all;
    * frozen: instances that are born frozen and hold up what comes after them;
    * root nodes, and what is not in production: no instances.
    """
    skipped = {pk: code for pk in (*chosen, *left_out) if (code := _absent(facts.get(pk)))}
    run = {pk for pk in chosen if pk not in skipped}
    middle = {pk for pk in between(graph, run) if pk in facts and not _absent(facts[pk])}
    # what leads nowhere, and is none of the asker's business, is left out altogether
    out = {pk for pk in left_out if pk not in skipped and (pk in middle or facts[pk].is_permitted)}
    skipped |= {pk: "backfill.left_out" for pk in left_out if pk not in skipped and pk not in out}
    everyone = run | middle | out
    roles = {pk: Role(Part.DRY_RUN, "backfill.left_out") for pk in out}
    roles |= {pk: Role(Part.DRY_RUN, "backfill.unchosen") for pk in middle - out}
    barred = set()
    for pk in run:
        ends = not any(one in everyone for one in graph.up.get(pk, ())) or not any(
            one in everyone for one in graph.down.get(pk, ())
        )
        roles[pk] = _role(facts[pk])
        if ends and not facts[pk].is_permitted:
            barred.add(pk)
    return Cast(roles, skipped, frozenset(barred))


def _absent(facts: Facts | None) -> str:
    if facts is None or not facts.is_online:
        return "backfill.offline"
    if facts.is_manual:
        return "backfill.manual"
    return "backfill.root" if facts.is_root else ""


def _role(facts: Facts) -> Role:
    if not facts.is_permitted:
        return Role(Part.DRY_RUN, "backfill.no_permission")
    if facts.is_frozen:
        return Role(Part.FROZEN, "backfill.frozen")
    if facts.is_dry_run:
        return Role(Part.DRY_RUN, "backfill.recurrence")
    return Role(Part.RUN, "backfill.bypassed" if facts.is_trigger else "backfill.chosen")


# when


@dataclass(frozen=True)
class RunWindow:
    """The hours in which instances may start, local time, both ends inclusive; over midnight where the end is earlier.

    Attributes:
        weekend: on Saturdays and Sundays only; one that goes over midnight belongs to the day it begins on.
    """

    start: time
    end: time
    weekend: bool = False

    def opens(self, at: datetime, zone: ZoneInfo) -> datetime:
        """The first moment inside it that is not before ``at``."""
        return next(max(at, start) for start, end in self._around(at, zone) if end > at)

    def closes(self, at: datetime, zone: ZoneInfo) -> datetime:
        """The first end of it after ``at``."""
        return next(end for _start, end in self._around(at, zone) if end > at)

    def _around(self, at: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
        """Its openings from the day before on, each with the moment at which nothing starts any more."""
        day = at.astimezone(zone).date()
        found = []
        for n in range(-1, 9):
            first = day + timedelta(days=n)
            if self.weekend and first.weekday() < 5:
                continue
            last = first if self.start <= self.end else first + timedelta(days=1)
            end = datetime.combine(last, self.end) + timedelta(seconds=1)
            found.append((local_to_utc(datetime.combine(first, self.start), zone), local_to_utc(end, zone)))
        return found


def earliest_start(
    scheduled_at: datetime, now: datetime, zone: ZoneInfo, window: RunWindow | None, *, immediately: bool
) -> datetime | None:
    """When an instance may start at the earliest; None for at once.

    Args:
        immediately: a scheduled time that is still to come is not waited for.
    """
    waited = None if immediately or scheduled_at <= now else scheduled_at
    if window is None:
        return waited
    opens = window.opens(waited or now, zone)
    return None if opens <= now else opens


def contradictions(days: Sequence[date], order: Order, previous: Collection[tuple[int, int]]) -> set[int]:
    """Tasks of the job that wait for the cycle before, where a later date is to run first.

    Args:
        previous: pairs (upstream task, task) of the cycle before, both in the job.
    """
    known = set(days)
    if order is Order.ASC or not any(day + timedelta(days=1) in known for day in days):
        return set()
    return {down for _up, down in previous}


def longest(graph: Graph, seconds: Mapping[int, float]) -> float:
    """How long the slowest way through the tasks takes, when nothing else is waited for.

    Args:
        seconds: of every task of the job; there must be no loop among them.
    """
    done: dict[int, float] = {}
    waits = {pk: sum(up in seconds for up in graph.up.get(pk, ())) for pk in seconds}
    ready = [pk for pk, count in waits.items() if count == 0]
    while ready:
        pk = ready.pop()
        done[pk] = seconds[pk] + max((done[up] for up in graph.up.get(pk, ()) if up in done), default=0.0)
        for follower in graph.down.get(pk, ()):
            if follower in waits:
                waits[follower] -= 1
                if waits[follower] == 0:
                    ready.append(follower)
    return max(done.values(), default=0.0)
