"""How a node runs: schedule, rerun setting, priority and the like, from the many spellings that documents use."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opscenter.production.rules import cron
from workflows.definitions import DEFAULT_RERUN_INTERVAL, MANUAL, SCHEDULER
from workflows.flowspec.place import Place

PRIORITIES = (1, 3, 5, 7, 8)
MOST_RERUNS = 10
MOST_PARALLEL = 10_000
RERUN_INTERVALS = (60, 1800)
"""Least and most seconds between automatic reruns."""

_RERUN_MODES = {
    "allowed": "AllAllowed",
    "allallowed": "AllAllowed",
    "failureallowed": "FailureAllowed",
    "denied": "AllDenied",
    "alldenied": "AllDenied",
}
_INSTANCE_MODES = {"t+1": "T+1", "immediately": "Immediately"}
_RECURRENCES = {"normal": "Normal", "pause": "Pause", "skip": "Skip", "noneauto": "Pause"}
_MISFIRES = {"all": "All", "latest": "Latest", "none": "None"}
_SECONDS = {"": 1, "second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}


@dataclass(frozen=True)
class Schedule:
    """A trigger, read. ``start``, ``end``: local times, empty = unbounded; ``cron`` is empty without a schedule."""

    trigger: str = SCHEDULER
    cron: str = ""
    start: str = ""
    end: str = ""
    recurrence: Place | None = None


MANUALLY = Schedule(trigger=MANUAL)


def read_schedule(trigger: Place) -> Schedule:
    """The schedule of a trigger object."""
    if not trigger:
        return Schedule()
    kind = trigger.text("type")
    if kind.lower() == "manual":
        return MANUALLY
    if kind and kind.lower() != "scheduler":
        trigger.get("type").warn("flowspec.trigger_type", type=kind[:64])
        return Schedule()
    if delay := trigger.integer("delaySeconds"):
        trigger.get("delaySeconds").warn("flowspec.delay", seconds=delay)
    start, end = _moment(trigger.get("startTime")), _moment(trigger.get("endTime"))
    if start and end and end < start:
        trigger.get("endTime").warn("flowspec.period_empty")
    return Schedule(
        cron=_cron(trigger.get("cron")),
        start=str(start) if start and start.year > 1970 else "",
        end=str(end) if end and end.year < 9999 else "",
        recurrence=trigger.get("recurrence"),
    )


def _cron(place: Place) -> str:
    text = place.as_text().strip()
    if not text:
        return ""
    try:
        canonical = cron.parse(text).text
    except cron.CronError as error:
        place.error("flowspec.cron", text=text[:200], reason=error.reason.as_json())
        return ""
    if len(canonical) > 255:
        place.error("flowspec.too_long", most=255)
    return canonical


def _moment(place: Place) -> datetime | None:
    """A local time: ``2023-01-01 00:00:00``, with or without ``T``, seconds, time or offset."""
    text = place.as_text().strip()
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        place.error("flowspec.time", text=text[:64])
        return None
    if moment.tzinfo is not None:
        place.warn("flowspec.offset_ignored", text=text[:64])
    return moment.replace(tzinfo=None, microsecond=0)


def read_settings(node: Place, strategy: Place, schedule: Schedule) -> dict[str, Any]:
    """The fields of a NodeDefinition that say how it runs: the node's own, else those of its workflow's strategy."""
    rerun_times, rerun_interval = _reruns(node, strategy)
    recurrence = (
        _either(node, strategy, "recurrence", "recurrenceType") or schedule.recurrence or node.get("recurrence")
    )
    return {
        "instance_mode": _choice(_either(node, strategy, "instanceMode"), _INSTANCE_MODES, "T+1"),
        "recurrence": _recurrence(recurrence),
        "rerun_mode": _choice(_either(node, strategy, "rerunMode"), _RERUN_MODES, "AllAllowed"),
        "rerun_times": rerun_times,
        "rerun_interval": rerun_interval,
        "timeout": _timeout(node, strategy),
        "priority": _priority(_either(node, strategy, "priority")),
        "max_parallel": _max_parallel(_either(node, strategy, "maxParallelInstances")),
        "misfire_policy": _choice(_either(node, strategy, "misfirePolicy"), _MISFIRES, "All"),
    }


def _either(node: Place, strategy: Place, *keys: str) -> Place:
    """The node's own value, else that of the strategy."""
    return node.get(*keys) or strategy.get(*keys)


def _choice(place: Place, known: Mapping[str, str], default: str) -> str:
    text = place.as_text().strip()
    if not text:
        return default
    chosen = known.get(text.lower().replace("_", "").replace("-", ""))
    if chosen is None:
        place.error("flowspec.choice", given=text[:64], known=sorted(set(known.values())))
        return default
    return chosen


def _recurrence(place: Place) -> str:
    chosen = _choice(place, _RECURRENCES, "Normal")
    if place and place.as_text().strip().lower() == "noneauto":
        place.warn("flowspec.none_auto")
    return chosen


def _reruns(node: Place, strategy: Place) -> tuple[int, int]:
    """Number of automatic reruns and the seconds between them."""
    at_times, at_interval = _either(node, strategy, "rerunTimes"), _either(node, strategy, "rerunInterval")
    times = at_times.as_integer() or 0
    if times > MOST_RERUNS:
        at_times.warn("flowspec.rerun_times", given=times, most=MOST_RERUNS)
        times = MOST_RERUNS
    milliseconds = at_interval.as_integer()
    if not milliseconds:
        return times, DEFAULT_RERUN_INTERVAL
    least, most = RERUN_INTERVALS
    seconds = milliseconds // 1000
    interval = min(max(seconds, least), most)
    if interval != seconds:
        at_interval.warn("flowspec.rerun_interval", given=milliseconds, used=interval * 1000)
    return times, interval


def _timeout(node: Place, strategy: Place) -> int:
    owner = node if node.get("timeout") else strategy
    at = owner.get("timeout")
    timeout = at.as_integer() or 0
    unit = owner.text("timeoutUnit").lower()
    if unit not in _SECONDS:
        owner.get("timeoutUnit").error("flowspec.choice", given=unit[:64], known=["SECONDS", "MINUTES", "HOURS"])
        return 0
    seconds = timeout * _SECONDS[unit]
    if seconds > 2**31 - 1:
        at.error("flowspec.out_of_range", least=0, most=(2**31 - 1) // _SECONDS[unit])
    return seconds


def _max_parallel(place: Place) -> int:
    most = place.as_integer() or 0
    if most > MOST_PARALLEL:
        place.warn("flowspec.max_parallel", given=most, most=MOST_PARALLEL)
    return min(most, MOST_PARALLEL)


def _priority(place: Place) -> int:
    priority = place.as_integer()
    if priority is None:
        return 1
    if priority not in PRIORITIES:
        place.warn("flowspec.priority", given=priority, known=list(PRIORITIES))
        return 1
    return priority
