"""The job a worker child executes: one attempt of one instance, from its claim to its end."""

import os
import re
import socket
import time
from collections.abc import Callable
from typing import TypeVar
from zoneinfo import ZoneInfo

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from opscenter.base import clock
from opscenter.engine import advance, attempts, freed
from opscenter.engine.attempts import Outcome
from opscenter.engine.joblog import JobLog
from opscenter.engine.stopping import StopSwitch
from opscenter.production.models import Attempt, LogChunk, Resource
from opscenter.production.rules import parameters

logger = structlog.get_logger(__name__)
R = TypeVar("R")
REFERENCE = re.compile(r'##@resource_reference\{\s*"([^"\n]+)"\s*\}')
_PATIENCE = 60.0  # seconds the database may be away before a result is given up; longer than any lease
_WAVES = 3  # what a child does of the waves after its own; the scheduler does the rest


def run_attempt(instance_id: int, number: int) -> None:
    """Execute an attempt. Never raises: whatever goes wrong becomes the attempt's outcome or the log's line."""
    try:
        attempt = _patiently(lambda: attempts.start(instance_id, number, pid=os.getpid(), host=socket.gethostname()))
        if attempt is not None:
            _run(attempt)
    except Exception:
        logger.exception("attempt.broken", instance=instance_id, attempt=number)
    finally:
        freed.tell()


def _run(attempt: Attempt) -> None:
    log = JobLog(
        attempt, lambda chunks: _patiently(lambda: LogChunk.objects.bulk_create(chunks, ignore_conflicts=True))
    )
    stop = StopSwitch(lambda: _patiently(lambda: _is_stopped(attempt)))
    stop.install()
    try:
        outcome = _execute(attempt, log, stop)
    except Exception as error:
        logger.exception("attempt.error", instance=attempt.instance_id, attempt=attempt.number)
        log.note(f"[opscenter] {type(error).__name__}: {error}")
        outcome = Outcome(Attempt.State.FAILURE, None, {"code": "attempt.error", "params": {"error": str(error)}})
    rest = log.close()
    if not _patiently(lambda: attempts.end(attempt, outcome, rest)):
        logger.warning("attempt.late", instance=attempt.instance_id, attempt=attempt.number)
    _patiently(lambda: advance.drain(max_waves=_WAVES))


def _execute(attempt: Attempt, log: JobLog, stop: StopSwitch) -> Outcome:
    # the runners import this floor; they are looked up when there is something to run
    from opscenter.engine.runners import RUNNERS
    from opscenter.engine.runners.base import Run

    instance, version = attempt.instance, attempt.version
    assert version is not None
    runner = RUNNERS[instance.node_type]
    zone = instance.task.workspace.tenant.time_zone
    context = parameters.Context(
        bizdate=instance.bizdate,
        scheduled_local=instance.scheduled_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None),
        current_date=clock.now().astimezone(ZoneInfo(zone)).date(),
        node_id=instance.task.number,
        workflow_id=instance.task.workflow.number if instance.task.workflow else 1,
        instance_id=instance.pk,
    )
    try:
        values = parameters.resolve(parameters.parse_assignments(version.parameters), context)
        content = parameters.substitute(version.content, values, context)
    except parameters.ParameterError as error:
        log.note(f"[opscenter] Scheduling parameters: {error}")
        return Outcome(
            Attempt.State.FAILURE, None, {"code": "attempt.parameters", "params": {"error": str(error)}}, rerun=False
        )
    attempt.parameters = values
    files, missing = _resources(attempt, content)
    if missing:
        log.note(f"[opscenter] Missing resources: {', '.join(missing)}")
        return Outcome(
            Attempt.State.FAILURE, None, {"code": "attempt.resource_missing", "params": {"names": missing}}, rerun=False
        )
    return runner(
        Run(
            attempt=attempt,
            content=content,
            positional=parameters.positional(values),
            environment={},
            time_zone=zone,
            timeout=version.timeout,
            files=files,
            log=log,
            stop=stop,
        )
    )


def _resources(attempt: Attempt, content: str) -> tuple[dict[str, str], list[str]]:
    """Content hashes of the resources that the script names, and the names that the workspace does not have."""
    names = list(dict.fromkeys(REFERENCE.findall(content)))
    if not names:
        return {}, []
    found: dict[str, str] = {}
    resources = Resource.objects.filter(workspace_id=attempt.instance.workspace_id, name__in=names, deleted_at=None)
    for resource in resources:
        latest = resource.versions.order_by("-number").first()
        if latest is not None:
            found[resource.name] = latest.blob_id
            attempt.resources[resource.name] = latest.number
    return found, [name for name in names if name not in found]


def _is_stopped(attempt: Attempt) -> bool:
    row = Attempt.objects.filter(pk=attempt.pk).values("state", "stop_requested_at").first()
    return row is None or row["state"] != Attempt.State.RUNNING or row["stop_requested_at"] is not None


def _patiently(action: Callable[[], R]) -> R:
    """Do it again while the database is away: a run that has ended must not be lost with a connection."""
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            return action()
        except (OperationalError, InterfaceError):
            if time.monotonic() > give_up or transaction.get_connection().in_atomic_block:
                raise
            connection.close()
            time.sleep(0.5)
