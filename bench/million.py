"""A million instances that wait: what the scheduler does about them, and how long the pages take."""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import psutil
import requests

from bench.figures import Figure, percentile
from tests.processes.lab import Lab
from tests.stack import Stack

INSTANCES = int(os.environ.get("BENCH_INSTANCES", "1000000"))
REQUESTS = 20
_WATCHED = 30.0
_SETTLE = 30.0
_made: dict[int, dict[str, Any]] = {}
"""The million of a stack, by its port: made once for both benchmarks."""


def idle(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """CPU of the scheduler and of the whole of PostgreSQL with a million waiting instances, none of them due."""
    _million(stack, lab)
    time.sleep(_SETTLE)  # statistics and clean-up after the rows were written
    (scheduler,), (server,) = stack.pids("scheduler"), stack.pids("postgres")
    began, before = time.monotonic(), (_cpu(scheduler), _cpu(server))
    time.sleep(_WATCHED)
    seconds, after = time.monotonic() - began, (_cpu(scheduler), _cpu(server))
    alone, database = (sum(after[n].values()) - sum(before[n].values()) for n in (0, 1))
    yield Figure("idle scheduler", alone / seconds * 100, "% of a core")
    yield Figure("idle scheduler and all of PostgreSQL", (alone + database) / seconds * 100, "% of a core", most=2)


def _cpu(pid: int) -> dict[int, float]:
    """Seconds of CPU of a process and each of its children, so far."""
    times = {}
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        spent = process.cpu_times()
        times[process.pid] = spent.user + spent.system
    return times


def pages(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Pages of a workspace with a million instances in the day that they show, as an operator gets them."""
    made = _million(stack, lab)
    session, base = _signed_in(stack, made), f"{stack.url}/w/{made['workspace']}/prod"
    for name, path in {
        "instance list": "/instances/",
        "instance list, all dates": "/instances/?bizdate=all",
        "instance list, failed ones": "/instances/?state=failure",
        "instance list, one task by its number": f"/instances/?q={made['task']}",
        "instance list, a name that few have": "/instances/?q=no_such_name",
        "task list": "/tasks/",
        "task list, a name that few have": "/tasks/?q=no_such_name",
        "instance page": f"/instances/{made['instance']}/",
        "task page": f"/tasks/{made['task']}/",
    }.items():
        yield Figure(f"{name} p50", percentile(_times(session, base + path), 0.5), "ms", most=100)


def _signed_in(stack: Stack, made: dict[str, Any]) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.get(f"{stack.url}/sign-in/", timeout=10)
    account = {"username": made["username"], "password": made["password"]}
    token = {"csrfmiddlewaretoken": session.cookies["opscenter_csrf"]}
    session.post(f"{stack.url}/sign-in/", account | token, timeout=10).raise_for_status()
    return session


def _times(session: requests.Session, url: str) -> list[float]:
    """Milliseconds of each request, from sending it to the last byte."""
    times = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        answer = session.get(url, timeout=60, allow_redirects=False)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, (url, answer.status_code)
    return times


def _million(stack: Stack, lab: Lab) -> dict[str, Any]:
    if stack.port not in _made:
        demo = json.loads(stack.manage("demo", "--json"))
        account = next(one for one in demo["accounts"] if one["role"] == "role_project_pe")
        made = lab.ask("million", str(account["workspace_id"]), str(INSTANCES))
        _made[stack.port] = {**made, **account, "workspace": account["workspace_id"]}
    return _made[stack.port]
