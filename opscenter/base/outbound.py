"""One way out: every HTTP request that Opscenter makes.

Who names the target is not trusted. Its name is resolved here, every address it stands for is judged (addresses.py), and
the connection goes to a judged address itself, so a DNS answer that changes later changes nothing. Redirects are answers
like any other. Nothing is taken from the environment but certificates, nothing is kept from one call to the next: no
proxies, netrc or cookies; a connection only by who asks for a ``Line``.
"""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import requests
import structlog
from django.conf import settings

from opscenter.base.addresses import Allow, is_name, literal, parse_allow
from opscenter.base.outbound_call import Answer, Call, Route, judge
from opscenter.base.outbound_errors import OutboundError, TargetRefused, Unreachable

__all__ = ["Answer", "Line", "OutboundError", "TargetRefused", "Unreachable", "check_url", "send"]

logger = structlog.get_logger(__name__)

LONGEST_URL = 2048
_PORTS = {"http": 80, "https": 443}
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\\]|[^\S\x00-\x7f]|[\ud800-\udfff]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e\xa1-\xff](?:[\t\x20-\x7e\xa1-\xff]*[\x21-\x7e\xa1-\xff])?)?")
_OURS = {
    "Accept-Encoding": "identity",  # a body is shown as it came, and cannot unpack into more than it is
}
_CLOSING = {"Connection": "close"}
_FRAMING = {"content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_NOT_THEIRS = _FRAMING | {name.lower() for name in (*_OURS, *_CLOSING)}


def check_url(url: str) -> None:
    """What can be said of a target without DNS; for forms. ``send`` asks it again, and judges the addresses.

    Raises:
        TargetRefused: no http or https URL without user and fragment, or an address that may not be reached.
    """
    _prepare("GET", url, {}, b"", _allowed(None))


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    timeout: float = 15.0,
    most: int = 64 * 1024,
    allow: Sequence[str] | None = None,
) -> Answer:
    """Make one request, on a connection of its own; safe from any thread.

    Args:
        headers: all but those of the connection (Host, Content-Length, Accept-Encoding and their like), which are ours.
        timeout: seconds for everything together, from the resolver to the last byte of the answer. A resolver that
            hangs is left behind, in a thread of its own, until it gives up by itself.
        most: bytes of the answer's body to read; what is more goes with the connection.
        allow: private targets that may be reached, in the words of OPSCENTER_OUTBOUND_ALLOW, which is the default.

    Raises:
        TargetRefused: the target, or a header, may not be used; nothing was sent.
        Unreachable: there is no answer, or no whole one. The request may have arrived.
        Misconfigured: ``allow`` has a word that cannot be read.
        ValueError: ``method`` is no word of HTTP.
    """
    with closing(Line(keep=0.0)) as line:
        return line.send(method, url, headers=headers, body=body, timeout=timeout, most=most, allow=allow)


class Line:
    """Requests one after the other, over a connection that is kept between those to the same place. For one thread.

    Args:
        keep: seconds after which a connection is made anew, its host resolved and judged again.
    """

    def __init__(self, keep: float = 30.0) -> None:
        self._keep = keep
        self._route: Route | None = None
        self._to: tuple[str, str, int, Allow] | None = None
        self._until = 0.0

    def close(self) -> None:
        """Hang up; the next request opens it again."""
        if self._route is not None:
            self._route.close()
            self._route = None

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float = 15.0,
        most: int = 64 * 1024,
        allow: Sequence[str] | None = None,
    ) -> Answer:
        """Make one request, as ``send`` does. One that a kept connection gives no answer to is made once more on a new one:
        its server may have hung up at that moment, so the same request may arrive twice."""
        started, allowed = time.monotonic(), _allowed(allow)
        seen: dict[str, Any] = {}
        try:
            request = _prepare(method, url, headers, body, allowed)
            if not self._keep:
                request.headers.update(_CLOSING)
            parts = urlsplit(str(request.url))
            call = Call(parts.hostname or "", allowed, timeout)
            seen["host"] = call.host
            to = (parts.scheme, call.host, parts.port or _PORTS[parts.scheme], allowed)
            answer = self._make(call, to, request, most)
            seen["status"] = answer.status
            return answer
        except OutboundError as error:
            seen["reason"] = error.reason.code
            raise
        finally:
            logger.debug("outbound.call", **seen, ms=round((time.monotonic() - started) * 1000))

    def _make(
        self, call: Call, to: tuple[str, str, int, Allow], request: requests.PreparedRequest, most: int
    ) -> Answer:
        if self._route is not None and self._to == to and time.monotonic() < self._until and self._route.is_open:
            try:
                return self._route.make(call, request, most)
            except Unreachable:
                call.left()
        self.close()
        self._route = Route(*to[:3], call)
        self._to, self._until = to, time.monotonic() + self._keep
        return self._route.make(call, request, most)


def _allowed(words: Sequence[str] | None) -> Allow:
    return parse_allow(settings.OUTBOUND_ALLOW if words is None else words)


def _prepare(
    method: str, url: str, headers: Mapping[str, str], body: bytes, allowed: Allow
) -> requests.PreparedRequest:
    """The request as it goes on the wire. The host that is checked is the one requests made of the URL and will ask."""
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"no method: {method!r}")
    _check_spelling(url)
    _check_headers(headers)
    try:
        request = requests.Request(
            method, url, headers={"User-Agent": "Opscenter", **headers, **_OURS}, data=body
        ).prepare()
        made = urlsplit(str(request.url))
        host, port = made.hostname or "", made.port or _PORTS[made.scheme]
    except (requests.RequestException, ValueError, KeyError) as error:
        raise TargetRefused("outbound.url") from error
    address = literal(host)
    if address is not None:
        judge(host, port, address, allowed)
    elif not is_name(host):
        raise TargetRefused("outbound.host", host=host)
    return request


def _check_spelling(url: str) -> None:
    if len(url) > LONGEST_URL or _UNPRINTABLE.search(url):
        raise TargetRefused("outbound.url")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise TargetRefused("outbound.url") from error
    if parts.scheme not in _PORTS:
        raise TargetRefused("outbound.scheme", scheme=parts.scheme)
    if "@" in parts.netloc:
        raise TargetRefused("outbound.userinfo")
    if "#" in url:
        raise TargetRefused("outbound.fragment")
    if not parts.hostname or "%" in parts.netloc:
        raise TargetRefused("outbound.host", host=parts.hostname or "")
    try:
        in_range = parts.port != 0
    except ValueError:
        in_range = False
    if not in_range:
        raise TargetRefused("outbound.port")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _HEADER_VALUE.fullmatch(value) or name.lower() in _NOT_THEIRS:
            raise TargetRefused("outbound.header", name=name)
