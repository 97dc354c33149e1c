"""Work inside a stack's own database, from a process with the stack's environment: graphs made, states read.

Run as ``python -m tests.processes.lab``; see ``serve``. Class Lab is the other end.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

BEAT = """for beat in $(seq {beats}); do
  echo "${{me}} $$ $(date +%s.%N)" >> {file}
  sleep 0.05
done
"""


class Lab:
    """Asks a stack's database, again and again while it is away. Use it as a context manager: its process ends with the block."""

    PATIENCE = 60.0

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.lab"],
            env=dict(env), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, *command: str) -> Any:
        """The answer to a command."""
        assert self._process.stdin is not None and self._process.stdout is not None
        give_up = time.monotonic() + self.PATIENCE
        while True:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
            reply = json.loads(self._process.stdout.readline())
            if "answer" in reply:
                return reply["answer"]
            assert time.monotonic() < give_up, reply["error"]
            time.sleep(0.3)

    def close(self) -> None:
        """The process ends, whatever it does now."""
        self._process.kill()
        with self._process, contextlib.suppress(BrokenPipeError):  # a command that nobody reads any more
            self._process.communicate()


def make(file: str, count: str, beats: str, says: str = "") -> list[int]:
    """``count`` ready shell instances whose run writes a line (instance, process, time) every 50 ms into ``file``; with
    ``says``, into its log too."""
    from opscenter.base import notify
    from tests.engine.graphs import Scene

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    script = BEAT.format(file=file, beats=beats)
    if says:
        script = script.replace("  sleep", "  echo beat\n  sleep")
    task = scene.task("shell", script, parameters="me=$taskid")
    made = scene.instances(task, int(count), reruns_left=1)
    notify.notify(notify.WORK)
    return [instance.pk for instance in made]


def chain(file: str, count: str) -> list[int]:
    """A chain of shell instances, each of which appends its time stamp to ``file``."""
    from opscenter.base import notify
    from tests.engine.graphs import Scene

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    task = scene.task("shell", f"echo $EPOCHREALTIME >> {file}")
    made = scene.instances(task, int(count), [(n, n + 1) for n in range(int(count) - 1)])
    notify.notify(notify.WORK)
    return [instance.pk for instance in made]


def no_ops(count: str) -> list[int]:
    """Ready shell instances that do nothing."""
    from opscenter.base import notify
    from tests.engine.graphs import Scene

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    made = scene.instances(scene.task("shell", "true"), int(count))
    notify.notify(notify.WORK)
    return [instance.pk for instance in made]


def layers(depth: str, width: str) -> list[int]:
    """Layers of virtual instances, each of which waits for two of the layer above; the scheduler runs them."""
    from opscenter.base import notify
    from tests.engine.graphs import Scene

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    made = scene.instances(scene.task("virtual"), int(depth) * int(width), grid(int(depth), int(width)))
    notify.notify(notify.DUE)
    return [instance.pk for instance in made]


def grid(depth: int, width: int) -> list[tuple[int, int]]:
    """Edges (upstream, downstream) between the numbers of a graph in layers, each node after two of the layer above."""
    return [
        ((row - 1) * width + above, row * width + column)
        for row in range(1, depth)
        for column in range(width)
        for above in (column, (column + 1) % width)
    ]


def waiting(upstream: str, downstream: str) -> list[int]:
    """``downstream`` virtual instances, each of which waits for all of ``upstream`` that nobody runs by itself: frozen."""
    from tests.engine.graphs import Scene

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    above = int(upstream)
    edges = [(a, above + b) for a in range(above) for b in range(int(downstream))]
    made = scene.instances(scene.task("virtual"), above + int(downstream), edges, frozen=True)
    return [instance.pk for instance in made]


def gates(count: str) -> dict[str, Any]:
    """Instances of an HTTP trigger node that wait for their call, and an access key that may make it."""
    from opscenter.workspaces import access_keys
    from opscenter.workspaces.models import Member
    from tests.engine.graphs import Scene

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    Member.objects.create(workspace=scene.workspace, user=scene.user, roles=["role_project_admin"])
    key, secret = access_keys.create(scene.user)
    made = scene.instances(scene.task("http_trigger"), int(count))
    return {
        "key": key.key_id,
        "secret": secret,
        "task": made[0].task.number,
        "times": [int(instance.scheduled_at.timestamp() * 1_000_000) // 1000 for instance in made],
    }


def finish(first: str, last: str, part: str, parts: str, batch: str) -> float:
    """End every ``parts``-th of these instances, from ``part`` on, in batches; the seconds that took."""
    from opscenter.engine import advance
    from opscenter.production.rules.states import State

    ids = list(range(int(first), int(last) + 1))[int(part) :: int(parts)]
    began = time.monotonic()
    for start in range(0, len(ids), int(batch)):
        advance.finish(ids[start : start + int(batch)], {State.WAIT_RESOURCE}, State.SUCCESS)
    return time.monotonic() - began


def wrong_counts(first: str, last: str) -> int:
    """Instances whose count is not the number of their edges that are not met."""
    from opscenter.base import sql

    return int(
        sql.rows(
            """SELECT count(*) FROM production_taskinstance i
               WHERE i.id BETWEEN %(first)s::bigint AND %(last)s::bigint AND i.unmet <> (
                   SELECT count(*) FROM production_instanceedge e WHERE e.downstream_id = i.id AND NOT e.met)""",
            {"first": int(first), "last": int(last)},
        )[0][0]
    )


def transitions(first: str, last: str) -> dict[str, float]:
    """How many transitions these instances made, and the seconds between the first and the last of them."""
    from django.db.models import Count, Max, Min

    from opscenter.production.models import Transition

    found = Transition.objects.filter(instance__gte=first, instance__lte=last).aggregate(
        n=Count("pk"), first=Min("at"), last=Max("at")
    )
    return {"count": found["n"], "seconds": (found["last"] - found["first"]).total_seconds()}


def states(first: str, last: str) -> dict[str, int]:
    """How many of the instances with these ids are in each state."""
    from django.db.models import Count

    from opscenter.production.models import TaskInstance
    from opscenter.production.rules.states import State

    rows = TaskInstance.objects.filter(pk__range=(first, last)).values("state").annotate(n=Count("pk"))
    return {State(row["state"]).name: row["n"] for row in rows}


def running(first: str, last: str) -> list[int]:
    """The children that run an attempt of these instances now."""
    from opscenter.production.models import Attempt

    live = Attempt.objects.filter(
        instance__gte=first, instance__lte=last, state=Attempt.State.RUNNING, pid__isnull=False
    )
    return [pid for pid in live.values_list("pid", flat=True) if pid is not None]


def attempts(first: str, last: str) -> dict[str, int]:
    """How many attempts of these instances ended in each way."""
    from django.db.models import Count

    from opscenter.production.models import Attempt

    rows = Attempt.objects.filter(instance__gte=first, instance__lte=last).values("state").annotate(n=Count("pk"))
    return {row["state"]: row["n"] for row in rows}


def schedulers() -> dict[str, bool]:
    """The schedulers that said so themselves, by process id, and whether they lead; a killed one stays for a while."""
    from opscenter.base.models import Process

    rows = Process.objects.filter(kind=Process.Kind.SCHEDULER)
    return {str(row.pid): row.details["leader"] for row in rows}


def live_workers() -> int:
    """Workers that are registered now."""
    from opscenter.base.models import Process

    return Process.objects.filter(kind=Process.Kind.WORKER).count()


def reruns_left(first: str, last: str) -> dict[int, int]:
    """How many of these instances have how many automatic reruns left."""
    from django.db.models import Count

    from opscenter.production.models import TaskInstance

    rows = TaskInstance.objects.filter(pk__range=(first, last)).values("reruns_left").annotate(n=Count("pk"))
    return {row["reruns_left"]: row["n"] for row in rows}


def lost_at(first: str, last: str) -> float:
    """When the first lost attempt of these instances was closed, on the Unix clock."""
    from django.db.models import Min

    from opscenter.production.models import Attempt

    lost = Attempt.objects.filter(instance__gte=first, instance__lte=last, state=Attempt.State.LOST)
    return float(lost.aggregate(at=Min("finished_at"))["at"].timestamp())


COMMANDS = (
    make,
    chain,
    no_ops,
    layers,
    waiting,
    gates,
    finish,
    wrong_counts,
    transitions,
    states,
    running,
    attempts,
    schedulers,
    live_workers,
    reruns_left,
    lost_at,
)


def serve() -> None:
    """Answer commands, one JSON list a line, each by one JSON line: ``{"answer": ...}`` or ``{"error": ...}``."""
    from django.db import connection

    from tests.processes import (
        lab_chaos,
        lab_checks,
        lab_deliveries,
        lab_events,
        lab_jobs,
        lab_million,
        lab_night,
        lab_scheduling,
    )

    more = (lab_chaos, lab_checks, lab_deliveries, lab_events, lab_jobs, lab_million, lab_night, lab_scheduling)
    known = (*COMMANDS, *(command for one in more for command in one.COMMANDS))
    commands: dict[str, Any] = {f.__name__: f for f in known}
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            reply = {"answer": commands[name](*arguments)}
        except Exception as error:
            connection.close()
            reply = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opscenter.settings")
    import django

    django.setup()
    serve()
