"""An extension that guards freezing in a cast's workspace, and what is asked of it."""

import json
from typing import Any
from urllib.parse import urlencode

from django.test import RequestFactory

from extensions import lifecycle
from extensions.models import Check, Enablement, Extension
from extensions.tokens import token_of
from opscenter.openapi.middleware import OpenApiMiddleware
from opscenter.operations import door
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import Cast
from tests.openapi.signer import FORM
from tests.openapi.wire import Answer, Wire, console


class Guard:
    """An online extension, mandatory in the workspace; its owner is no member of it."""

    def __init__(self, cast: Cast, name: str = "Guard", **settings: Any) -> None:
        self.cast = cast
        self.owner = cast.user(f"{name.lower()}-owner")
        self.extension = Extension.objects.create(
            tenant=cast.tenant,
            owner=self.owner,
            name=name,
            description="Asks before freezing",
            webhook_url="https://guard.example.com/hook",
            points=["freeze-node", "unfreeze-node"],
            test_workspace=cast.workspace,
            detail_url="https://guard.example.com/details",
            status=Extension.Status.ONLINE,
        )
        self.enablement = Enablement.objects.create(
            extension=self.extension, workspace=cast.workspace, is_enabled=True, **settings
        )

    @property
    def code(self) -> str:
        return self.extension.code

    def wire(self) -> Wire:
        """A client with the owner's key."""
        return Wire(self.owner)

    def narrow_wire(self) -> Wire:
        """A client with a key that was made for the extension."""
        return Wire.of(*lifecycle.new_key(self.extension))

    def asked(self, task: Task | None = None, by: User | None = None) -> Check:
        """An open check: somebody wants to freeze a task."""
        asker = Actor(user=by or self.cast.operator, face=AuditEntry.Face.CONSOLE)
        task = task or self.cast.task()
        done = door.apply("freeze_task", asker, task.workspace, task.environment, [task.pk])
        assert done.status == Operation.Status.CHECKING
        return Check.objects.select_related("event", "extension").get(
            event__operation=done.pk, extension=self.extension
        )


def verdict(check: Check, result: str = "OK", **more: str) -> dict[str, str]:
    """The parameters of UpdateWorkbenchEventResult."""
    return {"MessageId": str(check.event_id), "ExtensionCode": check.extension.code, "CheckResult": result} | more


def bearer(check: Check) -> str:
    """The Authorization header of the check's callback."""
    return f"Bearer {token_of(check)}"


def call_back(
    check: Check | str,
    body: bytes | str | dict[str, Any] = b"",
    *,
    authorization: str | None = None,
    content_type: str = FORM,
    method: str = "POST",
    query: str = "",
) -> Answer:
    """A request to the callback URL of a check, or to a path; a dict is sent as a form. With the right token, if none is given."""
    path = check if isinstance(check, str) else f"/callbacks/checks/{check.pk}"
    if authorization is None and isinstance(check, Check):
        authorization = bearer(check)
    sent = urlencode(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    headers = {"Authorization": authorization} if authorization else {}
    request = RequestFactory().generic(method, f"{path}?{query}", sent, content_type=content_type, headers=headers)
    response = OpenApiMiddleware(console)(request)
    return Answer(response.status_code, json.loads(response.content), dict(response.headers))
