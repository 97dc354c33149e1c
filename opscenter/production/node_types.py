"""Node types: what each is called on the wire and how it behaves. A type = this declaration + a runner (engine.runners)."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class NodeType:
    """A declaration.

    Attributes:
        code: our own short name, stored with tasks and instances.
        wire: the APIs' TaskType / ProgramType and FlowSpec's runtime.command (spec/openapi.md 7).
        number: DataWorks' numeric node type (spec/opscenter.md 6.3); None for one that DataWorks does not have.
        needs_worker: whether an instance must be executed; others succeed where their conditions are met.
        has_code: whether the node carries a script.
        needs_data_source: whether it runs on a database that it names.
        calls: the courier runs it: it counts as running, and takes neither a worker nor a slot.
    """

    code: str
    wire: str
    number: int | None
    name: Promise
    needs_worker: bool
    has_code: bool
    needs_data_source: bool = False
    calls: bool = False


VIRTUAL = NodeType("virtual", "VIRTUAL", 99, _("Zero-load"), needs_worker=False, has_code=False)
HTTP_TRIGGER = NodeType(
    "http_trigger", "SCHEDULER_TRIGGER", 1114, _("HTTP Trigger"), needs_worker=False, has_code=False
)
SHELL = NodeType("shell", "DIDE_SHELL", 6, _("Shell"), needs_worker=True, has_code=True)
PYTHON = NodeType("python", "PYTHON", 1322, _("Python"), needs_worker=True, has_code=True)
SQL = NodeType("sql", "SQL", None, _("SQL"), needs_worker=True, has_code=True, needs_data_source=True)
HTTP = NodeType("http", "HTTP", 100001, _("HTTP"), needs_worker=False, has_code=True, calls=True)
"""Calls a service, and asks it for the result where that takes long. DataWorks has no such node: the number is ours."""

NODE_TYPES: dict[str, NodeType] = {t.code: t for t in (VIRTUAL, HTTP_TRIGGER, SHELL, PYTHON, SQL, HTTP)}

_BY_WIRE = {t.wire: t for t in NODE_TYPES.values()} | {"VIRTUAL_NODE": VIRTUAL, "SHELL": SHELL, "POSTGRESQL": SQL}


def by_wire(command: str) -> NodeType | None:
    """The type for a name of the wire, in any case; None for one that is not run here (yet)."""
    return _BY_WIRE.get(command.upper())
