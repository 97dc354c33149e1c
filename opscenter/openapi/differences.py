"""What a request to update a task gives that is not as the task has it."""

from collections.abc import Mapping
from typing import Any

from opscenter.production.rules import cron

Value = Any
_DEEPEST = 20
"""Levels of an object that are looked at; no task has as many."""


def first_difference(given: Value, present: Value) -> str | None:
    """The first member that differs from the present object, by its path; None when none does.

    Clients send whole tasks, and empty lists for what they do not set (spec/openapi.md 2.3): what is empty was not given.
    Numbers may come as text; lists in any order. Of several spellings that mean the same, ``present`` holds a frozenset.
    """
    return _differs(_filled(given), present, "")


def _filled(value: Value, depth: int = _DEEPEST) -> Value:
    """Without what is empty; None when nothing is left."""
    if isinstance(value, Mapping) and depth:
        inner = {name: kept for name, one in value.items() if (kept := _filled(one, depth - 1)) is not None}
        return inner or None
    if isinstance(value, list) and depth:
        return [kept for one in value if (kept := _filled(one, depth - 1)) is not None] or None
    return None if value == "" else value


def _differs(given: Value, present: Value, path: str) -> str | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        if not isinstance(present, Mapping):
            return path
        inner = (_differs(value, present.get(name), f"{path}.{name}".lstrip(".")) for name, value in given.items())
        return next((found for found in inner if found is not None), None)
    if isinstance(given, list):
        return None if isinstance(present, list) and _same_members(given, present) else path
    return None if _same(path, given, present) else path


def _same_members(given: list[Value], present: list[Value]) -> bool:
    left = list(present)
    for one in given:
        match = next((other for other in left if _differs(one, other, "item") is None), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def _same(path: str, given: Value, present: Value) -> bool:
    if isinstance(present, frozenset):
        return str(given) in present
    if path == "Trigger.Cron" and isinstance(present, str):
        return _canonical(str(given)) == _canonical(present)
    return present is not None and not isinstance(present, (Mapping, list)) and str(given) == str(present)


def _canonical(text: str) -> str:
    try:
        return cron.parse(text).text
    except cron.CronError:
        return text
