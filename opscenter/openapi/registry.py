"""The operations that exist on the wire, each listed once by the module that does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opscenter.openapi.errors import fault
from opscenter.openapi.fields import Request
from opscenter.operations.actor import Actor
from opscenter.workspaces.models import AccessKey
from opscenter.workspaces.roles import Permission

VERSIONS = ("2020-05-18", "2024-05-18")

Args = dict[str, Any]
Handler = Callable[[Actor, Args], Mapping[str, Any]]


@dataclass(frozen=True)
class ApiOperation:
    """One operation: what it takes, who may call it, and what does it.

    Attributes:
        permission: what the caller needs in the workspace of what is named; None where no role decides but the key
            itself, or where everybody sees their own. ``operations`` holds it; a test walks over all of them.
        handler: its answer is the body without RequestId.
        answers_checks: also for keys that were made for an extension, which may call nothing else.
    """

    version: str
    action: str
    request: type[Request]
    permission: Permission | None
    handler: Handler
    answers_checks: bool = False

    def admit(self, scope: AccessKey.Scope) -> None:
        """Raise WireError if keys of this scope may not call it."""
        if scope is not AccessKey.Scope.ALL and not self.answers_checks:
            theirs = ", ".join(dict.fromkeys(one.action for one in all_operations() if one.answers_checks))
            raise fault("Forbidden.AccessKey.Scope", action=self.action, theirs=theirs)


_operations: dict[tuple[str, str], ApiOperation] = {}


def operation(
    version: str,
    action: str,
    request: type[Request],
    permission: Permission | None,
    *,
    answers_checks: bool = False,
) -> Callable[[Handler], Handler]:
    """Register the function that answers an action of a version; see ApiOperation."""

    def register(handler: Handler) -> Handler:
        _operations[(version, action)] = ApiOperation(version, action, request, permission, handler, answers_checks)
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
