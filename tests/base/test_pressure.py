"""The pressure on the processors, read as Linux writes it."""

from pathlib import Path

import pytest

from opscenter.base import pressure
from opscenter.base.pressure import Pressure

LINE = "some avg10=80.37 avg60=87.88 avg300=93.35 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cpu"
    monkeypatch.setattr(pressure, "_TOLD", path)
    moments = iter(range(1000))
    monkeypatch.setattr(pressure.time, "monotonic", lambda: float(next(moments)))
    return path


def test_it_is_the_share_of_the_time_since_it_was_asked(told: Path) -> None:
    told.write_text(LINE.format(5_000_000))
    asked = Pressure()
    told.write_text(LINE.format(5_250_000))
    assert asked.since_last() == 0.25
    assert asked.since_last() == 0.0
    told.write_text(LINE.format(9_000_000))
    assert asked.since_last() == 1.0


@pytest.mark.parametrize("text", ["", "nonsense", "some total=x"])
def test_where_nothing_tells_there_is_none(told: Path, text: str) -> None:
    assert Pressure().since_last() == 0.0
    told.write_text(text)
    assert Pressure().since_last() == 0.0
