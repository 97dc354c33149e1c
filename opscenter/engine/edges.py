"""From the links between tasks to the edges between their instances of one day (spec 3.5). Pure: nothing is read or stored."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from opscenter.engine.bulk import Edge
from opscenter.engine.links import Links
from opscenter.production.rules import cron
from opscenter.production.rules.cron import Cycle
from opscenter.production.rules.dependencies import Runs, knots, match, match_previous, within_a_day
from opscenter.production.rules.states import State

NOT_STARTED = {State.NOT_RUN, State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE}
Pair = tuple[int, int]


class Standing(NamedTuple):
    """A task's scheduled instances of one day, as they stand."""

    runs: Runs
    ids: Sequence[int]
    states: Sequence[int]


ByTask = Mapping[int, Standing]


@dataclass
class Schedules:
    """The runs of tasks, shared among those of the same schedule, so that each pair of schedules is matched once.

    Attributes:
        chained: the tasks that wait for their own previous cycle.
    """

    chained: Collection[int]
    _runs: dict[tuple[tuple[datetime, ...], Cycle, bool], Runs] = field(default_factory=dict)
    _pairs: dict[tuple[Runs, Runs], list[tuple[int, int]]] = field(default_factory=dict)

    def runs(self, task: int, times: Iterable[datetime], cron_text: str) -> Runs:
        """The runs of a task at these times."""
        key = (tuple(times), cron.parse(cron_text).cycle, task in self.chained)
        found = self._runs.get(key)
        if found is None:
            found = self._runs[key] = Runs(*key)
        return found

    def match(self, upstream: Runs, downstream: Runs) -> list[tuple[int, int]]:
        """As ``dependencies.match``."""
        key = (upstream, downstream)
        found = self._pairs.get(key)
        if found is None:
            found = self._pairs[key] = match(upstream, downstream)
        return found


def plan_edges(
    found: Links, schedules: Schedules, today: ByTask, yesterday: ByTask, by_day: Collection[Pair]
) -> list[Edge]:
    """The edges into the day's instances that have not started; an upstream that succeeded meets its edge at once.

    Args:
        by_day: as ``far_links`` found them.
    """
    edges = [
        Edge(below.ids[b], above.ids[a], above.states[a] == State.SUCCESS)
        for up, down in found.normal
        if (above := today.get(up)) is not None and (below := today.get(down)) is not None
        for a, b in schedules.match(above.runs, below.runs)
        if below.states[b] in NOT_STARTED
    ]
    previous: list[Edge] = []
    for up, down in found.previous:
        if down in today:
            previous += _previous_edges(yesterday.get(up), today.get(up), today[down], (up, down) in by_day)
    # two dependencies may lead to one edge: of the same task's previous cycle, once as itself and once as a child
    return edges + list(dict.fromkeys(previous))


def _previous_edges(earlier: Standing | None, now: Standing | None, below: Standing, by_day: bool) -> list[Edge]:
    """The edges of one cross-cycle dependency, into ``below``."""
    known = earlier or now
    if known is None:
        return []
    nothing = Standing(Runs((), known.runs.cycle, known.runs.chained), (), ())
    earlier, now = earlier or nothing, now or nothing
    ids, states = [*earlier.ids, *now.ids], [*earlier.states, *now.states]
    return [
        Edge(below.ids[b], ids[a], states[a] == State.SUCCESS)
        for a, b in match_previous(earlier.runs, now.runs, below.runs, by_day=by_day)
        if below.states[b] in NOT_STARTED
    ]


def near_links(found: Links, today: ByTask) -> set[Pair]:
    """Links to the previous cycle of another task that may lead to a cycle of the same day."""
    return {
        (up, down)
        for up, down in found.previous
        if up != down and up in today and down in today and within_a_day(today[up].runs, today[down].runs)
    }


def knotted(found: Links, near: Collection[Pair]) -> list[set[int]]:
    """Groups of tasks that wait for each other, if the previous cycle is one of the same day."""
    graph: dict[int, list[int]] = defaultdict(list)
    for up, down in (*found.normal, *near):
        graph[down].append(up)
    return knots(graph) if near else []


def far_links(found: Links, schedules: Schedules, today: ByTask) -> set[Pair]:
    """Links to the previous cycle that have to mean the day before, because within the day they would close a loop.

    Say an hour task waits for the previous cycle of its hour child, and the child also for a day task that waits for the
    hour task: its run at 02:00 would wait for the child's at 01:00, that for the day's, and that for the one at 02:00.
    """
    far: set[Pair] = set()
    near = near_links(found, today)
    waits_for: dict[int, list[int]] = defaultdict(list)
    for up, down in found.normal if near else ():
        waits_for[down].append(up)
    for knot in knotted(found, near):
        here = {pair for pair in near if pair[0] in knot and pair[1] in knot}
        same = {(up, down) for down in knot for up in waits_for[down] if up in knot}
        if knots(_instances_waiting(same, here, schedules, today)):
            far |= here
    return far


def _instances_waiting(
    same: Collection[Pair], previous: Collection[Pair], schedules: Schedules, today: ByTask
) -> dict[Pair, list[Pair]]:
    """Which instances of the day would wait for which, each as (task, position)."""
    graph: dict[Pair, list[Pair]] = defaultdict(list)
    for up, down in same:
        if up in today and down in today:
            for a, b in schedules.match(today[up].runs, today[down].runs):
                graph[down, b].append((up, a))
    chained = {(pk, pk) for pair in (*same, *previous) for pk in pair if pk in schedules.chained and pk in today}
    for up, down in {*previous, *chained}:
        runs = today[up].runs
        for a, b in match_previous(Runs((), runs.cycle, runs.chained), runs, today[down].runs):
            graph[down, b].append((up, a))
    return graph
