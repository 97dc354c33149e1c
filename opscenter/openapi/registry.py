"""The operations that exist on the wire, each listed once by the module that does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opscenter.openapi.errors import fault
from opscenter.openapi.fields import Request
from opscenter.operations.actor import Actor

VERSIONS = ("2020-05-18", "2024-05-18")

Args = dict[str, Any]
Handler = Callable[[Actor, Args], Mapping[str, Any]]


@dataclass(frozen=True)
class ApiOperation:
    """One operation: what it takes, and what does it. The handler's answer is the body without RequestId."""

    version: str
    action: str
    request: type[Request]
    handler: Handler


_operations: dict[tuple[str, str], ApiOperation] = {}


def operation(version: str, action: str, request: type[Request]) -> Callable[[Handler], Handler]:
    """Register the function that answers an action of a version."""

    def register(handler: Handler) -> Handler:
        _operations[(version, action)] = ApiOperation(version, action, request, handler)
        return handler

    return register


def find(version: str, action: str) -> ApiOperation:
    """The operation, or the error that says that there is none."""
    if version not in VERSIONS:
        raise fault("InvalidVersion")
    found = _operations.get((version, action))
    if found is None:
        raise fault("InvalidApi.NotFound", action=action[:100], version=version)
    return found


def all_operations() -> list[ApiOperation]:
    """Every operation, by version and name."""
    return [_operations[key] for key in sorted(_operations)]
