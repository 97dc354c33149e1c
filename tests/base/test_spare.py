"""What is left of the processors, from what the kernel counts."""

from collections import namedtuple
from typing import Any

import psutil
import pytest

from opscenter.base.spare import Spare

Times = namedtuple("Times", "user nice system idle iowait irq softirq steal guest guest_nice")


@pytest.mark.parametrize(
    ("spent", "spare"),
    [
        (Times(0, 0, 0, 2, 0, 0, 0, 0, 0, 0), 2.0),
        (Times(2, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0.0),
        (Times(1, 0, 0, 1, 0, 0, 0, 0, 0, 0), 1.0),
        (Times(0, 2, 0, 0, 0, 0, 0, 0, 0, 0), 2.0),
        (Times(0.5, 0.5, 0.25, 0.25, 0.5, 0, 0, 0, 0, 0), 1.25),
        (Times(1, 0, 0, 0, 0, 0, 0, 1, 0, 0), 0.0),  # another machine's
        (Times(1, 0, 0, 1, 0, 0, 0, 0, 1, 0), 1.0),
        (Times(*[0] * 10), 2.0),
    ],
    ids=str,
)
def test_idle_and_nice_time_is_spare(monkeypatch: pytest.MonkeyPatch, spent: Any, spare: float) -> None:
    start = Times(*range(100, 110))
    told = iter([start, Times(*(a + b for a, b in zip(start, spent, strict=True)))])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(told))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    assert Spare().since_last() == pytest.approx(spare)


def test_it_is_about_this_machine() -> None:
    looked = Spare()
    assert 0 <= looked.since_last() <= (psutil.cpu_count() or 1)
