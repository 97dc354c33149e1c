"""One outbound call on its way: resolved, judged, connected, sent and read before its deadline (outbound.py is the door)."""

import functools
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from ipaddress import ip_address
from threading import Thread, Timer
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from opscenter.base.addresses import Address, Allow, kind_of, literal
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
        self._cleanup = ExitStack()

    def make(self, request: requests.PreparedRequest, most: int) -> Answer:
        """Send the request and read the answer, of its body no more than ``most`` bytes.

        Raises:
            TargetRefused: the host stands for an address that may not be reached.
            Unreachable: there is no answer, or no whole one in time.
        """
        try:
            with self._cleanup:
                return self._exchange(request, most)
        except (OSError, HTTPError, ValueError) as error:  # requests' are OSErrors; ValueError: a chunk of no length
            self.left()  # past the deadline, it is our own end of the connection that went wrong
            raise Unreachable("outbound.protocol", host=self.host, why=_why(error)) from error

    def _exchange(self, request: requests.PreparedRequest, most: int) -> Answer:
        # not through a Session: that one reads all of a redirect's body and parses where it points, wanted or not
        adapter = self._cleanup.enter_context(closing(_Adapter(self)))
        response = self._cleanup.enter_context(closing(adapter.send(request, stream=True, timeout=self.left())))
        body = b""
        while len(body) <= most and (part := response.raw.read(most + 1 - len(body), decode_content=False)):
            body += part
        self.left()  # the end of a body without a length looks like the end that the deadline makes
        return Answer(
            response.status_code,
            {name.lower(): value for name, value in response.headers.items()},
            body[:most],
            len(body) > most,
            time.monotonic() - self._started,
        )

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
                opened = self._cleanup.enter_context(socket.socket(family, kind, protocol))
                opened.settimeout(patience)
                opened.connect(target)
            except OSError as error:
                why = error
            else:
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened.settimeout(self.left())
                self._cut_at_deadline(opened)
                return opened
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

    def _cut_at_deadline(self, opened: socket.socket) -> None:
        """Shut the connection down at the deadline, whatever waits for it then.

        A socket's timeout begins anew with each byte that drips in. The copy stays ours: TLS takes the socket itself.
        """
        line = self._cleanup.enter_context(opened.dup())

        def cut() -> None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

        timer = Timer(self.left(), cut)
        timer.daemon = True
        timer.start()
        self._cleanup.callback(timer.join)  # and only then close the copy: its number may be another's by then
        self._cleanup.callback(timer.cancel)


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
    """HTTP over a connection that its call makes."""

    response_class = _Response

    def __init__(self, *args: Any, call: Call, **options: Any) -> None:
        super().__init__(*args, **options)
        self._call = call

    def _new_conn(self) -> socket.socket:
        return self._call.connect(self._dns_host, self.port)


class _Secure(HTTPSConnection):
    """The same with TLS: the certificate must be the name's, whichever address answers."""

    response_class = _Response

    def __init__(self, *args: Any, call: Call, **options: Any) -> None:
        super().__init__(*args, **options)
        self._call = call

    def _new_conn(self) -> socket.socket:
        return self._call.connect(self._dns_host, self.port)

    def connect(self) -> None:
        try:
            super().connect()
        except TimeoutError as error:
            raise self._call.late() from error
        except OSError as error:
            self._call.left()
            why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error.strerror or str(error)
            raise Unreachable("outbound.tls", host=self._call.host, why=why) from error


class _Adapter(HTTPAdapter):
    """requests' way to urllib3, with connections of ours and certificates that are read once."""

    def __init__(self, call: Call) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._call = call

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> tuple[Any, Any]:
        target, _options = super().build_connection_pool_key_attributes(request, True)
        return target, {"ssl_context": _trust(), "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to add: the context has the certificates, and requests would read its own again for each call."""

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        pool: Any = super().get_connection_with_tls_context(request, True)
        pool.ConnectionCls = _Secure if pool.scheme == "https" else _Plain
        pool.conn_kw["call"] = self._call
        return pool


@functools.cache
def _trust() -> ssl.SSLContext:
    """Who may vouch for a server: requests' list, and the system's or that of SSL_CERT_FILE and SSL_CERT_DIR."""
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    context.load_default_certs()
    return context
