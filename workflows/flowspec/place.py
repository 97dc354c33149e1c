"""A value of a document together with where it stands: reads leniently, and knows its path when it has to complain."""

import re
from dataclasses import dataclass
from typing import Any

from workflows.flowspec.problems import Findings

_PLAIN_KEY = re.compile(r"[^\s.\[\]\"]+")
MOST_INTEGER = 2**31 - 1


def key_path(path: str, key: str) -> str:
    """The path of a member of an object."""
    if not _PLAIN_KEY.fullmatch(key):
        safe = key[:64].encode("unicode_escape").decode("ascii")
        return f'{path}["{safe}"]'
    return f"{path}.{key}" if path else key


def index_path(path: str, index: int) -> str:
    """The path of an item of a list."""
    return f"{path}[{index}]"


def kind_of(value: Any) -> str:
    """What JSON calls the value's type."""
    names = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


@dataclass(frozen=True)
class Place:
    """A JSON value, its path, and where to report what is wrong with it."""

    value: Any
    path: str
    findings: Findings

    def __bool__(self) -> bool:
        """Whether there is anything: absent and null are the same in these documents."""
        return self.value is not None

    @property
    def is_object(self) -> bool:
        return isinstance(self.value, dict)

    def error(self, code: str, **params: Any) -> None:
        """Refuse the document because of this value."""
        self.findings.error(self.path or "", code, **params)

    def warn(self, code: str, **params: Any) -> None:
        """Tell that this value was read otherwise than written."""
        self.findings.warning(self.path, code, **params)

    def get(self, *keys: str) -> "Place":
        """The member under the first of these keys that is there and not null; an empty place otherwise."""
        if isinstance(self.value, dict):
            for key in keys:
                if self.value.get(key) is not None:
                    return Place(self.value[key], key_path(self.path, key), self.findings)
        return Place(None, key_path(self.path, keys[0]), self.findings)

    def object(self, *keys: str) -> "Place":
        """The object under a key; a value of another shape is an error."""
        return self.get(*keys).as_object()

    def as_object(self) -> "Place":
        """This object; a value of another shape is an error and reads as an empty place."""
        return self._of(dict)

    def items(self, *keys: str) -> list["Place"]:
        """The items of the list under a key, nulls left out; a value of another shape is an error."""
        return self.get(*keys).as_items()

    def as_items(self) -> list["Place"]:
        """The items of this list, nulls left out; a value of another shape is an error."""
        value = self._of(list).value or []
        places = [Place(item, index_path(self.path, at), self.findings) for at, item in enumerate(value)]
        return [place for place in places if place]

    def text(self, *keys: str) -> str:
        """The text under a key, stripped; numbers are taken as text, null and absent as empty."""
        return self.get(*keys).as_text().strip()

    def as_text(self) -> str:
        """This value as text; an object, a list or a boolean is an error."""
        if isinstance(self.value, str):
            return self.value
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return str(self.value)
        self._of(str)
        return ""

    def integer(self, *keys: str) -> int | None:
        """The whole number under a key; see ``as_integer``."""
        return self.get(*keys).as_integer()

    def as_integer(self) -> int | None:
        """This value as a whole number from 0 to 2^31 - 1; digits in a string count; None when absent or an error."""
        value = self.value
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.error("flowspec.not_a_number", given=kind_of(self.value))
            return None
        if not 0 <= value <= MOST_INTEGER:
            self.error("flowspec.out_of_range", least=0, most=MOST_INTEGER)
            return None
        return value

    def _of(self, wanted: type) -> "Place":
        if self.value is None or isinstance(self.value, wanted):
            return self
        self.error("flowspec.shape", wanted=kind_of(wanted()), given=kind_of(self.value))
        return Place(None, self.path, self.findings)
