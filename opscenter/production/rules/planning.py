"""From a schedule to the instances of a day (spec/opscenter.md 3.1 to 3.4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from opscenter.production.rules.cron import Cron

GRACE = timedelta(minutes=10)
"""What is scheduled later than this after a deployment is still run on the same day."""

GENERATION_STARTS = time(23, 30)
"""Local time from which the next day's instances are fixed."""


@dataclass(frozen=True)
class Planned:
    """An instance to be.

    Attributes:
        scheduled_at: aware, UTC.
        period: the n-th run of the scheduled day, from 1.
        dry_run: succeeds at its time without running anything.
        expired: a dry run whose time was over when its task was deployed.
    """

    scheduled_at: datetime
    period: int
    dry_run: bool
    expired: bool = False


def plan_day(
    cron: Cron, day: date, zone: ZoneInfo, effective: tuple[datetime | None, datetime | None] = (None, None)
) -> list[Planned]:
    """All instances of a scheduled local day, in order.

    On a day on which the schedule does not run there is one dry run at its (first) time, so that what depends on the
    task is not left without upstream.

    Args:
        effective: first and last moment at which the schedule counts, local and naive, both inclusive; None: no limit.
    """
    runs = cron.runs_on(day)
    times = cron.times_of_day() if runs else cron.times_of_day()[:1]
    local = [moment for moment in (datetime.combine(day, at) for at in times) if _is_effective(moment, effective)]
    moments = _moments(local, zone)
    if moments and max(moments).astimezone(zone).date() > day:
        # clocks skipped this day's end: where the next day has an instance at that moment, the two are one
        following = (datetime.combine(day + timedelta(days=1), at) for at in times)
        moments -= _moments(following, zone) if cron.runs_on(day + timedelta(days=1)) else set()
    return [Planned(moment, period, dry_run=not runs) for period, moment in enumerate(sorted(moments), start=1)]


def _is_effective(local: datetime, effective: tuple[datetime | None, datetime | None]) -> bool:
    start, end = effective
    return (start is None or start <= local) and (end is None or local <= end)


def _moments(local_times: Iterable[datetime], zone: ZoneInfo) -> set[datetime]:
    return {local_to_utc(local, zone) for local in local_times}


def local_to_utc(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a naive local time: the first of two where clocks go back, the end of the gap if skipped."""
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    return _end_of_gap(local, zone)


def _end_of_gap(local: datetime, zone: ZoneInfo) -> datetime:
    """The first moment after the clock change that skips ``local``.

    Read with the offset after the change a skipped time lies before the change, with the offset before it after.
    """
    early = int(local.replace(tzinfo=zone, fold=1).timestamp())
    late = int(local.replace(tzinfo=zone, fold=0).timestamp())
    offset_before = datetime.fromtimestamp(early, zone).utcoffset()
    while late - early > 1:
        middle = (early + late) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset_before:
            early = middle
        else:
            late = middle
    return datetime.fromtimestamp(late, UTC)


def plan_immediately(planned: Sequence[Planned], deployed_at: datetime, is_new: bool) -> list[Planned]:
    """What deploying makes of the day's instances in the mode Immediately (the 10-minute rule).

    Later than 10 minutes after the deployment: as planned. Earlier: an expired dry run where the task is new, none
    where it was there before (its old instances of that time stand).
    """
    limit = deployed_at + GRACE
    result = []
    for one in planned:
        if one.scheduled_at > limit:
            result.append(one)
        elif is_new:
            result.append(replace(one, dry_run=True, expired=True))
    return result


def first_generated_day(deployed_at: datetime, zone: ZoneInfo) -> date:
    """The first scheduled day whose nightly generation knows a change deployed at that moment: tomorrow; from 23:30 on
    the day after tomorrow."""
    local = deployed_at.astimezone(zone)
    return local.date() + timedelta(days=1 if local.time() < GENERATION_STARTS else 2)


def bizdate_of(scheduled_at: datetime, zone: ZoneInfo) -> date:
    """The business date of a scheduled time: its local day minus one."""
    return scheduled_at.astimezone(zone).date() - timedelta(days=1)
