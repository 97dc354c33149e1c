"""The kinds of request parameters, as serializer fields that read every form in which clients send them.

Values come as text (query, form), or as JSON values (JSON body, members of JSON-text objects). Lists and objects come
as JSON text, as JSON, or flattened (``Ids.1=..&Ids.2=..``). An empty value means: not given (spec/openapi.md 2.3).
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from rest_framework import serializers
from rest_framework.fields import empty

from opscenter.openapi.errors import WireError, invalid, missing
from opscenter.production.models import Environment

_INTEGER = re.compile(r"-?[0-9]{1,19}")
_FEWEST_MILLISECONDS = 10**11
"""Anything smaller is before 1973: most likely seconds by mistake."""
_MOST_MILLISECONDS = 253_370_764_800_000
"""The year 9999."""


class Request(serializers.Serializer[Any]):
    """The parameters of one operation. Field names are the wire's."""

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        """The validated parameters; those not given are None unless they have a default.

        Raises:
            WireError: ``Missing{Name}`` or ``Invalid{Name}`` for the first parameter that is wrong.
        """
        request = cls(data={name: value for name, value in params.items() if value not in ("", None)})
        if not request.is_valid():
            raise _first_error(request.errors)
        return dict.fromkeys(request.fields) | request.validated_data


def _first_error(errors: Mapping[Any, Any], prefix: str = "") -> WireError:
    """The error of the first wrong parameter; members of objects are named with a dot."""
    name, found = next(iter(errors.items()))
    path = f"{prefix}{name + 1 if isinstance(name, int) else name}"  # items are counted from 1, as in Name.1
    if isinstance(found, Mapping):
        return _first_error(found, f"{path}.")
    first = found[0]
    if getattr(first, "code", "") in ("required", "null", "blank"):
        return missing(path)
    return invalid(path, str(first))


class Integer(serializers.Field[int, Any, int, Any]):
    """A decimal number of 64 bits; with ``bits=32`` of 32."""

    default_error_messages = {"invalid": "It must be a decimal integer of {bits} bits, from {low} to {high}."}

    def __init__(self, bits: int = 64, low: int | None = None, high: int | None = None, **kwargs: Any) -> None:
        self._bits = bits
        self._low = -(2 ** (bits - 1)) if low is None else low
        self._high = 2 ** (bits - 1) - 1 if high is None else high
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        text = str(data) if isinstance(data, (int, str)) and not isinstance(data, bool) else ""
        if not _INTEGER.fullmatch(text) or not self._low <= int(text) <= self._high:
            self.fail("invalid", bits=self._bits, low=self._low, high=self._high)
        return int(text)


class Milliseconds(Integer):
    """A moment as a Unix timestamp in milliseconds."""

    default_error_messages = {"milliseconds": "It must be a Unix timestamp in milliseconds, 13 digits."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(64, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        number = super().to_internal_value(data)
        if not _FEWEST_MILLISECONDS <= number < _MOST_MILLISECONDS:
            self.fail("milliseconds")
        return datetime.fromtimestamp(number // 1000, UTC).replace(microsecond=number % 1000 * 1000)


class Boolean(serializers.Field[bool, Any, bool, Any]):
    """true or false in any case: Python's clients send ``True``."""

    default_error_messages = {"invalid": "It must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        value = {"true": True, "false": False}.get(str(data).lower())
        if value is None:
            self.fail("invalid")
        return value


class Word(serializers.Field[str, Any, str, Any]):
    """One of a few words, compared in any case; the result is the word as we spell it."""

    default_error_messages = {"invalid": "It must be one of: {words}."}

    def __init__(self, *words: str, **kwargs: Any) -> None:
        self._words = {word.lower(): word for word in words}
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        word = self._words.get(str(data).lower())
        if word is None:
            self.fail("invalid", words=", ".join(self._words.values()))
        return word


class Env(Word):
    """``Prod`` or ``Dev``; the 2020 API writes them in capitals."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(*Environment.values, **kwargs)


class Text(serializers.CharField):
    """Text; numbers of a JSON body count as text too."""

    def __init__(self, max_length: int = 1000, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)


class Day(serializers.Field[date, Any, date, Any]):
    """A date as ``yyyy-MM-dd``, with or without `` 00:00:00``."""

    default_error_messages = {"invalid": "It must be a date like 2026-11-20 or 2026-11-20 00:00:00."}

    def to_internal_value(self, data: Any) -> date:
        for pattern in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
            try:
                return datetime.strptime(str(data).strip(), pattern).date()
            except ValueError:
                continue
        self.fail("invalid")


class TimeOfDay(serializers.Field[time, Any, time, Any]):
    """A time of day as ``hh:mm:ss``."""

    default_error_messages = {"invalid": "It must be a time of day like 08:30:00."}

    def to_internal_value(self, data: Any) -> time:
        try:
            return datetime.strptime(str(data).strip(), "%H:%M:%S").time()
        except ValueError:
            self.fail("invalid")


class Items(serializers.ListField):
    """A list as JSON text, as JSON, or flattened into ``Name.1``, ``Name.2``; an empty one counts as not given."""

    default_error_messages = {"not_a_list": "It must be a list as JSON text, like [1,2]."}

    def __init__(self, child: Any, most: int = 1000, **kwargs: Any) -> None:
        super().__init__(child=child, max_length=most, **kwargs)

    def get_value(self, dictionary: Any) -> Any:
        name = str(self.field_name)
        value = dictionary.get(name, empty)
        if value is empty:
            part = re.compile(re.escape(name) + r"\.([0-9]{1,6})")
            numbered = {int(m[1]): dictionary[key] for key in dictionary if (m := part.fullmatch(key))}
            value = [numbered[number] for number in sorted(numbered)]
        value = _from_json(value)
        return empty if value in (None, []) else value

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            self.fail("not_a_list")
        return super().to_internal_value(data)


class Structure(serializers.Serializer[Any]):
    """An object as JSON text or as JSON."""

    def get_value(self, dictionary: Any) -> Any:
        return _from_json(dictionary.get(str(self.field_name), empty))

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError("It must be an object as JSON text.")
        return super().to_internal_value({key: value for key, value in data.items() if value not in ("", None)})


class OpenStructure(Structure):
    """An object whose other members are kept as they came, for the operation to look at."""

    def to_internal_value(self, data: Any) -> Any:
        read = super().to_internal_value(data)
        return {name: value for name, value in data.items() if name not in self.fields} | read


class Json(serializers.Field[Any, Any, Any, Any]):
    """An object or a list as JSON text or as JSON, taken as it is."""

    default_error_messages = {"invalid": "It must be JSON text."}

    def get_value(self, dictionary: Any) -> Any:
        return _from_json(dictionary.get(str(self.field_name), empty))

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, (Mapping, list)):
            self.fail("invalid")
        return data


def _from_json(value: Any) -> Any:
    """What JSON text holds; text that is no JSON stays text, for the field to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The day a timestamp lies in, for a tenant."""
    return moment.astimezone(zone).date()
