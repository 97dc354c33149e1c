"""Runs of HTTP nodes as rows: started, claimed for one request, recorded, ended. No worker, no slot, no connection held.

A submit is made once. "Submitting" is stored before the request goes out, and the service's task id in the transaction
that starts polling. A request that may have arrived and has no answer is sent again, with the same idempotency key, only
where the node says that this is safe; otherwise the run fails and says so, and is not rerun by itself. A poll that a
courier took along in its death is simply sent again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from opscenter.base import clock, notify, sql
from opscenter.base.reasons import Invalid, Reason
from opscenter.engine import attempts, run_parameters
from opscenter.engine.attempts import Outcome, Running
from opscenter.engine.locks import lock_with_downstream, repeated
from opscenter.production import http_requests, http_settings
from opscenter.production.models import Attempt, HttpCall, LogChunk
from opscenter.production.rules import parameters

START = 200
"""Instances started in one transaction."""
_LOST_AFTER = 10
"""Seconds beyond a request's timeout after which its courier counts as dead."""
Phase = HttpCall.Phase


@dataclass(frozen=True)
class Parcel:
    """One turn of a call; needs no database any more.

    Attributes:
        repeats: an earlier request may have arrived.
        outcome: how the attempt ends without any request.
        seconds: for the request.
        last_line: of the latest answer in the log.
        limit: how the attempt ends if ``seconds`` pass, where it is the node's timeout that ends then.
    """

    attempt: int
    turn: int
    instance: int
    number: int
    bizdate: Any
    phase: str
    host: str
    plan: Mapping[str, Any]
    task_id: str
    polls: int
    unanswered: int
    last_line: str
    seconds: float
    repeats: bool = False
    outcome: Outcome | None = None
    limit: Outcome | None = None

    @property
    def is_poll(self) -> bool:
        """It asks how the task is, and may be asked any number of times."""
        return self.phase in (Phase.POLL, Phase.POLLING)


@dataclass(frozen=True)
class Result:
    """What a turn came to: the attempt's end, or (``outcome`` is None) that polling goes on.

    Attributes:
        task_id: the service's, where this turn was the submit.
        line: of the answer, without the time it took; the same again is not logged each time.
    """

    parcel: Parcel
    outcome: Outcome | None
    lines: Sequence[str] = ()
    line: str = ""
    task_id: str = ""
    unanswered: int = 0
    at_once: bool = False


@repeated
def start_ready() -> int:
    """Start ready instances; returns how many. What can be said of one without a request is said by its first turn."""
    started = attempts.start_calls(START)
    now = clock.now()
    HttpCall.objects.bulk_create(_call(running, now) for running in started)
    return len(started)


def _call(running: Running, now: datetime) -> HttpCall:
    plan = _plan(running)
    ends_at = running.started_at + timedelta(seconds=running.timeout) if running.timeout else None
    host = http_requests.host_of(plan.get("submit", {}).get("url", ""))
    return HttpCall(attempt_id=running.id, host=host, due_at=now, ends_at=ends_at, plan=plan)


def _plan(running: Running) -> dict[str, Any]:
    """The requests of an attempt, with its parameters put in."""
    plan: dict[str, Any] = {"zone": running.time_zone, "timeout": 1, "content": running.content}
    context = run_parameters.context_of(running)
    try:
        settings = http_settings.read(running.content)
        plan |= {"timeout": settings.request_timeout}
        if not settings.executes:
            return plan | {"skipped": True}
        values = run_parameters.resolve(running, context)
        fill = partial(parameters.substitute, values=values, context=context)
        plan |= {"parameters": values, "parameter_sources": running.parameter_sources}
        plan |= {"submit": http_requests.filled(settings.ask, fill)}
        if settings.polling is not None:
            plan |= {"poll": http_requests.filled(settings.polling.ask, fill), "interval": settings.polling.interval}
        return plan
    except parameters.ParameterError as error:
        return plan | {"problem": Reason("attempt.parameters", {"problem": error.reason.as_json()}).as_json()}
    except Invalid as error:
        return plan | {"problem": error.reason.as_json()}


@dataclass(frozen=True)
class Waiting:
    """The nearest turn at a host."""

    host: str
    due_at: datetime


def waiting() -> tuple[datetime, list[Waiting]]:
    """The moment, and for each host the nearest turn; by time. Goes from host to host in the index."""
    found = sql.rows(
        """WITH RECURSIVE nearest AS (
             (SELECT host, due_at FROM production_httpcall ORDER BY host, due_at LIMIT 1)
             UNION ALL
             SELECT next.host, next.due_at FROM nearest CROSS JOIN LATERAL (
               SELECT host, due_at FROM production_httpcall WHERE host > nearest.host
               ORDER BY host, due_at LIMIT 1) next)
           SELECT statement_timestamp(), host, due_at FROM nearest ORDER BY due_at""",
        {},
    )
    return (found[0][0] if found else clock.now()), [Waiting(host, due_at) for _now, host, due_at in found]


@transaction.atomic
def claim(rooms: Mapping[str, int], mine: Collection[int]) -> list[Parcel]:
    """Claim due turns, at each host as many as there is room for.

    Args:
        mine: attempts with a request under way here. An answer that is late to be recorded is not a dead courier; only a
            stop and the end of the timeout do not wait for it.
    """
    claimed = sql.rows(
        """WITH chosen AS MATERIALIZED (
             SELECT one.attempt_id, one.phase
             FROM unnest(%(hosts)s::text[], %(rooms)s::int[]) AS room(host, n)
             CROSS JOIN LATERAL (
               SELECT c.attempt_id, c.phase FROM production_httpcall c
               WHERE c.host = room.host AND c.due_at <= statement_timestamp()
               AND (c.attempt_id <> ALL(%(mine)s::bigint[]) OR c.ends_at <= statement_timestamp() OR EXISTS (
                    SELECT 1 FROM production_attempt a WHERE a.id = c.attempt_id AND a.stop_requested_at IS NOT NULL))
               ORDER BY c.due_at LIMIT room.n FOR UPDATE OF c SKIP LOCKED) one)
           UPDATE production_httpcall c SET
             turn = c.turn + 1, claimed_at = statement_timestamp(),
             due_at = statement_timestamp() + make_interval(secs => (c.plan->>'timeout')::int + %(lost)s::int),
             phase = CASE c.phase WHEN 'submit' THEN 'submitting' WHEN 'poll' THEN 'polling' ELSE c.phase END
           FROM chosen WHERE c.attempt_id = chosen.attempt_id
           RETURNING c.attempt_id, chosen.phase""",
        {"hosts": list(rooms), "rooms": list(rooms.values()), "mine": list(mine), "lost": _LOST_AFTER},
    )
    was = dict(claimed)
    # a second look: a stop that was committed since the first statement began is seen by this one
    calls = HttpCall.objects.filter(pk__in=was).select_related("attempt__instance").order_by("claimed_at", "pk")
    now = clock.now()
    return [_parcel(call, was[call.pk], now) for call in calls]


def _parcel(call: HttpCall, was: str, now: datetime) -> Parcel:
    attempt = call.attempt
    left = (call.ends_at - now).total_seconds() if call.ends_at else None
    seconds = call.plan["timeout"] if left is None else min(call.plan["timeout"], left)
    return Parcel(
        attempt=attempt.pk,
        turn=call.turn,
        instance=attempt.instance_id,
        number=attempt.number,
        bizdate=attempt.instance.bizdate,
        phase=was,
        host=call.host,
        plan=call.plan,
        task_id=call.task_id,
        polls=call.polls,
        unanswered=call.unanswered,
        last_line=call.last_line,
        seconds=max(0.1, seconds),
        repeats=was == Phase.SUBMITTING,
        outcome=_outcome_without_request(call, was, left),
        limit=timed_out(attempt, call.ends_at) if left is not None and left <= call.plan["timeout"] else None,
    )


def _outcome_without_request(call: HttpCall, was: str, left: float | None) -> Outcome | None:
    plan = call.plan
    if call.attempt.stop_requested_at is not None:
        return failed("attempt.stopped", rerun=False)
    if plan.get("skipped"):
        return Outcome(Attempt.State.SUCCESS, None, {"code": "http.not_executed", "params": {}})
    if plan.get("problem"):
        return failed(plan["problem"]["code"], rerun=False, **plan["problem"]["params"])
    if left is not None and left <= 0:
        return timed_out(call.attempt, call.ends_at)
    if was == Phase.SUBMITTING and not http_settings.read(plan["content"]).safe_to_repeat:
        return failed("http.unknown", rerun=False)
    return None


def failed(code: str, *, rerun: bool = True, **params: Any) -> Outcome:
    """A failure with its reason."""
    return Outcome(Attempt.State.FAILURE, None, {"code": code, "params": params}, rerun=rerun)


def timed_out(attempt: Attempt, ends_at: datetime | None) -> Outcome:
    """The end of the node's timeout; as for every node it is not rerun by itself."""
    assert ends_at is not None and attempt.started_at is not None, "it has a timeout, and was started"
    return failed("attempt.timeout", rerun=False, seconds=round((ends_at - attempt.started_at).total_seconds()))


def record(results: Sequence[Result]) -> None:
    """Store what turns came to. One that is late, since another turn was claimed or the attempt ended, changes nothing."""
    going = [result for result in results if result.outcome is None]
    if going:
        _go_on(going)
    for result in results:
        if result.outcome is not None:
            _end(result, result.outcome)
    notify.notify(notify.COURIER)  # what was freed may be taken


@transaction.atomic
def _go_on(results: Sequence[Result]) -> None:
    """Polling goes on, or starts. A row whose time was moved up meanwhile is to stop, and keeps that time."""
    by_attempt = {result.parcel.attempt: result for result in results}
    stored = sql.rows(
        """WITH given AS MATERIALIZED (
             SELECT * FROM unnest(
               %(attempts)s::bigint[], %(turns)s::int[], %(waits)s::int[], %(hosts)s::text[], %(task_ids)s::text[],
               %(polls)s::int[], %(unanswered)s::int[], %(lines)s::text[], %(logs)s::int[]
             ) AS g(attempt_id, turn, wait, host, task_id, polls, unanswered, line, logs))
           UPDATE production_httpcall c SET
             phase = 'poll', host = g.host, task_id = g.task_id, polls = c.polls + g.polls, unanswered = g.unanswered,
             last_line = g.line, log_seq = c.log_seq + g.logs,
             due_at = CASE WHEN c.due_at <= clock_timestamp() THEN c.due_at ELSE least(c.ends_at, greatest(
               clock_timestamp(), make_interval(secs => g.wait)
               + CASE WHEN g.polls = 1 THEN c.claimed_at ELSE clock_timestamp() END)) END
           FROM given g WHERE c.attempt_id = g.attempt_id AND c.turn = g.turn
           RETURNING c.attempt_id, c.log_seq - g.logs""",
        {
            "attempts": list(by_attempt),
            "turns": [r.parcel.turn for r in results],
            "waits": [0 if r.at_once else r.parcel.plan["interval"] for r in results],
            "hosts": [http_requests.host_of(r.parcel.plan["poll"]["url"]) for r in results],
            "task_ids": [r.task_id or r.parcel.task_id for r in results],
            "polls": [int(r.parcel.is_poll) for r in results],
            "unanswered": [r.unanswered for r in results],
            "lines": [r.line for r in results],
            "logs": [int(bool(r.lines)) for r in results],
        },
    )
    chunks = [_chunk(by_attempt[pk], seq) for pk, seq in stored if by_attempt[pk].lines]
    LogChunk.objects.bulk_create(chunks, ignore_conflicts=True)


def _chunk(result: Result, seq: int) -> LogChunk:
    text = "".join(f"{line}\n" for line in result.lines)
    return LogChunk(attempt_id=result.parcel.attempt, seq=seq, bizdate=result.parcel.bizdate, text=text)


@repeated
def _end(result: Result, outcome: Outcome) -> None:
    parcel = result.parcel
    lock_with_downstream([parcel.instance])
    gone = sql.rows(
        """DELETE FROM production_httpcall WHERE attempt_id = %(attempt)s::bigint AND turn = %(turn)s::int
           RETURNING log_seq""",
        {"attempt": parcel.attempt, "turn": parcel.turn},
    )
    running = attempts.resumed(parcel.attempt) if gone else None
    if running is None:
        return
    running.parameters = dict(parcel.plan.get("parameters", {}))
    running.parameter_sources = parcel.plan.get("parameter_sources")
    wave = attempts.end(running, outcome, [_chunk(result, gone[0][0])] if result.lines else [])
    if wave is not None and wave.has_next:
        notify.notify(notify.DUE)


def hurry(instances: Sequence[int]) -> None:
    """A stop was asked for: the courier looks at these at once. Inside the transaction that asks."""
    calls = HttpCall.objects.filter(attempt__instance__in=instances, attempt__state=Attempt.State.RUNNING)
    if calls.update(due_at=clock.now()):
        notify.notify(notify.COURIER)
