"""One outbound call on its way: resolved, judged, connected, sent and read before its deadline (outbound.py is the door)."""

import functools
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from ipaddress import ip_address
from threading import Lock, Thread
from typing import Any

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from opscenter.base import deadlines
from opscenter.base.addresses import Address, Allow, kind_of, literal
from opscenter.base.deadlines import Deadline
from opscenter.base.outbound_errors import TargetRefused, Unreachable

_Found = Sequence[tuple[int, int, int, str, tuple[Any, ...]]]
"""What getaddrinfo answers."""


@dataclass(frozen=True)
class Answer:
    """What came back, a redirect and an error of the server included.

    Attributes:
        headers: by lower-case name; repeated ones are joined with commas.
        body: its first bytes; all of them unless ``truncated``.
        elapsed: seconds from the call to the last byte.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool
    elapsed: float


def judge(host: str, port: int, address: Address, allowed: Allow) -> None:
    """Whether a host may be reached at this address.

    Raises:
        TargetRefused: the address is not global, and nothing allows it.
    """
    if (kind := kind_of(address)) and not allowed.permits(host, address, port):
        raise TargetRefused("outbound.address", host=host, address=str(address), kind=kind)


class Call:
    """One call: whom it may reach, and how long it may take, from the moment it is made here."""

    def __init__(self, host: str, allowed: Allow, timeout: float) -> None:
        self.host = host
        self._allowed = allowed
        self._timeout = timeout
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._started

    def left(self) -> float:
        """Seconds until the deadline.

        Raises:
            Unreachable: it has passed.
        """
        left = self._started + self._timeout - time.monotonic()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> Unreachable:
        """The error of a call that took too long."""
        return Unreachable("outbound.timeout", host=self.host, seconds=self._timeout)

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to an address of this host; all of its addresses are judged before the first is tried.

        Raises:
            TargetRefused: one of them may not be reached.
            Unreachable: the host has no address, or none of them answers in time.
        """
        found = self._resolve(host, port)
        for *_kind, target in found:
            judge(host, port, ip_address(target[0]), self._allowed)
        why = OSError("no address")
        for untried, (family, kind, protocol, _name, target) in zip(range(len(found), 0, -1), found, strict=True):
            patience = self.left() / untried  # a silent address leaves time for the others
            try:
                opened = socket.socket(family, kind, protocol)
            except OSError as error:
                why = error
                continue
            try:
                opened.settimeout(patience)
                opened.connect(target)
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.settimeout(self.left())
                return opened
            except OSError as error:
                opened.close()
                why = error
            except Unreachable:
                opened.close()
                raise
        if isinstance(why, TimeoutError):
            raise self.late() from why
        raise Unreachable("outbound.connect", host=self.host, port=port, why=why.strerror or str(why)) from why

    def _resolve(self, host: str, port: int) -> _Found:
        address = literal(host)
        if address is not None:
            return socket.getaddrinfo(str(address), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        answers: list[_Found | Exception] = []

        def ask() -> None:
            try:
                answers.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, ValueError) as error:
                answers.append(error)

        asking = Thread(target=ask, name=f"resolve {host}", daemon=True)  # nothing can interrupt getaddrinfo
        asking.start()
        asking.join(self.left())
        answer = answers[0] if answers else self.late()
        if isinstance(answer, Unreachable):
            raise answer
        if isinstance(answer, Exception):
            why = getattr(answer, "strerror", None) or str(answer)
            raise Unreachable("outbound.dns", host=self.host, why=why) from answer
        return answer

    def deadline(self, action: Callable[[], None]) -> Deadline:
        """Have something done when the call has taken too long."""
        return deadlines.at(self._started + self._timeout, action)


def _why(error: BaseException) -> str:
    """The name of what went wrong at the bottom; the messages above it may quote what the server sent."""
    while isinstance(below := error.__cause__ or error.__context__, OSError | HTTPError | HTTPException):
        error = below
    return type(error).__name__


class _Response(HTTPResponse):
    """Python's own would read all there is, whatever it was asked for, when a chunk claims to be -1 bytes long."""

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:
            raise IncompleteRead(b"")
        return bytes(super()._safe_read(amt))  # type: ignore[misc]


class _Plain(HTTPConnection):
    """HTTP over a connection that its route makes."""

    response_class = _Response

    def __init__(self, host: str, port: int, route: "Route") -> None:
        super().__init__(host, port)
        self._route = route

    def _new_conn(self) -> socket.socket:
        return self._route.connect(self._dns_host, self.port)


class _Secure(HTTPSConnection):
    """The same with TLS: the certificate must be the name's, whichever address answers."""

    response_class = _Response

    def __init__(self, host: str, port: int, route: "Route") -> None:
        super().__init__(host, port, ssl_context=_trust(), cert_reqs="CERT_REQUIRED")
        self._route = route

    def _new_conn(self) -> socket.socket:
        return self._route.connect(self._dns_host, self.port)

    def connect(self) -> None:
        try:
            super().connect()
        except TimeoutError as error:
            raise self._route.call.late() from error
        except OSError as error:
            self._route.call.left()
            why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error.strerror or str(error)
            raise Unreachable("outbound.tls", host=self._route.call.host, why=why) from error


class Route:
    """A connection to one place, for one call or for several, one after the other; it is opened by the first.

    Args:
        call: the first that will be made.
    """

    def __init__(self, scheme: str, host: str, port: int, call: Call) -> None:
        self.call = call
        self._line: socket.socket | None = None
        self._deadline: Deadline | None = None
        self._connection = (_Secure if scheme == "https" else _Plain)(host, port, self)

    @property
    def is_open(self) -> bool:
        """Whether another call may be made on it: its server waits for one, and has said nothing unasked."""
        return self._connection.is_connected

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
        if self._line is not None:
            self._line.close()
            self._line = None

    def make(self, call: Call, request: requests.PreparedRequest, most: int) -> Answer:
        """Send the request and read the answer, of its body no more than ``most`` bytes. Closed afterwards, unless it may
        serve another call.

        Raises:
            TargetRefused: the host stands for an address that may not be reached.
            Unreachable: there is no answer, or no whole one in time.
        """
        self.call = call
        is_whole = False
        try:
            if self._line is not None:
                self._deadline = call.deadline(self._cut)
            answer, is_whole = self._exchange(request, most)
            return answer
        except (OSError, HTTPError, HTTPException, ValueError) as error:  # ValueError: a chunk of no length
            call.left()  # past the deadline, it is our own end of the connection that went wrong
            raise Unreachable("outbound.protocol", host=call.host, why=_why(error)) from error
        finally:
            if self._deadline is not None:
                self._deadline.cancel()  # and only then close the line: its number may be another's by then
                self._deadline = None
            if not is_whole:
                self.close()

    def _exchange(self, request: requests.PreparedRequest, most: int) -> tuple[Answer, bool]:
        """The answer, and whether the connection is at its end."""
        # not through a Session: that one reads all of a redirect's body and parses where it points, wanted or not
        connection, headers, body = self._connection, dict(request.headers), request.body
        connection.timeout = self.call.left()
        try:
            connection.request(
                str(request.method), request.path_url, body, headers, preload_content=False, decode_content=False
            )
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server that has heard enough may have answered all the same
        connection.timeout = self.call.left()
        with closing(connection.getresponse()) as response:
            read, part = b"", b""
            while len(read) <= most and (part := response.read(most + 1 - len(read), decode_content=False)):
                read += part
            self.call.left()  # the end of a body without a length looks like the end that the deadline makes
            answer = Answer(
                response.status,
                {name.lower(): response.headers[name] for name in response.headers},
                read[:most],
                len(read) > most,
                self.call.elapsed,
            )
            return answer, not part and connection.sock is not None

    def connect(self, host: str, port: int) -> socket.socket:
        """What urllib3 asks for; it is shut down at the deadline, whatever waits for it then.

        A socket's timeout begins anew with each byte that drips in. The copy stays ours: TLS takes the socket itself.
        """
        opened = self.call.connect(host, port)
        self._line = opened.dup()
        self._deadline = self.call.deadline(self._cut)
        return opened

    def _cut(self) -> None:
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)


_trusting = Lock()


def _trust() -> ssl.SSLContext:
    """Who may vouch for a server: requests' list, and the system's or that of SSL_CERT_FILE and SSL_CERT_DIR."""
    with _trusting:  # reading it takes as long as a hundred calls: once, however many threads begin at the same time
        return _read_trust()


@functools.cache
def _read_trust() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    context.load_default_certs()
    return context
