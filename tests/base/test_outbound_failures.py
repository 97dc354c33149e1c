"""What the outbound client makes of servers that are not there, stall, drip, lie or are somebody else."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opscenter.base import outbound_call
from opscenter.base.outbound import Unreachable
from tests.base.certificates import self_signed, server_context
from tests.base.outgoing import LOCAL, Dns, Trust, call, failure
from tests.base.servers import OK, Server, Talk, drips, never


def test_a_closed_port() -> None:
    with Server() as server:
        pass
    assert failure(server.url)[0] == "outbound.connect"


def test_a_name_that_does_not_exist(dns: Dns) -> None:
    dns("other.example", [])
    assert failure("http://good.example/")[0] == "outbound.dns"


def test_the_next_address_is_tried(dns: Dns) -> None:
    with Server() as server:
        dns("good.example", ["127.0.0.2", "127.0.0.1"])
        assert call(f"http://good.example:{server.port}/", allow=LOCAL).status == 200


LIES = {
    "closes at once": b"",
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf",
    "no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhalf",
    "a negative chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nhalf",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a long header": b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
    "a long status": b"HTTP/1.1 200 " + b"a" * 70_000,
}


@pytest.mark.parametrize("lie", LIES)
def test_what_is_not_a_whole_answer(lie: str) -> None:
    def talk(line: socket.socket, _request: bytes) -> None:
        line.sendall(LIES[lie])
        line.shutdown(socket.SHUT_WR)

    with Server(talk) as server:
        assert failure(server.url)[0] == "outbound.protocol"


def continues(line: socket.socket, _request: bytes) -> None:
    while True:
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


@pytest.mark.parametrize(
    "talk",
    [
        never,
        drips(b"HTTP/1.1 200 OK\r\nX-A: "),
        drips(b"HTTP/1.1 200 "),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\n\r\n"),  # its end looks like a whole body's
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
        continues,
    ],
)
def test_the_deadline_is_for_everything(talk: Talk) -> None:
    with Server(talk) as server:
        code, took = failure(server.url, timeout=0.3)
    assert code == "outbound.timeout"
    assert 0.25 < took < 3


def test_a_server_that_accepts_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        code, took = failure(f"http://127.0.0.1:{door.getsockname()[1]}/", timeout=0.3)
    assert (code, took < 3) == ("outbound.timeout", True)


def test_a_server_that_does_not_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}/"
        code, took = failure(url, timeout=0.3, method="POST", body=b"x" * 20_000_000)
    assert (code, took < 3) == ("outbound.timeout", True)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port of 127.0.0.9 whose queue is full: who connects gets no answer."""
    with socket.create_server(("127.0.0.9", 0), backlog=0) as door:
        port = door.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for line in waiting:
            line.setblocking(False)
            line.connect_ex(("127.0.0.9", port))
        yield port
        for line in waiting:
            line.close()


def test_a_silent_address_leaves_time_for_the_next(silent: int, dns: Dns) -> None:
    assert failure(f"http://127.0.0.9:{silent}/", timeout=0.2)[0] == "outbound.timeout"
    with Server(port=silent):
        dns("good.example", ["127.0.0.9", "127.0.0.1"])
        assert call(f"http://good.example:{silent}/", allow=LOCAL, timeout=0.6).status == 200


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: answer.wait(10) and [])
    code, took = failure("http://good.example/", timeout=0.2)
    answer.set()
    assert (code, took < 3) == ("outbound.timeout", True)


def test_tls_asks_for_the_name_and_checks_it(tmp_path: Path, dns: Dns, trust: Trust) -> None:
    certificate, asked = self_signed(tmp_path, "hooks.test"), []
    trust(certificate)
    context = server_context(certificate)
    context.sni_callback = lambda _line, name, _context: asked.append(name)
    dns("hooks.test.", ["127.0.0.1"])
    dns("other.test", ["127.0.0.1"])
    with Server(tls=context) as server:
        answer = call(f"https://hooks.test.:{server.port}/", allow=LOCAL)
        assert failure(f"https://other.test:{server.port}/")[0] == "outbound.tls"
        assert failure(f"https://127.0.0.1:{server.port}/")[0] == "outbound.tls"
    assert (answer.status, answer.body) == (200, b"ok")
    assert asked == ["hooks.test", "other.test", None]
    assert f"Host: hooks.test:{server.port}".encode() in server.requests[0]
    assert len(server.requests) == 1


def test_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    context = server_context(self_signed(tmp_path, "127.0.0.1"))
    with Server(tls=context) as server, pytest.raises(Unreachable, match="self-signed certificate") as failed:
        call(f"https://127.0.0.1:{server.port}/", allow=LOCAL)
    assert failed.value.reason.code == "outbound.tls"
    assert server.requests == []


def test_a_server_without_tls() -> None:
    with Server(greeting=OK) as server:
        assert failure(f"https://127.0.0.1:{server.port}/")[0] == "outbound.tls"


def test_a_server_that_shakes_no_hands() -> None:
    with Server() as server:
        code, took = failure(f"https://127.0.0.1:{server.port}/", timeout=0.3)
    assert (code, took < 3) == ("outbound.timeout", True)


def test_tls_drips_no_longer_than_the_deadline(tmp_path: Path, trust: Trust) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    trust(certificate)
    for head in (b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\n\r\n"):
        with Server(drips(head), tls=server_context(certificate)) as server:
            code, took = failure(f"https://127.0.0.1:{server.port}/", timeout=0.4)
        assert (code, took < 3) == ("outbound.timeout", True)


def test_no_certificate_is_left_unchecked() -> None:
    context = outbound_call._trust()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
