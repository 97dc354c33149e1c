"""What the outbound client sends, reads, keeps and logs."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opscenter.base.outbound import OutboundError, TargetRefused
from tests.base.certificates import self_signed, server_context
from tests.base.outgoing import LOCAL, Dns, Trust, call, failure
from tests.base.servers import Server, endless, never, says

# -- what is sent


def test_a_request_is_sent_as_it_is(dns: Dns) -> None:
    dns("hooks.internal", ["127.0.0.1"])
    body = bytes(range(256)) * 300
    with Server() as server:
        call(
            f"http://hooks.internal:{server.port}/a/b?c=d&e=%2F",
            method="POST",
            body=body,
            headers={"Content-Type": "application/json", "webhook-id": "1"},
            allow=LOCAL,
        )
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    first, *rows = head.decode().split("\r\n")
    assert sent == body
    assert first == "POST /a/b?c=d&e=%2F HTTP/1.1"
    assert dict(row.split(": ", 1) for row in rows) == {
        "Host": f"hooks.internal:{server.port}",
        "User-Agent": "Opscenter",
        "Content-Type": "application/json",
        "webhook-id": "1",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(len(body)),
    }


@pytest.mark.parametrize("method", ["", "GET /", "GET\r\nX-A: b", "G\x00T"])
def test_what_is_no_method_is_a_mistake_of_the_caller(method: str) -> None:
    with Server() as server, pytest.raises(ValueError, match="no method"):
        call(server.url, method=method, allow=LOCAL)
    assert server.accepted == 0


def test_a_post_without_a_body_says_so() -> None:
    with Server() as server:
        call(server.url, method="POST", allow=LOCAL)
    assert b"\r\nContent-Length: 0\r\n" in server.requests[0]


@pytest.mark.parametrize(
    "header",
    [
        ("Host", "127.0.0.1"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "keep-alive"),
        ("Accept-Encoding", "gzip"),
        ("X-A", "b\r\nX-C: d"),
        ("X-A", "b\n c"),
        ("X-A\r\nX-C", "d"),
        ("X A", "b"),
        ("X-A:", "b"),
        ("", "b"),
        ("X-A", " b"),
        ("X-A", "b\x00"),
        ("X-A", "数据"),
    ],
)
def test_headers_that_would_change_the_request_are_refused(header: tuple[str, str]) -> None:
    with Server() as server, pytest.raises(TargetRefused) as refused:
        call(server.url, headers=dict([header]), allow=LOCAL)
    assert refused.value.reason.as_json() == {"code": "outbound.header", "params": {"name": header[0]}}
    assert server.accepted == 0


def test_nothing_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    netrc.chmod(0o600)
    with Server() as server, Server() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NETRC", str(netrc))
        assert call(server.url, allow=LOCAL).status == 200
    assert proxy.accepted == 0
    assert b"authorization" not in server.requests[0].lower()


def test_nothing_is_kept_for_the_next_call() -> None:
    with Server(says(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n")) as server:
        assert call(server.url, allow=LOCAL).headers["set-cookie"] == "a=b; Path=/"
        call(server.url, allow=LOCAL)
    assert b"cookie" not in server.requests[1].lower()
    assert server.accepted == 2


# -- what comes back


def test_an_answer_has_status_headers_and_body() -> None:
    head = b"HTTP/1.1 503 No\r\nX-Many: a\r\nRetry-After: 7\r\nx-many: b\r\nContent-Length: 5\r\n\r\n"
    with Server(says(head, b"later")) as server:
        answer = call(server.url, allow=LOCAL)
    assert (answer.status, answer.body, answer.truncated) == (503, b"later", False)
    assert answer.headers == {"x-many": "a, b", "retry-after": "7", "content-length": "5"}
    assert 0 < answer.elapsed < 5
    assert server.accepted == 1  # and no second try


@pytest.mark.parametrize(
    ("answered", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone", b"none"),
        (b"HTTP/1.1 204 No\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\ncontent-length:2\r\n\r\nok and more", b"ok"),
    ],
)
def test_bodies_as_they_are_framed(answered: bytes, body: bytes) -> None:
    with Server(says(answered)) as server:
        answer = call(server.url, allow=LOCAL)
    assert (answer.body, answer.truncated) == (body, False)


def hangs_up(line: socket.socket, _request: bytes) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
    line.shutdown(socket.SHUT_WR)


def test_a_body_may_end_with_its_connection() -> None:
    with Server(hangs_up) as server:
        assert call(server.url, allow=LOCAL).body == b"until the end"


@pytest.mark.parametrize(("most", "body", "truncated"), [(0, b"", True), (4, b"0123", True), (9, b"012345678", True)])
@pytest.mark.parametrize("framed", [b"Content-Length: 10\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\na\r\n"])
def test_a_body_is_read_up_to_its_cap(most: int, body: bytes, truncated: bool, framed: bytes) -> None:
    with Server(says(b"HTTP/1.1 200 OK\r\n" + framed + b"0123456789\r\n0\r\n\r\n")) as server:
        answer = call(server.url, allow=LOCAL, most=most)
        whole = call(server.url, allow=LOCAL, most=10)
    assert (answer.body, answer.truncated) == (body, truncated)
    assert (whole.body, whole.truncated) == (b"0123456789", False)


def test_no_chunk_reads_past_the_cap() -> None:
    hung_up = threading.Event()

    def talk(line: socket.socket, _request: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        try:
            endless(line, b"")
        finally:
            hung_up.set()

    with Server(talk) as server:
        code, took = failure(server.url, most=10)
        assert hung_up.wait(2)
    assert (code, took < 2) == ("outbound.protocol", True)


# -- what stays behind


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_is_left_open(tmp_path: Path, trust: Trust) -> None:
    certificate = self_signed(tmp_path, "127.0.0.1")
    trust(certificate)
    with (
        Server() as server,
        Server(endless) as flood,
        Server(never) as silent,
        Server(tls=server_context(certificate)) as secure,
        Server(tls=server_context(self_signed(tmp_path, "other.test"))) as strange,
    ):
        urls = [server.url, flood.url, silent.url, f"https://127.0.0.1:{secure.port}/"]
        urls += [f"https://127.0.0.1:{strange.port}/", "http://127.0.0.1:1/"]

        def run() -> None:
            for url in urls:
                try:
                    call(url, allow=LOCAL, timeout=0.1)
                except OutboundError:
                    pass

        run()
        settled = _settle(descriptors)
        for _ in range(3):
            run()
        assert _settle(descriptors) <= settled
        assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def _settle(count: Callable[[], int]) -> int:
    """The number when the servers have noticed that nobody is there any more."""
    least = count()
    for _ in range(20):
        time.sleep(0.01)
        least = min(least, count())
    return least


def test_many_threads_call_at_once() -> None:
    def echo(line: socket.socket, request: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + request[-4:])

    def ask(number: int) -> bytes:
        return call(server.url, method="POST", body=b"%04d" % number, allow=LOCAL).body

    with Server(echo) as server, ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(64))) == [b"%04d" % number for number in range(64)]


def test_the_log_says_host_status_and_time_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    odd = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nno colon\r\nX-Secret: s3cret\r\n\r\ns3cret"
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="opscenter.base.outbound")
    with Server(says(odd)) as server:
        url = f"{server.url}s3cret?token=s3cret"
        call(url, method="POST", headers={"X-Key": "s3cret"}, body=b"s3cret", allow=LOCAL)
        with pytest.raises(TargetRefused):
            call("http://user:s3cret@good.example/s3cret", allow=LOCAL)
    answered, refused = (
        dict(vars(record)["msg"]) for record in caplog.records if record.name == "opscenter.base.outbound"
    )
    assert answered.items() >= {"event": "outbound.call", "level": "debug", "host": "127.0.0.1", "status": 200}.items()
    assert refused.items() >= {"event": "outbound.call", "reason": "outbound.userinfo"}.items()
    assert {"ms"} <= set(answered) & set(refused)
    assert "s3cret" not in caplog.text
