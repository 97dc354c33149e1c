"""Which instance waits for which, on one scheduled day (spec/opscenter.md 3.5), and loops among dependencies."""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from opscenter.production.rules.cron import Cycle

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, eq=False)
class Runs:
    """The instances of a task on one scheduled day.

    Tasks of the same schedule may share one object: what was matched is then remembered by it.

    Attributes:
        times: their scheduled times.
        chained: the task depends on its own previous cycle, so that its instances run one after the other.
    """

    times: Sequence[datetime]
    cycle: Cycle
    chained: bool = False


def match(upstream: Runs, downstream: Runs) -> list[tuple[int, int]]:
    """The edges of a Normal dependency (same cycle), as pairs of positions in ``upstream`` and ``downstream``.

    * an upstream of one run a day: every downstream instance waits for it (for both, on a day on which a deployment left
      the old one beside the new one); of an hour or minute task that is chained the first alone does;
    * an hour or minute upstream of a downstream of one run a day: it waits for all of them; of a chained one for the
      nearest not later than itself;
    * minutes before hours: an hour instance waits for those since the previous hour instance, up to its own time;
    * otherwise: each waits for the nearest one not later than itself, which is that of its own time where the points are
      the same.

    Where nothing is that early, the day's first upstream instance is waited for, so that every downstream instance has
    at least one upstream.
    """
    if not upstream.times or not downstream.times:
        return []
    ups, downs = _by_time(upstream), _by_time(downstream)
    spans = _matched(upstream, downstream, ups, downs)
    return [(ups[i], down) for down, span in zip(downs, spans, strict=True) for i in span]


def match_previous(earlier: Runs, upstream: Runs, downstream: Runs, *, by_day: bool = False) -> list[tuple[int, int]]:
    """The edges of a cross-cycle dependency: each downstream instance waits for the cycle before the one that it would
    wait for in the same cycle.

    Where either runs once a day that is the whole day before (its last run, where the upstream is chained); otherwise the
    run just before, which for the first of the day is the last of the day before.

    Args:
        earlier: the upstream's instances of the day before.
        by_day: the day before in any case.

    Returns:
        Pairs of positions, the first in ``earlier`` followed by ``upstream``.
    """
    if not downstream.times:
        return []
    before = _by_time(earlier)
    if by_day or not within_a_day(upstream, downstream) or not upstream.times:
        waited = before[-1:] if earlier.chained else before
        return [(up, down) for down in range(len(downstream.times)) for up in waited]
    ups, downs = _by_time(upstream), _by_time(downstream)
    line = [*before, *(len(before) + i for i in ups)]
    spans = _matched(upstream, downstream, ups, downs)
    places = ((len(before) + span.start - 1, down) for down, span in zip(downs, spans, strict=True))
    return [(line[place], down) for place, down in places if place >= 0]


def within_a_day(upstream: Runs, downstream: Runs) -> bool:
    """Whether the cycle before may be one of the same day: both run several times a day."""
    return not (upstream.cycle.is_daylike or downstream.cycle.is_daylike)


def _by_time(runs: Runs) -> list[int]:
    return sorted(range(len(runs.times)), key=runs.times.__getitem__)


def _matched(upstream: Runs, downstream: Runs, ups: Sequence[int], downs: Sequence[int]) -> list[range]:
    """For each downstream instance by time, the positions in ``ups`` of those it waits for in the same cycle."""
    everything = range(len(ups))
    if upstream.cycle.is_daylike:
        later = range(0) if downstream.chained and not downstream.cycle.is_daylike else everything
        return [everything, *([later] * (len(downs) - 1))]
    if downstream.cycle.is_daylike and not upstream.chained:
        return [everything] * len(downs)
    up_times = [upstream.times[i] for i in ups]
    down_times = [downstream.times[i] for i in downs]
    grouped = upstream.cycle is Cycle.MINUTE and downstream.cycle is Cycle.HOUR
    return list(_spans(up_times, down_times, grouped))


def _spans(up_times: list[datetime], down_times: list[datetime], grouped: bool) -> Iterator[range]:
    """For each downstream time, the positions of the upstream times it waits for."""
    taken = 0  # upstream times up to the previous downstream time
    for at in down_times:
        end = bisect_right(up_times, at)
        if grouped and end > taken:
            yield range(taken, end)
        else:
            nearest = max(end - 1, 0)
            yield range(nearest, nearest + 1)
        taken = end


def find_cycle(edges: Mapping[K, Iterable[K]]) -> list[K] | None:
    """A loop in a directed graph, as the keys on it in order (the last leads back to the first); None without one."""
    finished: set[K] = set()
    for start in edges:
        if start in finished:
            continue
        path = [start]
        places = {start: 0}
        open_edges = [iter(edges[start])]
        while path:
            for follower in open_edges[-1]:
                if follower in places:
                    return path[places[follower] :]
                if follower not in finished:
                    places[follower] = len(path)
                    path.append(follower)
                    open_edges.append(iter(edges.get(follower, ())))
                    break
            else:
                open_edges.pop()
                done = path.pop()
                del places[done]
                finished.add(done)
    return None


def knots(edges: Mapping[K, Iterable[K]]) -> list[set[K]]:
    """The groups of two or more keys of a directed graph that all lead to each other (Tarjan's algorithm)."""
    found: list[set[K]] = []
    order: dict[K, int] = {}
    lowest: dict[K, int] = {}  # the first that is reached from a key, among those still open
    open_keys: list[K] = []
    is_open: set[K] = set()
    for start in edges:
        path = [] if start in order else [(start, iter(edges[start]))]
        while path:
            key, followers = path[-1]
            if key not in order:
                order[key] = lowest[key] = len(order)
                open_keys.append(key)
                is_open.add(key)
            for follower in followers:
                if follower not in order:
                    path.append((follower, iter(edges.get(follower, ()))))
                    break
                if follower in is_open:
                    lowest[key] = min(lowest[key], order[follower])
            else:
                path.pop()
                if path:
                    before = path[-1][0]
                    lowest[before] = min(lowest[before], lowest[key])
                if lowest[key] == order[key]:
                    group = _closed(open_keys, key)
                    is_open -= group
                    if len(group) > 1:
                        found.append(group)
    return found


def _closed(open_keys: list[K], first: K) -> set[K]:
    """Take a finished group from the end of the open keys."""
    group = {open_keys.pop()}
    while first not in group:
        group.add(open_keys.pop())
    return group
