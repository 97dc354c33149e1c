"""Requests one after the other over a connection that is kept: what a caller may rely on."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from opscenter.base.outbound import Answer, Line, TargetRefused, Unreachable
from tests.base.certificates import self_signed, server_context
from tests.base.outgoing import LOCAL, Dns, Trust
from tests.base.servers import OK, Server, Talk, read

LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
Ask = Callable[..., Answer]


def keeps(*answers: bytes, then: bytes = OK) -> Talk:
    """Answers request after request with these bytes, whatever connection they come over; hangs up at an empty one."""
    given = [*answers]

    def talk(line: socket.socket, request: bytes) -> None:
        while request.strip():
            answer = given.pop(0) if given else then
            if not answer:
                line.shutdown(socket.SHUT_RDWR)
                return
            line.sendall(answer)
            request = read(line)

    return talk


@pytest.fixture
def line() -> Iterator[Line]:
    with closing(Line()) as made:
        yield made


@pytest.fixture
def ask(line: Line) -> Ask:
    def send(url: str, **options: object) -> Answer:
        given = {"headers": {}, "body": b"?", "timeout": 5.0, "allow": LOCAL, **options}
        return line.send("POST", url, **given)  # type: ignore[arg-type]

    return send


def test_one_connection_for_many(ask: Ask) -> None:
    with Server(keeps()) as server:
        assert [ask(server.url).body for _ in range(5)] == [b"ok"] * 5
        assert server.accepted == 1
    assert b"connection:" not in server.requests[0].lower()


def test_a_server_that_hangs_up_instead_of_answering_is_called_anew(ask: Ask) -> None:
    with Server(keeps(OK, b"", OK, b"")) as server:
        for _ in range(3):
            assert ask(server.url).status == 200
        assert server.accepted == 3


def test_one_that_says_it_will_hang_up_is_not_asked_again(ask: Ask) -> None:
    with Server(keeps(then=LAST)) as server:
        for _ in range(3):
            assert ask(server.url).status == 200
        assert server.accepted == 3


def test_what_is_left_of_an_answer_is_no_answer_to_the_next(ask: Ask) -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + LAST
    with Server(keeps(long)) as server:
        assert ask(server.url, most=4).truncated
        assert ask(server.url).body == b"ok"
        assert server.accepted == 2


def test_what_a_server_says_unasked_is_no_answer(ask: Ask) -> None:
    lied = threading.Event()

    def talk(line: socket.socket, _request: bytes) -> None:
        line.sendall(OK)
        time.sleep(0.05)
        line.sendall(b"HTTP/1.1 500 Lie\r\nContent-Length: 0\r\n\r\n")
        lied.set()

    with Server(talk) as server:
        assert ask(server.url).status == 200
        assert lied.wait(5)
        assert ask(server.url).status == 200
        assert server.accepted == 2


def test_the_first_request_is_made_once_only(ask: Ask) -> None:
    with Server(keeps(b"")) as server:
        with pytest.raises(Unreachable):
            ask(server.url)
        assert server.accepted == 1


def test_another_place_is_another_connection(ask: Ask) -> None:
    with Server(keeps()) as one, Server(keeps()) as other:
        for server in (one, other, one):
            ask(server.url)
        assert (one.accepted, other.accepted) == (2, 1)


def test_a_name_is_judged_again_when_the_connection_is_old(dns: Dns) -> None:
    with Server(keeps()) as server, closing(Line(keep=0.2)) as line:
        asked = dns("hooks.internal", ["127.0.0.1"], ["10.0.0.1"])
        url = f"http://hooks.internal:{server.port}/"
        for _ in range(3):
            line.send("GET", url, headers={}, allow=LOCAL)
        assert len(asked) == server.accepted == 1
        time.sleep(0.25)
        with pytest.raises(TargetRefused):
            line.send("GET", url, headers={}, allow=LOCAL)


def test_what_was_allowed_is_not_when_it_is_allowed_no_more(ask: Ask) -> None:
    with Server(keeps()) as server:
        ask(server.url)
        with pytest.raises(TargetRefused):
            ask(server.url, allow=[])


def test_each_request_has_its_own_deadline(ask: Ask) -> None:
    def slow(line: socket.socket, _request: bytes) -> None:
        line.sendall(OK)
        read(line)
        while True:
            line.sendall(b"H")
            time.sleep(0.02)

    with Server(slow) as server:
        ask(server.url, timeout=0.5)
        time.sleep(0.6)  # the first one's deadline does nothing to the second
        began = time.monotonic()
        with pytest.raises(Unreachable) as failed:
            ask(server.url, timeout=0.5)
        assert failed.value.reason.code == "outbound.timeout"
        assert 0.4 < time.monotonic() - began < 2


def test_tls_is_kept_too(ask: Ask, tmp_path: Path, trust: Trust) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    trust(certificate)
    with Server(keeps(), tls=server_context(certificate)) as server:
        for _ in range(3):
            assert ask(f"https://127.0.0.1:{server.port}/").body == b"ok"
        assert server.accepted == 1
