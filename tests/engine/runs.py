"""Runs of instances in this process, from the claim to the end."""

import re
from typing import Any

from opscenter.engine import claim
from opscenter.engine.run import run_attempt
from opscenter.production.models import Attempt, TaskInstance, Transition
from opscenter.production.selectors import log_text
from tests.engine.graphs import Scene

WORKER = 77
"""The number that claims are made under; nobody renews its leases."""


def shell(scene: Scene, content: str, **version: Any) -> TaskInstance:
    """A ready instance of a shell task with this script."""
    return ready(scene, "shell", content, **version)


def ready(scene: Scene, node_type: str, content: str, **version: Any) -> TaskInstance:
    """A ready instance of a task with this code; its automatic reruns as the version says."""
    task = scene.task(node_type, content, **version)
    return scene.instances(task, 1, reruns_left=version.get("rerun_times", 0))[0]


def execute(instance: TaskInstance) -> Attempt:
    """Claim the instance and run the attempt to its end; the only instance that is ready."""
    (claimed,) = claim.claim(WORKER, 1)
    assert claimed.instance == instance.pk
    run_attempt(claimed.instance, claimed.attempt)
    instance.refresh_from_db()
    return Attempt.objects.get(instance=instance, number=claimed.attempt)


def output(scene: Scene, content: str, **version: Any) -> str:
    """What a script that succeeds prints."""
    attempt = execute(shell(scene, content, **version))
    assert attempt.state == Attempt.State.SUCCESS, (attempt.reason, log_text(attempt))
    return log_text(attempt)


def code_of(row: Attempt | TaskInstance | Transition) -> str | None:
    """The code of the reason; None without one."""
    return row.reason["code"] if row.reason else None


def sql(scene: Scene, content: str, data_source: str = "warehouse", **version: Any) -> TaskInstance:
    """A ready instance of a SQL task with this script."""
    return ready(scene, "sql", content, data_source=data_source, **version)


def sql_output(scene: Scene, content: str, **version: Any) -> str:
    """What the log says of a script that succeeds: without the lines about the connection, and every duration as T."""
    attempt = execute(sql(scene, content, **version))
    assert attempt.state == Attempt.State.SUCCESS, (attempt.reason, log_text(attempt))
    lines = log_text(attempt).splitlines()[2:]
    return re.sub(r"\b[0-9.]+ (ms|s)$", "T", "\n".join(lines), flags=re.MULTILINE)
