"""The WSGI application: Django, behind a wrapper for request bodies of unknown length."""

import io
import json
import os
import uuid
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opscenter.settings")

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a body sent in chunks."""
_PIECE = 64 * 1024


class BufferChunked:
    """Django takes a body without Content-Length for empty. Read such a body whole, then say how long it is."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if _is_of_unknown_length(environ):
            body = self._read(environ["wsgi.input"])
            if body is None:
                return _too_large(start_response)
            environ = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
            environ.pop("HTTP_TRANSFER_ENCODING", None)
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer

    @staticmethod
    def _read(source: Any) -> bytes | None:
        """The body; None when there is more than MAX_BODY of it."""
        pieces: list[bytes] = []
        size = 0
        while piece := source.read(_PIECE):
            size += len(piece)
            if size > MAX_BODY:
                return None
            pieces.append(piece)
        return b"".join(pieces)


def _is_of_unknown_length(environ: dict[str, Any]) -> bool:
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return True
    # HTTP/2 has no chunks: there a body may just come without a length
    return environ["REQUEST_METHOD"] not in ("GET", "HEAD") and not environ.get("CONTENT_LENGTH")


def _too_large(start_response: Any) -> Iterable[bytes]:
    """An answer with the keys of the wire's errors: the body may have been a call of it."""
    message = f"The request body is larger than {MAX_BODY // 1024 // 1024} MiB. Send less at a time."
    body = json.dumps({"Code": "RequestTooLarge", "Message": message, "RequestId": str(uuid.uuid4()).upper()}).encode()
    start_response("413 Content Too Large", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


application = BufferChunked(get_wsgi_application())
