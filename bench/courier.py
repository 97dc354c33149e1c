"""The courier: from the commit of a message to its arrival, alone and beside receivers that hang, fail or are flooded."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from bench.figures import Figure, percentile
from tests.extensions.receiver import HANG, Receiver
from tests.processes.lab import Lab
from tests.stack import Stack

HEALTHY = 5
ROUNDS = 6
MESSAGES = 60
"""Of a round, to each healthy receiver."""
BACKLOG = 500
"""Messages that wait for each bad receiver, beside those of the round."""
PAUSE = 0.1
FLOOD = 2000
_PATIENCE = 120.0


def courier(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """One message at a time, then rounds of all receivers, then a flood."""
    with ExitStack() as open_ones:
        good = [open_ones.enter_context(Receiver()) for _ in range(HEALTHY)]
        bad = [open_ones.enter_context(Receiver(HANG)), open_ones.enter_context(Receiver(500))]
        rounds = Rounds(lab, good, bad)
        rounds.run(rounds.healthy)  # warm
        single = rounds.run(rounds.healthy[:1])
        yield Figure("delivery, commit to arrival p50", percentile(single, 0.5), "ms")
        yield Figure("delivery, commit to arrival p99", percentile(single, 0.99), "ms")
        yield from _bad_company(rounds)
        yield from _flood(rounds)


class Rounds:
    """Messages at a steady pace to receivers in a workspace of their own."""

    def __init__(self, lab: Lab, good: Sequence[Receiver], bad: Sequence[Receiver]) -> None:
        self._ask, self._good = lab.ask, good
        made = lab.ask("extensions", *(one.url for one in [*good, *bad]))
        ids = [str(pk) for pk in made["ids"]]
        self.healthy, self.bad = ids[: len(good)], ids[len(good) :]

    def run(self, ids: Sequence[str], first: int = 0) -> list[float]:
        """Milliseconds from commit to arrival at each healthy receiver among these, from the ``first`` on."""
        receivers = self._good[first : first + len(set(ids) & set(self.healthy))]
        for receiver in receivers:
            receiver.got.clear()
        committed = self._ask("events", str(MESSAGES), str(PAUSE), *ids)
        return [
            (got.at - committed[got.id]) * 1000 for receiver in receivers for got in receiver.wait(MESSAGES, _PATIENCE)
        ]

    def flood(self, count: int, *ids: str) -> None:
        """Messages committed at once."""
        self._ask("flood", str(count), *ids)

    def forget(self, *ids: str) -> None:
        """What waits is ended."""
        self._ask("forget", *ids)


def _bad_company(rounds: Rounds) -> Iterator[Figure]:
    """With and without the bad ones in turns, so that the machine's moods hit both alike."""
    alone, beside = [], []
    for _ in range(ROUNDS):
        alone += rounds.run(rounds.healthy)
        rounds.flood(BACKLOG, *rounds.bad)
        beside += rounds.run([*rounds.healthy, *rounds.bad])
        rounds.forget(*rounds.bad)
    for name, values in (("alone", alone), ("beside a hanging and a failing one", beside)):
        yield Figure(f"delivery to {HEALTHY} receivers p50, {name}", percentile(values, 0.5), "ms")
        yield Figure(f"delivery to {HEALTHY} receivers p99, {name}", percentile(values, 0.99), "ms")
    ratio = percentile(beside, 0.99) / percentile(alone, 0.99)
    yield Figure("delivery p99, beside a hanging and a failing one to alone", ratio, "ratio", most=1.5)


def _flood(rounds: Rounds) -> Iterator[Figure]:
    """One receiver gets very many messages at once, another its usual ones meanwhile."""
    flooded, other = rounds.healthy[:2]
    rounds.flood(FLOOD, flooded)
    values = rounds.run([other], first=1)
    yield Figure(f"delivery p50, while {FLOOD:,} to another are sent", percentile(values, 0.5), "ms")
    yield Figure(f"delivery, the slowest, while {FLOOD:,} to another are sent", max(values), "ms")
