"""What a backfill is asked for with: every field of the dialog and of the APIs, checked once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, time
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, sentence
from opscenter.engine.backfill_plan import Dates
from opscenter.operations import run_parameters
from opscenter.production.rules import backfill as rules
from opscenter.production.rules.backfill import DateRange, Mode, OnFailure, Order, RunWindow

LONGEST_NAME = 255
MOST_DATA_SOURCES = 100
PRIORITIES = range(1, 12)
_EARLIEST, _LATEST = date(1970, 1, 1), date(2199, 12, 31)


@dataclass(frozen=True)
class BackfillRequest:
    """Which tasks for which business dates, and how. Tasks are named by their numbers.

    Attributes:
        roots, include, exclude, depth, workspaces, not_workspaces: as in ``rules.Selection``.
        start, end: the scheduled times of a day that hour and minute tasks run for, both inclusive.
        groups: business dates that run side by side; 1: one after the other.
        immediately: instances of a time to come do not wait for it.
        run_window: (start, end, weekends only): instances start inside it alone.
        priority: of all instances; None: as each task has it.
        resource_group: name of the one that all instances run on; empty: as each task has it.
        parameters: overrides of scheduling parameters: ``rules.levels.Sources.overrides``.
        data_sources: names of data sources that SQL tasks use, by the names of those that they use otherwise.
        alert: at which ends its creator is told (``type``), as it was asked for: in the console, and by mail where
            ``notice`` names it, in ``language``.
        autostart: it starts when it is made; else when somebody starts it.
    """

    mode: Mode
    ranges: tuple[DateRange, ...]
    name: str = ""
    roots: tuple[int, ...] = ()
    include: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    depth: int | None = None
    workspaces: tuple[int, ...] = ()
    not_workspaces: tuple[int, ...] = ()
    start: time = time.min
    end: time = time(23, 59, 59)
    order: Order = Order.ASC
    groups: int = 1
    on_failure: OnFailure = OnFailure.WAIT
    immediately: bool = False
    run_window: tuple[time, time, bool] | None = None
    priority: int | None = None
    resource_group: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data_sources: Mapping[str, str] = field(default_factory=dict)
    alert: Mapping[str, str] | None = None
    autostart: bool = True

    def as_json(self) -> dict[str, Any]:
        """As the job keeps it."""
        told: dict[str, Any] = _plain(asdict(self))
        told["ranges"] = [[str(one.first), str(one.last)] for one in self.ranges]
        if not self.data_sources:  # requests of before there were any stay the same
            del told["data_sources"]
        return told

    def dates(self) -> Dates:
        """When it runs."""
        days = rules.business_dates(self.ranges, self.order)
        return Dates(days, self.groups, self.order, self.start, self.end)

    def check(self) -> None:
        """Raise Invalid for what is wrong in itself, with the ``field`` it is in."""
        for test, code, name, params in self._faults():
            if test:
                raise Invalid(f"backfill.{code}", field=name, **params)
        run_parameters.checked(self.parameters)

    def _faults(self) -> list[tuple[bool, str, str, dict[str, Any]]]:
        days = sum(len(one) for one in self.ranges)
        most = {"most": rules.MOST_RANGES}
        is_link, named = self.mode is Mode.LINK, self.roots or self.include
        return [
            (len(self.name) > LONGEST_NAME, "long_name", "name", {"most": LONGEST_NAME}),
            (is_link and (len(self.roots) != 1 or len(self.include) != 1), "link_ends", "include", {}),
            (not named and not (self.mode is Mode.MASSIVE and bool(self.workspaces)), "no_root", "roots", {}),
            (self.depth is not None and self.depth < 1, "depth", "depth", {}),
            (not self.ranges, "no_dates", "ranges", {}),
            (len(self.ranges) > rules.MOST_RANGES, "too_many_ranges", "ranges", most | {"given": len(self.ranges)}),
            (
                any(not _EARLIEST <= day <= _LATEST for one in self.ranges for day in (one.first, one.last)),
                "far_date",
                "ranges",
                {},
            ),
            (any(one.last < one.first for one in self.ranges), "reversed_range", "ranges", {}),
            (days > rules.MOST_DATES, "too_many_dates", "ranges", {"most": rules.MOST_DATES, "given": days}),
            (self.end < self.start, "reversed_hours", "end", {}),
            (not 1 <= self.groups <= rules.MOST_GROUPS, "groups", "groups", {"most": rules.MOST_GROUPS}),
            (
                len(self.data_sources) > MOST_DATA_SOURCES
                or not all(name and other for name, other in self.data_sources.items()),
                "data_sources",
                "data_sources",
                {"most": MOST_DATA_SOURCES},
            ),
            (self.priority is not None and self.priority not in PRIORITIES, "priority", "priority", {}),
        ]

    def window(self) -> RunWindow | None:
        """When instances may start."""
        return RunWindow(*self.run_window) if self.run_window else None


def _plain(value: Any) -> Any:
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value


def from_json(told: Mapping[str, Any]) -> BackfillRequest:
    """A request as the job keeps it."""
    window = told["run_window"]
    return BackfillRequest(
        **{
            **told,
            "mode": Mode(told["mode"]),
            "ranges": tuple(DateRange(*map(date.fromisoformat, one)) for one in told["ranges"]),
            **{name: tuple(told[name]) for name in ("roots", "include", "exclude", "workspaces", "not_workspaces")},
            "start": time.fromisoformat(told["start"]),
            "end": time.fromisoformat(told["end"]),
            "order": Order(told["order"]),
            "on_failure": OnFailure(told["on_failure"]),
            "run_window": window and (time.fromisoformat(window[0]), time.fromisoformat(window[1]), window[2]),
        }
    )


@sentence("backfill.long_name")
def _long_name(params: Mapping[str, Any]) -> str:
    return _("The name is too long; %(most)s characters are the most.") % params


@sentence("backfill.link_ends")
def _link_ends(params: Mapping[str, Any]) -> str:
    return _("Name one task that the link begins with, and one that it ends with.")


@sentence("backfill.no_root")
def _no_root(params: Mapping[str, Any]) -> str:
    return _("Name at least one task to begin with.")


@sentence("backfill.depth")
def _depth(params: Mapping[str, Any]) -> str:
    return _("The number of levels must be 1 or more; leave it empty for all.")


@sentence("backfill.no_dates")
def _no_dates(params: Mapping[str, Any]) -> str:
    return _("Give at least one range of business dates.")


@sentence("backfill.too_many_ranges")
def _too_many_ranges(params: Mapping[str, Any]) -> str:
    return _("%(given)s ranges of business dates were given; %(most)s are the most.") % params


@sentence("backfill.far_date")
def _far_date(params: Mapping[str, Any]) -> str:
    return _("Business dates must be from 1970-01-01 to 2199-12-31.")


@sentence("backfill.reversed_range")
def _reversed_range(params: Mapping[str, Any]) -> str:
    return _("A range ends before it begins. Both of its dates are included.")


@sentence("backfill.too_many_dates")
def _too_many_dates(params: Mapping[str, Any]) -> str:
    return _("%(given)s business dates were given; %(most)s are the most in one job.") % params


@sentence("backfill.reversed_hours")
def _reversed_hours(params: Mapping[str, Any]) -> str:
    return _("The hours end before they begin. Both times are included.")


@sentence("backfill.groups")
def _groups(params: Mapping[str, Any]) -> str:
    return _("From 1 to %(most)s business dates can run side by side.") % params


@sentence("backfill.priority")
def _priority(params: Mapping[str, Any]) -> str:
    return _("The priority must be from 1 to 11; the larger, the sooner.")


@sentence("backfill.data_sources")
def _data_sources(params: Mapping[str, Any]) -> str:
    return _("Data sources are given as old=new, with no name empty, and %(most)s at most.") % params
