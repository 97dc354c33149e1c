"""Bodies without a length reach Django whole, through the wrapper and through the real server."""

import http.client
import io
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from opscenter.wsgi import MAX_BODY, BufferChunked
from tests.stack import Stack


def call(environ: dict[str, Any]) -> tuple[str, bytes, dict[str, Any]]:
    """Status and body of the answer, and the environ that the application saw."""
    seen: dict[str, Any] = {}
    statuses = []

    def application(inner: dict[str, Any], start: Any) -> list[bytes]:
        seen.update(inner)
        start("200 OK", [])
        return [inner["wsgi.input"].read(int(inner.get("CONTENT_LENGTH") or 0))]

    body = b"".join(BufferChunked(application)(environ, lambda status, headers: statuses.append(status)))
    return statuses[0], body, seen


class Dribble(io.RawIOBase):
    """A socket: gives less than it is asked for."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, most: int = -1) -> bytes:
        piece = b"x" * min(self.left, 1000, most)
        self.left -= len(piece)
        return piece


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "gzip, chunked"])
def test_a_chunked_body_gets_its_length(coding: str) -> None:
    environ = {"REQUEST_METHOD": "POST", "HTTP_TRANSFER_ENCODING": coding, "wsgi.input": Dribble(150_500)}
    status, body, seen = call(environ)
    assert status == "200 OK"
    assert body == b"x" * 150_500
    assert seen["CONTENT_LENGTH"] == "150500"
    assert "HTTP_TRANSFER_ENCODING" not in seen


def test_a_body_without_any_length_header_is_read_too() -> None:
    _, body, _ = call({"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(b"over HTTP/2")})
    assert body == b"over HTTP/2"


def test_a_body_of_known_length_is_left_alone() -> None:
    source = io.BytesIO(b"abcdef")
    _, body, seen = call({"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "3", "wsgi.input": source})
    assert body == b"abc"
    assert seen["wsgi.input"] is source


def test_a_body_of_just_the_limit_passes_and_one_byte_more_is_refused() -> None:
    chunked = {"REQUEST_METHOD": "POST", "HTTP_TRANSFER_ENCODING": "chunked"}
    status, body, _ = call(chunked | {"wsgi.input": io.BytesIO(b"x" * MAX_BODY)})
    assert (status, len(body)) == ("200 OK", MAX_BODY)
    status, body, seen = call(chunked | {"wsgi.input": io.BytesIO(b"x" * (MAX_BODY + 1))})
    assert status.startswith("413 ")
    answer = json.loads(body)
    assert answer.keys() == {"Code", "Message", "RequestId"}
    assert (answer["Code"], "16 MiB" in answer["Message"]) == ("RequestTooLarge", True)
    assert answer["RequestId"] == str(uuid.UUID(answer["RequestId"])).upper()
    assert not seen


@pytest.mark.processes
def test_the_real_server_refuses_too_much_and_goes_on(shared_stack: Stack) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", shared_stack.port, timeout=20)) as asked:
        asked.request("POST", "/x", body=_one_byte_too_much(), encode_chunked=True)
        assert asked.getresponse().status == 413
    assert shared_stack.get("/healthz") == (200, {"status": "ok"})


def _one_byte_too_much() -> Iterator[bytes]:
    """In pieces; no more than that: the server closes while the rest would still be sent."""
    mebibyte = 1024 * 1024
    return iter([b"x" * mebibyte] * (MAX_BODY // mebibyte) + [b"x"])
