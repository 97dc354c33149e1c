"""Freezing under check at scale: callers that use the API, and an extension that answers late, in disorder and twice."""

import http.client
import itertools
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.openapi.signer import acs3
from tests.processes.lab import Lab
from tests.stack import Stack

PATIENCE = 240.0
CALLERS = 12
KILL_AFTER = (0.25, 0.65)
"""Shares of the requests after which courier and web are killed."""


def verdict_on(number: int) -> str:
    return "FAIL" if number % 7 == 0 else "OK"


class Judge(ThreadingHTTPServer):
    """An extension: takes messages at once, and answers 50 ms to 2 s later; some verdicts twice, some contradicted after."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        self.dice = random.Random(7)
        self.contradictions: list[int] = []
        self.pool = ThreadPoolExecutor(24)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self, message: dict[str, Any]) -> None:
        delay = self.dice.uniform(0.05, 2.0)
        threading.Timer(delay, lambda: self.pool.submit(self.judge, message["data"])).start()

    def judge(self, data: dict[str, Any]) -> None:
        (number,) = data["nodeIds"]
        verdict = verdict_on(number)
        assert say(data, verdict) == 200
        if number % 5 == 0:
            assert say(data, verdict) == 200, "a repeat is accepted"
        if number % 11 == 0:
            self.contradictions.append(say(data, "FAIL" if verdict == "OK" else "OK"))

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.pool.shutdown()


class Handler(BaseHTTPRequestHandler):
    server: Judge

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.take(json.loads(body))

    def log_message(self, *_: object) -> None:
        pass


def say(data: dict[str, Any], verdict: str) -> int:
    """Give a verdict by the callback URL, again and again until somebody answers; the status."""
    where = urlsplit(data["callbackUrl"])
    headers = {
        "Authorization": f"Bearer {data['callbackToken']}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        link = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
        try:
            link.request("POST", where.path, urlencode({"result": verdict, "message": f"rule says {verdict}"}), headers)
            status = link.getresponse().status
            if status < 500:
                return status
        except (OSError, http.client.HTTPException):
            pass
        finally:
            link.close()
        time.sleep(0.2)
    raise AssertionError("nobody took the verdict")


class Callers:
    """Freeze tasks by the API, each once, again where the answer got lost."""

    def __init__(self, stack: Stack, known: dict[str, Any]) -> None:
        self.stack, self.keys = stack, itertools.cycle(known["keys"])
        self.asked = 0
        self.lock = threading.Lock()

    def freeze(self, number: int) -> None:
        with self.lock:
            key, secret = next(self.keys)
        give_up = time.monotonic() + PATIENCE
        lost = False
        while True:
            status, code = self.call(number, key, secret)
            if status == 200 or (lost and status == 409):
                break
            assert status is None or status >= 500, (status, code)
            lost = True
            assert time.monotonic() < give_up
            time.sleep(0.2)
        with self.lock:
            self.asked += 1

    def call(self, number: int, key: str, secret: str) -> tuple[int | None, str]:
        sent = acs3(
            "UpdateNodeRunMode",
            "2020-05-18",
            key,
            secret,
            form={"NodeId": str(number), "ProjectEnv": "PROD", "SchedulerType": "2"},
            host=f"127.0.0.1:{self.stack.port}",
        )
        link = http.client.HTTPConnection("127.0.0.1", self.stack.port, timeout=60)
        try:
            link.request(sent.method, f"/?{sent.query}", sent.body, dict(sent.headers))
            answer = link.getresponse()
            return answer.status, json.loads(answer.read()).get("Code", "")
        except (OSError, http.client.HTTPException):
            return None, ""
        finally:
            link.close()


class Trial:
    """Freezes all at once under an extension that answers late, in disorder and twice, while processes are killed."""

    def __init__(self, stack: Stack, lab: Lab) -> None:
        self._stack, self._ask = stack, lab.ask
        self._fates: dict[str, Any] = {}
        self._count = 0
        self._contradictions: list[int] = []

    def run(self, count: int) -> None:
        """Ask for ``count`` freezes, and wait until none is open."""
        judge = Judge()
        try:
            known = self._ask("guarded", str(count), judge.url, "40")
            callers = Callers(self._stack, known)
            with ThreadPoolExecutor(CALLERS) as pool:
                futures = [pool.submit(callers.freeze, number) for number in known["tasks"]]
                for share in KILL_AFTER:
                    while callers.asked < count * share:
                        time.sleep(0.05)
                    self._kill("courier", "web")
                for future in futures:
                    future.result()
            give_up = time.monotonic() + PATIENCE
            while left := self._ask("still_checking", str(known["workspace"])):
                assert time.monotonic() < give_up, f"{left} left\n{self._stack.log()[-3000:]}"
                time.sleep(0.5)
            self._fates, self._count = self._ask("fates", str(known["workspace"])), count
        finally:
            judge.close()
        self._contradictions = judge.contradictions

    def _kill(self, *kinds: str) -> None:
        for kind in kinds:
            for pid in self._stack.pids(kind):
                os.kill(pid, signal.SIGKILL)

    def check(self) -> None:
        """Every freeze ended as its verdict says, exactly once; contradicting verdicts were refused."""
        assert len(self._fates) == self._count
        expected = {
            "OK": {"frozen": True, "applied": 1, "operations": ["applied True"]},
            "FAIL": {"frozen": False, "applied": 0, "operations": ["blocked False"]},
        }
        wrong = {number: fate for number, fate in self._fates.items() if fate != expected[verdict_on(int(number))]}
        assert not wrong
        assert self._contradictions and set(self._contradictions) == {409}
