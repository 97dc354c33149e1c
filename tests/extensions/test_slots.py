"""Fairness, by tables: how many requests of whom may start."""

from collections.abc import Sequence

import pytest

from extensions import slots
from extensions.slots import MOST_YOUNG, PER_EXTENSION, Slots

A, B = 1, 2
LATER = 60.0


class Office:
    """Slots, a clock that the test moves, and the requests under way."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.slots = Slots()
        self.started: dict[int, list[float]] = {}

    def monotonic(self) -> float:
        return self.at

    def rooms(self, *extensions: int) -> dict[int, int]:
        return self.slots.rooms(extensions)

    def take(self, extension: int, count: int = 1) -> None:
        for _ in range(count):
            self.started.setdefault(extension, []).append(self.slots.take(extension))

    def end(self, extension: int, count: int = 1, *, well: bool) -> None:
        for _ in range(count):
            self.slots.release(extension, self.started[extension].pop(0), went_well=well)

    def fail(self, extension: int, times: int = 1) -> None:
        for _ in range(times):
            self.take(extension)
            self.end(extension, well=False)

    def fill(self, extensions: Sequence[int]) -> None:
        """All of these take what they may, for long enough."""
        for _ in range(30):
            for extension, room in self.rooms(*extensions).items():
                self.take(extension, room)
            self.at += LATER


@pytest.fixture
def office(monkeypatch):
    made = Office()
    monkeypatch.setattr(slots, "time", made)
    return made


def test_one_alone_gets_its_fill_step_by_step(office):
    """Not all at once: one that answers quickly needs no more than the first few."""
    given = []
    while rooms := office.rooms(A):
        given.append(rooms[A])
        office.take(A, rooms[A])
        assert office.rooms(A) == {}
        assert 0 <= office.slots.rest(A) <= 0.05
        office.at += 0.051
    assert max(given) == MOST_YOUNG
    assert sum(given) == office.slots.under_way == PER_EXTENSION
    assert office.slots.rest(A) == 0


@pytest.mark.parametrize("greedy", [1, 2, 4, 8, 12, 20])
def test_however_many_are_greedy_another_finds_room(office, greedy):
    office.fill(range(100, 100 + greedy))
    assert office.rooms(A)[A] >= 1


def test_who_is_greedy_gives_way_when_there_are_too_many(office):
    """Every slot is taken; what one frees goes to those that have none."""
    greedy = list(range(100, 140))
    office.fill([100])
    office.fill(greedy)
    assert office.slots.under_way == slots.MOST
    assert office.rooms(*greedy) == {}
    for _ in range(5):
        office.end(100, well=True)
        ((given, room),) = office.rooms(*greedy).items()
        assert (given in office.started, room) == (False, 1)
        office.take(given)


def test_who_asks_first_does_not_crowd_out_who_asks_at_the_same_time(office):
    rooms = office.rooms(*range(100, 116), A)
    assert sum(rooms.values()) <= slots.MOST
    assert rooms[A] >= 1


@pytest.mark.parametrize(
    ("failures", "rest"), [(1, 0.1), (2, 0.2), (3, 0.4), (5, 1.6), (6, 2.0), (50, 2.0), (5000, 2.0)]
)
def test_a_failing_one_rests(office, failures, rest):
    office.fail(A, failures)
    assert office.slots.rest(A) == pytest.approx(rest)
    office.at += rest - 0.01
    assert office.rooms(A, B) == {B: MOST_YOUNG}
    office.at += 0.02
    assert (office.slots.rest(A), office.rooms(A)) == (0, {A: 1})


def test_a_failing_one_rests_between_starts_too(office):
    office.fail(A, 9)
    office.at += LATER
    office.take(A)
    assert office.rooms(A) == {}
    office.at += 2.1
    assert office.rooms(A) == {A: 1}


def test_a_hanging_one_has_two_requests_at_most(office):
    office.fill([A])
    office.end(A, well=False)
    office.at += LATER
    assert office.rooms(A) == {}
    office.end(A, PER_EXTENSION - 2, well=False)
    for expected in ({A: 1}, {}):
        office.at += LATER
        assert office.rooms(A) == expected
        if expected:
            office.take(A)
    assert office.slots.under_way == slots.PER_FAILING


def test_many_hanging_ones_leave_most_to_the_others(office):
    hanging = list(range(100, 200))
    for extension in hanging:
        office.fail(extension)
    office.at += LATER
    office.fill(hanging)
    assert slots.MOST // 2 < office.slots.under_way < slots.MOST - slots.RESERVED
    assert office.rooms(A)[A] >= 3


def test_one_success_gives_everything_back(office):
    office.fail(A, 9)
    office.take(A)
    office.end(A, well=True)
    assert office.rooms(A) == {A: MOST_YOUNG}
    assert (office.slots.rest(A), office.slots.under_way) == (0, 0)


def test_ends_in_any_order_are_counted(office):
    office.take(A, 3)
    for well in (True, False, True):
        office.end(A, well=well)
    assert (office.slots.under_way, office.rooms(A)) == (0, {A: MOST_YOUNG})


def test_while_others_want_the_processors_few_start_at_once(office):
    """Those that wait for their receivers cost none: a hanging one keeps nobody from starting."""
    office.slots.at_once = 2
    assert sum(office.rooms(*range(20)).values()) == 2
    office.take(A)
    office.take(B)
    assert office.rooms(3, 4) == {}
    office.at += LATER
    assert sum(office.rooms(3, 4, 5).values()) == 2
    office.slots.at_once = 1
    office.take(3)
    office.take(4)
    assert office.rooms(5) == {}, "fewer than have started"
