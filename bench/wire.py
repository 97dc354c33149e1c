"""The wire: a signed trigger call beside a view that does nothing."""

import http.client
import time
from collections.abc import Callable, Iterator

from bench.figures import Figure, percentile
from tests.openapi.signer import acs3
from tests.processes.lab import Lab
from tests.stack import Stack

CALLS = 300


def trigger(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Signed calls one after another over one connection, each firing an instance of its own."""
    known = lab.ask("gates", str(CALLS))
    link = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=10)
    host = f"127.0.0.1:{stack.port}"

    def bare(number: int) -> None:
        _send(link, "GET", "/healthz", b"", {})

    def call(number: int) -> None:
        sent = acs3(
            "TriggerSchedulerTaskInstance",
            "2024-05-18",
            known["key"],
            known["secret"],
            form={"TaskId": str(known["task"]), "TriggerTime": str(known["times"][number])},
            host=host,
        )
        _send(link, sent.method, f"/?{sent.query}" if sent.query else "/", sent.body, dict(sent.headers))

    bare_ms, call_ms = _times(bare), _times(call)
    yield Figure("bare view p50", percentile(bare_ms, 0.5), "ms")
    yield Figure("signed trigger call p50", percentile(call_ms, 0.5), "ms")
    yield Figure("signed trigger call p99", percentile(call_ms, 0.99), "ms")
    yield Figure("signed trigger call beside a bare view", percentile(call_ms, 0.5) / percentile(bare_ms, 0.5), "ratio")


def _times(action: Callable[[int], None]) -> list[float]:
    """Milliseconds of each of the calls."""
    times = []
    for number in range(CALLS):
        began = time.perf_counter()
        action(number)
        times.append((time.perf_counter() - began) * 1000)
    return times


def _send(link: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
    link.request(method, path, body, headers)
    answer = link.getresponse()
    text = answer.read()
    assert answer.status == 200, text
