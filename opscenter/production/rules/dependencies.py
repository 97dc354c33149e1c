"""Which instance waits for which, on one scheduled day (spec/opscenter.md 3.5), and loops among dependencies."""

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from opscenter.production.rules.cron import Cycle
from opscenter.production.rules.planning import Planned

K = TypeVar("K", bound=Hashable)


def match(
    upstream: Sequence[Planned], upstream_cycle: Cycle, downstream: Sequence[Planned], downstream_cycle: Cycle
) -> list[tuple[int, int]]:
    """The edges of a Normal dependency (same cycle), as pairs of positions in ``upstream`` and ``downstream``.

    * an upstream of one run a day: every downstream instance waits for it (for both, on a day on which a deployment left
      the old one beside the new one);
    * an hour or minute upstream of such a downstream: it waits for all of them;
    * minutes before hours: an hour instance waits for those since the previous hour instance, up to its own time;
    * otherwise: each waits for the nearest one not later than itself, which is that of its own time where the points are
      the same.

    Where nothing is that early, the day's first upstream instance is waited for, so that every downstream instance has
    at least one upstream.
    """
    if not upstream or not downstream:
        return []
    ups = sorted(range(len(upstream)), key=lambda i: upstream[i].scheduled_at)
    downs = sorted(range(len(downstream)), key=lambda i: downstream[i].scheduled_at)
    if upstream_cycle.is_daylike or downstream_cycle.is_daylike:
        return [(up, down) for down in downs for up in ups]
    up_times = [upstream[i].scheduled_at for i in ups]
    down_times = [downstream[i].scheduled_at for i in downs]
    grouped = upstream_cycle is Cycle.MINUTE and downstream_cycle is Cycle.HOUR
    spans = _spans(up_times, down_times, grouped)
    return [(ups[i], down) for down, span in zip(downs, spans, strict=True) for i in span]


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
