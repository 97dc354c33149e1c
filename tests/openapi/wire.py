"""Calls to the face, below the web server: signed as clients sign, answered by the real middleware and view."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from opscenter.base import clock
from opscenter.openapi.middleware import OpenApiMiddleware
from opscenter.openapi.signature import Sent
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, User
from tests.openapi import signer

V2024, V2020 = "2024-05-18", "2020-05-18"


@dataclass
class Answer:
    """What came back."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def code(self) -> str | None:
        return self.body.get("Code")

    @property
    def message(self) -> str:
        return self.body["Message"]


class Wire:
    """A client with one access key."""

    def __init__(self, user: User) -> None:
        self.key: AccessKey
        self.key, self.secret = access_keys.create(user, "tests")

    @classmethod
    def of(cls, key: AccessKey, secret: str) -> "Wire":
        """A client with a key that exists."""
        made = cls.__new__(cls)
        made.key, made.secret = key, secret
        return made

    def call(self, action: str, version: str = V2024, **params: Any) -> dict[str, Any]:
        """The body of a call that must succeed."""
        answer = self.try_call(action, version, **params)
        assert answer.status == 200, answer.body
        assert "Code" not in answer.body
        return answer.body

    def try_call(self, action: str, version: str = V2024, **params: Any) -> Answer:
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
        return self.send(self.sign(action, version, form=form))

    def sign(self, action: str, version: str = V2024, *, v1: bool = False, **how: Any) -> Sent:
        scheme = signer.v1 if v1 else signer.acs3
        how.setdefault("now", clock.now())
        return scheme(action, version, self.key.key_id, self.secret, **how)

    def send(self, sent: Sent, path: str = "/") -> Answer:
        return send(sent, path)


def send(sent: Sent, path: str = "/") -> Answer:
    """Put a request through the middleware."""
    response = OpenApiMiddleware(console)(request_of(sent, path))
    return Answer(response.status_code, json.loads(response.content), dict(response.headers))


def request_of(sent: Sent, path: str = "/") -> HttpRequest:
    headers = dict(sent.headers)
    content_type = headers.pop("content-type", "")
    return RequestFactory().generic(
        sent.method, f"{path}?{sent.query}", sent.body, content_type=content_type, headers=headers
    )


def console(request: HttpRequest) -> HttpResponse:
    """What stands behind the middleware."""
    return HttpResponse(json.dumps({"console": True}), status=418)
