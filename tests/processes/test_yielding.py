"""How regular events make way for others: by what the processors have left, and by what they have worked themselves."""

from typing import Any

import pytest

from extensions.courier import REST
from extensions.slots import MOST
from opscenter.processes import courier

BUSY, FREE = 0.0, 100.0


class Machine:
    """The times and the processors that a courier sees."""

    def __init__(self) -> None:
        self.worked, self.spare, self.starts = 0.0, FREE, MOST

    def process_time(self) -> float:
        return self.worked

    def since_last(self) -> float:
        return self.spare

    def start_at_once(self, most: int) -> None:
        self.starts = most


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(courier, "Spare", lambda: made)
    monkeypatch.setattr(courier.time, "process_time", made.process_time)
    return made


def rounds(machine: Machine, *given: tuple[float, float]) -> list[tuple[float, int]]:
    """The rest after each round, and how many runs may start in the next; ``given``: what was worked, and what is spare."""
    yielding = courier._Yielding(machine)  # type: ignore[arg-type]
    found: list[Any] = []
    for worked, spare in given:
        machine.worked, machine.spare = machine.worked + worked, spare
        found.append((pytest.approx(yielding.seconds()), machine.starts))
    return found


def test_a_free_machine_is_filled_slowly_and_without_pauses(machine: Machine) -> None:
    found = rounds(machine, *[(0.1, FREE)] * 6)
    assert found == [(REST, starts) for starts in (4, 8, 16, 32, 64, MOST)]


def test_little_work_begins_slowly_again(machine: Machine) -> None:
    assert [starts for _rest, starts in rounds(machine, (0.1, FREE), (0.1, FREE), (0.001, FREE), (0.1, FREE))] == [
        4,
        8,
        2,
        4,
    ]


def test_where_others_want_the_processors_work_is_followed_by_rest(machine: Machine) -> None:
    found = rounds(machine, (0.1, FREE), (0.05, BUSY), (0.2, BUSY), (5.0, BUSY), (0.0, BUSY))
    assert found == [(REST, 4), (1.0, 2), (4.0, 2), (10.0, 2), (REST, 2)]
