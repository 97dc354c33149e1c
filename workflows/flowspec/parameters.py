"""Scheduling parameters of a document as the text that tasks keep: ``name=expression``, separated by spaces."""

import re

from opscenter.base.reasons import Invalid
from opscenter.production.rules.parameters import parse_assignments
from workflows.flowspec.place import Place
from workflows.flowspec.sections import Sections

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}|[1-9][0-9]{0,2}")
_BARE = re.compile(r"[^\s=\"']+")
_FROM_NODES = frozenset({"nodeoutput", "passthrough"})
_POSITIONAL = "nokvvariableexpression"


def read_parameters(script: Place, sections: Sections) -> str:
    """The parameters of a script: a list of variables (inline or by reference), or the text itself."""
    place = script.get("parameters")
    if isinstance(place.value, str):
        text = place.value.strip()
    else:
        found: dict[str, str] = {}
        for item in place.as_items():
            found.update(_variable(sections.resolve(item, "variables"), len(found)))
        text = " ".join(found.values())
    try:
        parse_assignments(text)
    except Invalid as error:
        place.error("flowspec.parameters", reason=error.reason.as_json())
    return text


def _variable(variable: Place, before: int) -> dict[str, str]:
    """The assignments that a variable makes, by name."""
    if not variable:
        return {}
    kind = variable.text("type").lower()
    at_value = variable.get("value")
    value = at_value.as_text().strip()
    if kind == _POSITIONAL:  # "a b c" for $1 $2 $3
        return {
            str(position): _assignment(at_value, str(position), part)
            for position, part in enumerate(value.split(), before + 1)
        }
    at_name = variable.get("name", "id")
    name = at_name.as_text().strip()
    if not _NAME.fullmatch(name):
        (at_name or variable).error("flowspec.parameter_name", name=name[:128])
        return {}
    if kind in _FROM_NODES:
        variable.warn("flowspec.parameter_type", name=name, type=variable.text("type"))
        return {}
    return {name: _assignment(at_value, name, value)}


def _assignment(place: Place, name: str, value: str) -> str:
    if _BARE.fullmatch(value):
        return f"{name}={value}"
    quote = '"' if '"' not in value else "'"
    if quote in value:
        place.error("flowspec.parameter_quotes", name=name)
    return f"{name}={quote}{value}{quote}"
