"""The whole product as it is started: its own web server in front of the face."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from opscenter.openapi.signature import Sent
from tests.openapi import signer
from tests.stack import Stack

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as started:
        yield started


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> dict[str, Any]:
    """A tenant of the demo: the address of its workspace and the key of its administrator."""
    return json.loads(stack.manage("demo", "--json"))["tenants"][0]


def sign(tenant: dict[str, Any], stack: Stack, **how: Any) -> Sent:
    how.setdefault("host", f"127.0.0.1:{stack.port}")
    return signer.acs3("GetProject", "2024-05-18", tenant["access_key_id"], tenant["access_key_secret"], **how)


def answer(stack: Stack, sent: Sent, *, chunked: bool = False) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=20)) as connection:
        connection.putrequest(sent.method, f"/?{sent.query}", skip_host=True, skip_accept_encoding=True)
        for name, value in sent.headers.items():
            connection.putheader(name, value)
        if chunked:
            connection.putheader("Transfer-Encoding", "chunked")
            pieces = [sent.body[i : i + 5] for i in range(0, len(sent.body), 5)]
            connection.endheaders(iter(pieces), encode_chunked=True)
        else:
            connection.putheader("Content-Length", str(len(sent.body)))
            connection.endheaders(sent.body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_whole_or_in_chunks(stack: Stack, tenant: dict[str, Any], chunked: bool) -> None:
    """Node sends every body in chunks."""
    sent = sign(tenant, stack, form={"Id": str(tenant["workspace_id"])})
    status, body = answer(stack, sent, chunked=chunked)
    assert (status, body.get("Code")) == (200, None)
    assert body["Project"]["Id"] == tenant["workspace_id"]


def test_no_body_in_chunks(stack: Stack, tenant: dict[str, Any]) -> None:
    """Java sends an empty body in chunks."""
    sent = sign(tenant, stack, query={"Id": str(tenant["workspace_id"])})
    assert answer(stack, sent, chunked=True)[0] == 200


def test_host_with_a_scheme(stack: Stack, tenant: dict[str, Any]) -> None:
    host = f"http://127.0.0.1:{stack.port}"
    status, body = answer(stack, sign(tenant, stack, host=host, query={"Id": str(tenant["workspace_id"])}))
    assert (status, body.get("Code")) == (200, None)


def test_escaped_query(stack: Stack, tenant: dict[str, Any]) -> None:
    """What the server hands on is what was signed, byte for byte."""
    sent = sign(tenant, stack, query={"Id": str(tenant["workspace_id"]), "Nöte": "a+b c/%2F~*"}, escape_names=True)
    assert answer(stack, sent)[0] == 200


def test_refused(stack: Stack, tenant: dict[str, Any]) -> None:
    sent = sign(tenant | {"access_key_secret": "wrong"}, stack)
    status, body = answer(stack, sent)
    assert (status, body["Code"]) == (400, "SignatureDoesNotMatch")


def test_callbacks_leave_no_token_in_the_log(stack: Stack) -> None:
    token = "cbt_" + "x1Y2z3" * 8
    with closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=20)) as connection:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": signer.FORM}
        connection.request("POST", "/callbacks/checks/999999", f"result=OK&token={token}", headers)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["Code"]) == (404, "Invalid.Check.NotExist")
    assert "/callbacks/checks/999999" in stack.log()
    assert token not in stack.log()
