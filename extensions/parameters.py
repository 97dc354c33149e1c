"""Extension parameters: what a developer sets by ``key=value`` lines (spec/extensions.md 6.1).

Keys that begin with ``extension.`` change what the platform does; all others are the extension's own, and are given back
as they are.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from extensions.points import POINTS
from opscenter.base.reasons import Invalid, sentence
from opscenter.production.node_types import NODE_TYPES

LONGEST = 4000
MANUAL_PASS = "extension.manualPass.enabled"  # noqa: S105  no password
_OURS = "extension."
_KEY = re.compile(r"[A-Za-z0-9_.\-]{1,128}")
_OFF = re.compile(r"extension\.project(?:\.(?P<point>[a-z\-]+))?\.disabled(?P<append>\.append)?")
_OF_TYPE = re.compile(r"extension\.fileType\.(?P<type>[A-Za-z0-9_]+)\.(?P<point>[a-z\-]+)\.enabled")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True)
class Parameters:
    """What the lines mean to the platform.

    Attributes:
        off_in: workspaces in which the extension is off; at an extension point, or with the key "" at all of them.
        types: by node type and extension point, whether it is asked.
        manual_pass: whether its checks may be marked as passed; None when no line says.
        custom: the extension's own.
    """

    off_in: Mapping[str, frozenset[int]] = field(default_factory=dict)
    types: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    manual_pass: bool | None = None
    custom: Mapping[str, str] = field(default_factory=dict)

    def listens(self, workspace: int, point: str, types: Collection[str] | None) -> bool:
        """Whether the extension is asked at a point in a workspace about these node types; None: about any."""
        if workspace in self.off_in.get("", ()) or workspace in self.off_in.get(point, ()):
            return False
        return not types or any(self.types.get((one, point), True) for one in types)


@lru_cache(maxsize=256)
def read(text: str) -> Parameters:
    """The parameters of a setting's lines. Of a repeated key the last one counts.

    Raises:
        Invalid: a line that cannot be; the reason names it.
    """
    if len(text) > LONGEST:
        raise Invalid("extension.too_long", field="parameters", most=LONGEST)
    lists: dict[str, frozenset[int]] = {}
    appended: dict[str, frozenset[int]] = {}
    types: dict[tuple[str, str], bool] = {}
    manual_pass: bool | None = None
    custom: dict[str, str] = {}
    for number, key, value in _lines(text):
        if key == MANUAL_PASS:
            manual_pass = _boolean(number, key, value)
        elif off := _OFF.fullmatch(key):
            into = appended if off["append"] else lists
            into[_point(number, off["point"]) if off["point"] else ""] = _ids(number, key, value)
        elif of_type := _OF_TYPE.fullmatch(key):
            types[_type(number, of_type["type"]), _point(number, of_type["point"])] = _boolean(number, key, value)
        elif key.startswith(_OURS):
            raise Invalid("parameters.unknown", field="parameters", line=number, key=key)
        else:
            custom[key] = value
    off_in = {key: lists.get(key, frozenset()) | appended.get(key, frozenset()) for key in lists | appended}
    return Parameters(off_in, types, manual_pass, custom)


def without_manual_pass(text: str) -> str:
    """The lines but for those that say whether checks may be marked as passed; that has a place of its own."""
    lines = [line.strip() for line in text.splitlines()]
    return "\n".join(line for line in lines if line and line.split("=", 1)[0].strip() != MANUAL_PASS)


def setting(text: str, *, manual_pass: bool) -> str:
    """The whole setting, as the API gives it back."""
    return "\n".join(part for part in (text, f"{MANUAL_PASS}=true" if manual_pass else "") if part)


def _lines(text: str) -> list[tuple[int, str, str]]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not _KEY.fullmatch(key) or not value.isprintable():
            raise Invalid("parameters.line", field="parameters", line=number)
        found.append((number, key, value))
    return found


def _ids(number: int, key: str, value: str) -> frozenset[int]:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise Invalid("parameters.ids", field="parameters", line=number, key=key)
    return frozenset(int(part) for part in parts)


def _boolean(number: int, key: str, value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise Invalid("parameters.boolean", field="parameters", line=number, key=key)
    return _BOOLEANS[value.lower()]


def _point(number: int, code: str) -> str:
    if code not in POINTS:
        raise Invalid("parameters.point", field="parameters", line=number, point=code, points=", ".join(POINTS))
    return code


def type_of(name: str) -> str | None:
    """Our code of a node type that is named by DataWorks' number, or by its name in the APIs."""
    for one in NODE_TYPES.values():
        if name.upper() == one.wire or name == str(one.number):
            return one.code
    return None


def _type(number: int, name: str) -> str:
    code = type_of(name)
    if code is None:
        names = ", ".join(f"{one.wire} ({one.number})" if one.number else one.wire for one in NODE_TYPES.values())
        raise Invalid("parameters.type", field="parameters", line=number, type=name, types=names)
    return code


@sentence("parameters.line")
def _line(params: Mapping[str, Any]) -> str:
    return _("Line %(line)s is no “key=value”. Keys are letters, digits, dots, hyphens and underscores.") % params


@sentence("parameters.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    known = (
        "extension.project.disabled, extension.project.{eventCode}.disabled, both also with .append, "
        "extension.fileType.{fileType}.{eventCode}.enabled, extension.manualPass.enabled"
    )
    return _("Line %(line)s: there is no parameter “%(key)s”. Those of the platform are: %(known)s.") % {
        **params,
        "known": known,
    }


@sentence("parameters.ids")
def _ids_words(params: Mapping[str, Any]) -> str:
    return _("Line %(line)s: “%(key)s” takes ids of workspaces, with commas between.") % params


@sentence("parameters.boolean")
def _boolean_words(params: Mapping[str, Any]) -> str:
    return _("Line %(line)s: “%(key)s” is true or false.") % params


@sentence("parameters.point")
def _point_words(params: Mapping[str, Any]) -> str:
    return _("Line %(line)s: there is no extension point “%(point)s”. There are: %(points)s.") % params


@sentence("parameters.type")
def _type_words(params: Mapping[str, Any]) -> str:
    return _("Line %(line)s: there is no node type “%(type)s”. There are: %(types)s.") % params
