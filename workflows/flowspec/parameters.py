"""Scheduling parameters of a document as the text that tasks keep: ``name=expression``, separated by spaces."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from opscenter.base.reasons import Invalid
from opscenter.production.rules.parameters import is_name, parse_assignments, written
from workflows.flowspec.place import Place
from workflows.flowspec.sections import Sections

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}|[1-9][0-9]{0,2}")
_FROM_NODES = frozenset({"nodeoutput", "passthrough"})
_POSITIONAL = "nokvvariableexpression"
_WORKFLOW, _WORKSPACE = "workflow", "workspace"
"""Scopes that are not the node's own, in small letters."""


@dataclass
class Scopes:
    """Parameters that a document's nodes share.

    Attributes:
        has_workflow: where there is none, what is of its scope stays the node's own.
        workspace: names of the parameters that the workspace has.
        workflow: assignments of the workflow's parameters by name, as they are found.
    """

    has_workflow: bool
    workspace: Collection[str] = ()
    workflow: dict[str, str] = field(default_factory=dict)

    def read_workflow(self, script: Place, sections: Sections) -> None:
        """The workflow's own parameters, and the variables of its scope that the document lists."""
        if not self.has_workflow:
            return
        place = script.get("parameters")
        if isinstance(place.value, str):
            self.workflow.update(_split(place))
        else:
            for item in place.as_items():
                self.workflow.update(_variable(sections.resolve(item, "variables"), 0))
        for variable in sections.all("variables"):
            if variable.text("scope").lower() == _WORKFLOW and variable.text("type").lower() != _POSITIONAL:
                self.workflow.update(_variable(variable, 0))
        for name in [name for name in self.workflow if not is_name(name)]:
            del self.workflow[name]  # a position means nothing to a workflow

    def own(self, variable: Place, found: dict[str, str]) -> dict[str, str]:
        """Of the assignments that a variable of a node makes: those that are the node's own."""
        scope = variable.text("scope").lower()
        if scope == _WORKSPACE:
            for name in found:
                if name not in self.workspace:
                    variable.warn("flowspec.workspace_parameter", name=name)
            return {name: text for name, text in found.items() if name not in self.workspace}
        if scope == _WORKFLOW and self.has_workflow:
            return {
                name: text
                for name, text in found.items()
                if not is_name(name) or self.workflow.setdefault(name, text) != text
            }
        return found

    def workflow_text(self) -> str:
        """The workflow's parameters as the text that is kept."""
        return " ".join(self.workflow.values())


def read_parameters(script: Place, sections: Sections, scopes: Scopes) -> str:
    """The parameters of a node's script: a list of variables (inline or by reference), or the text itself."""
    place = script.get("parameters")
    if isinstance(place.value, str):
        _split(place)
        return place.value.strip()
    found: dict[str, str] = {}
    for item in place.as_items():
        variable = sections.resolve(item, "variables")
        found.update(scopes.own(variable, _variable(variable, len(found))))
    return " ".join(found.values())


def _split(place: Place) -> dict[str, str]:
    """The assignments of a text by name; one that cannot be read is an error."""
    try:
        return {name: _assignment(place, name, value) for name, value in parse_assignments(place.as_text()).items()}
    except Invalid as error:
        place.error("flowspec.parameters", reason=error.reason.as_json())
        return {}


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
    text = written(name, value)
    if text is None:
        place.error("flowspec.parameter_quotes", name=name)
    return text or name
