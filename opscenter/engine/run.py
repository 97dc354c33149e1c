"""The job a worker child executes: one attempt of one instance, from its claim to its end."""

import os
import re
import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from opscenter.engine import advance, attempts, children, claim, run_parameters
from opscenter.engine.advance import Wave
from opscenter.engine.attempts import Outcome, Running
from opscenter.engine.children import Worker
from opscenter.engine.joblog import JobLog
from opscenter.engine.runners import RUNNERS
from opscenter.engine.runners.base import Run
from opscenter.engine.stopping import StopSwitch
from opscenter.production.models import Attempt, LogChunk, Resource
from opscenter.production.rules import parameters

logger = structlog.get_logger(__name__)
R = TypeVar("R")
_HOST = socket.gethostname()
REFERENCE = re.compile(r'##@resource_reference\{\s*"([^"\n]+)"\s*\}')
_PATIENCE = 60.0  # seconds the database may be away before a result is given up; longer than any lease
_STRETCH = 5.0  # seconds a child goes on by itself before it sees whether something else waits in its queue
_WAVES = 3  # what a child does of the waves after its own; the scheduler does the rest


def run_attempt(instance_id: int, number: int) -> None:
    """Execute an attempt, and as long as there are ready instances the next ones: a child that has work keeps working,
    without a way through the queues between two runs.

    Never raises: whatever goes wrong becomes the attempt's outcome or the log's line.
    """
    worker = children.here()
    if worker is not None:
        worker.roster.enter()
    try:
        if worker is not None and worker.roster.closing:  # claimed just before the worker was asked to stop
            _patiently(lambda: claim.give_back(instance_id, number))
            return
        running = _patiently(lambda: _start(instance_id, number, worker))
        go_home = time.monotonic() + _STRETCH
        while running is not None:
            running = _run(running, worker if time.monotonic() < go_home else None)
    except Exception:
        logger.exception("attempt.broken", instance=instance_id, attempt=number)
    finally:
        if worker is not None:
            worker.roster.leave()


def _start(instance_id: int, number: int, worker: Worker | None) -> Running | None:
    asked = children.clock()
    running = attempts.start(
        instance_id, number, worker=None if worker is None else worker.id, pid=os.getpid(), host=_HOST
    )
    return _asked_at(asked, running)


def _asked_at(asked: float, running: Running | None) -> Running | None:
    if running is not None:
        running.asked = asked
    return running


def _run(running: Running, worker: Worker | None = None) -> Running | None:
    """One attempt from its start to its end, and the first of the waves behind it; for a worker, the next attempt."""
    log = JobLog(running.id, running.bizdate, _store)
    here = children.here()
    stop = StopSwitch(
        lambda: _patiently(lambda: _is_stopped(running)),
        lambda: here is not None and here.roster.lease_is_over(running.asked),
    )
    stop.install(watch=here is not None)
    try:
        outcome = _execute(running, log, stop)
    except Exception as error:
        logger.exception("attempt.error", instance=running.instance, attempt=running.number)
        log.note(f"[opscenter] {type(error).__name__}: {error}")
        outcome = _failure("attempt.error", error=str(error), rerun=True)
    if stop.abandoned and outcome.state is not Attempt.State.SUCCESS:
        _store(log.close())
        handed_over = here is not None and here.roster.closing
        _patiently(lambda: attempts.lose(running.id, handed_over=handed_over))
        return None
    wave, following = _end(running, outcome, log.close(), worker)
    if wave is None:
        logger.warning("attempt.late", instance=running.instance, attempt=running.number)
    elif wave.has_next:
        _patiently(lambda: advance.drain(max_waves=_WAVES))
    return following


def _end(
    running: Running, outcome: Outcome, rest: list[LogChunk], worker: Worker | None
) -> tuple[Wave | None, Running | None]:
    if worker is None or worker.roster.closing:
        return _patiently(lambda: attempts.end(running, outcome, rest)), None
    return _patiently(lambda: _end_and_take(running, outcome, rest, worker))


def _end_and_take(
    running: Running, outcome: Outcome, rest: list[LogChunk], worker: Worker
) -> tuple[Wave | None, Running | None]:
    asked = children.clock()
    wave, following = attempts.end_and_take(running, outcome, rest, worker=worker.id, groups=worker.groups)
    return wave, _asked_at(asked, following)


def _store(chunks: list[LogChunk]) -> None:
    _patiently(lambda: LogChunk.objects.bulk_create(chunks, ignore_conflicts=True))


def _execute(running: Running, log: JobLog, stop: StopSwitch) -> Outcome:
    context = run_parameters.context_of(running)
    try:
        values = run_parameters.resolve(running, context)
        content = parameters.substitute(running.content, values, context)
    except parameters.ParameterError as error:
        log.note(f"[opscenter] Scheduling parameters: {error}")
        return _failure("attempt.parameters", problem=error.reason.as_json())
    files, missing = _resources(running, content)
    if missing:
        log.note(f"[opscenter] Missing resources: {', '.join(missing)}")
        return _failure("attempt.resource_missing", names=missing)
    job = Run(
        label=f"{running.instance}/{running.number}",
        content=content,
        values=values,
        positional=parameters.positional(values),
        time_zone=running.time_zone,
        timeout=running.timeout,
        workspace=running.workspace,
        environment=running.environment,
        data_source=running.data_source,
        files=files,
        log=log,
        stop=stop,
    )
    return RUNNERS[running.node_type](job)


def _failure(code: str, *, rerun: bool = False, **params: Any) -> Outcome:
    return Outcome(Attempt.State.FAILURE, None, {"code": code, "params": params}, rerun=rerun)


def _resources(running: Running, content: str) -> tuple[dict[str, str], list[str]]:
    """Content hashes of the resources that the script names, and the names that the workspace does not have."""
    names = list(dict.fromkeys(REFERENCE.findall(content)))
    if not names:
        return {}, []
    found: dict[str, str] = {}
    resources = Resource.objects.filter(workspace=running.workspace, name__in=names, deleted_at=None)
    for resource in resources:
        latest = resource.versions.order_by("-number").first()
        if latest is not None:
            found[resource.name] = latest.blob_id
            running.resources[resource.name] = latest.number
    return found, [name for name in names if name not in found]


def _is_stopped(running: Running) -> bool:
    row = Attempt.objects.filter(pk=running.id).values("state", "stop_requested_at").first()
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
