"""A figure: what was measured, and what it should be."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured value. ``most`` and ``least`` are its target, where there is one."""

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is within its target; None without one."""
        if self.most is not None:
            return self.value <= self.most
        return None if self.least is None else self.value >= self.least

    def as_json(self) -> dict[str, Any]:
        """The line that is printed; with the load of the machine, because that disturbs."""
        target = (
            {"most": self.most} if self.most is not None else {"least": self.least} if self.least is not None else {}
        )
        met = {} if self.met is None else {"met": self.met}
        value = round(self.value, 3)
        return {"figure": self.name, "value": value, "unit": self.unit, **target, **met, "load": os.getloadavg()[0]}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
