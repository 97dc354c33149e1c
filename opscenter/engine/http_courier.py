"""The courier of HTTP nodes: sends the turns that are due, each in a thread, and records what they came to.

One thread starts and claims, one records; those that wait for answers hold no database connection. Deliveries to
extensions have room of their own, so neither keeps the other waiting; here each host has a share.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from threading import Lock, Thread
from types import TracebackType
from zoneinfo import ZoneInfo

import structlog
from django.db import InterfaceError, OperationalError

from extensions.desk import Desk
from opscenter.base import outbound
from opscenter.base.reasons import Reason, say
from opscenter.base.secrets import SecretUnreadable
from opscenter.engine import http_calls
from opscenter.engine.attempts import Outcome
from opscenter.engine.http_calls import Parcel, Result, failed
from opscenter.production import http_requests, http_settings
from opscenter.production.models import Attempt

logger = structlog.get_logger(__name__)

MOST = 400
"""Requests under way at once, of one courier."""
PER_HOST = 256
RESERVED = 100
"""Room that only hosts with few requests under way may take."""
FEW = 10
MOST_BODY = 256 * 1024
MOST_UNANSWERED = 3
"""Polls in a row without any answer, after which the run fails."""
LOG_EVERY = 20
"""Polls with the same answer, of which one is logged."""
_LOOK_AGAIN = timedelta(milliseconds=100)
_NOT_ARRIVED = frozenset({"outbound.dns", "outbound.connect", "outbound.tls"})
"""No answer because nothing was sent."""


def rooms(hosts: Iterable[str], under_way: Counter[str], most: int = MOST) -> dict[str, int]:
    """How many requests may start now at each of these hosts, in the order in which they are given; without the zeros."""
    free = most - under_way.total()
    found = {}
    for host in hosts:
        busy = under_way[host]
        few = min(free, max(0, FEW - busy))
        room = min(PER_HOST - busy, max(few, free - RESERVED))
        if room > 0:
            found[host] = room
            free -= room
    return found


class HttpCourier:
    """Runs HTTP nodes while the block lasts; ``run_due`` is its due source. A poll under way at the end is sent again; a
    submit has ``patience`` seconds to get its answer."""

    def __init__(self, *, patience: float = 3.0) -> None:
        self._patience = patience
        self._lock = Lock()
        self._under_way: dict[tuple[int, int], Parcel] = {}

    def __enter__(self) -> "HttpCourier":
        self._results = Desk("calls", self._record)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        give_up = time.monotonic() + self._patience
        while self._under_way and time.monotonic() < give_up:
            time.sleep(0.02)
        with self._lock:
            left = list(self._under_way.values())
        for parcel in left:
            if parcel.is_poll:
                self._results.put(Result(parcel, None, line=parcel.last_line, at_once=True))
        if not self._results.close(1.5):
            logger.warning("calls.left_unrecorded")

    @property
    def under_way(self) -> int:
        """How many requests wait for their answer."""
        return len(self._under_way)

    def run_due(self) -> datetime | None:
        """Start what is ready, send what is due and has room; returns when to look again, None for when we are told."""
        while http_calls.start_ready() == http_calls.START:
            pass
        while True:
            now, waiting = http_calls.waiting()
            with self._lock:
                busy = Counter(parcel.host for parcel in self._under_way.values())
                mine = [attempt for attempt, _turn in self._under_way]
            found = rooms((one.host for one in waiting if one.due_at <= now), busy)
            parcels = http_calls.claim(found, mine) if found else []
            if not parcels:
                # where all room is taken, what frees some wakes us
                able = [one for one in waiting if one.due_at > now or one.host in found]
                return min((max(one.due_at, now + _LOOK_AGAIN) for one in able), default=None)
            for parcel in parcels:
                self._start(parcel)

    def _start(self, parcel: Parcel) -> None:
        with self._lock:
            self._under_way[parcel.attempt, parcel.turn] = parcel
        if parcel.outcome is not None:
            self._results.put(Result(parcel, parcel.outcome, [_stamp(parcel, _words(parcel.outcome))]))
            return
        try:
            Thread(target=self._send, args=(parcel,), name=f"call {parcel.attempt}", daemon=True).start()
        except RuntimeError:  # no more threads; nothing was sent
            logger.exception("call.no_thread")
            self._results.put(Result(parcel, failed("attempt.error", error="no thread")))

    def _send(self, parcel: Parcel) -> None:
        try:
            result = request(parcel)
        except (Exception, SystemExit):  # Misconfigured is one
            logger.exception("call.broken", attempt=parcel.attempt)
            result = Result(parcel, failed("attempt.error", rerun=parcel.is_poll, error="see the courier's log"))
        self._results.put(result)

    def _record(self, results: Sequence[Result]) -> Sequence[Result]:
        try:
            http_calls.record(results)
        except (OperationalError, InterfaceError):
            raise  # it comes here again; until then its request counts as under way
        except Exception:
            if len(results) == 1:
                self._forget(results)
            raise
        self._forget(results)
        return []

    def _forget(self, results: Sequence[Result]) -> None:
        with self._lock:
            for result in results:
                self._under_way.pop((result.parcel.attempt, result.parcel.turn), None)


def request(parcel: Parcel) -> Result:
    """Make the request of a turn; what it came to."""
    kept = parcel.plan["poll" if parcel.is_poll else "submit"]
    key = "" if parcel.is_poll else f"opscenter-{parcel.instance}-{parcel.number}"
    try:
        letter = http_requests.letter(kept, parcel.task_id if parcel.is_poll else "", key)
        hidden = http_requests.hidden(parcel.plan)
    except SecretUnreadable:
        return Result(parcel, failed("http.secret", rerun=False), [_stamp(parcel, say("http.secret"))])
    asked = _stamp(parcel, http_requests.redacted(f"{letter.method} {letter.url}", hidden))
    if letter.body and not parcel.is_poll:
        asked += "  " + http_requests.redacted(letter.body.decode(), hidden)
    began = time.monotonic()
    try:
        answer = outbound.send(
            letter.method,
            letter.url,
            headers=letter.wire_headers,
            body=letter.body,
            timeout=parcel.seconds,
            most=MOST_BODY,
        )
    except outbound.OutboundError as error:
        return _unanswered(parcel, error, asked, hidden)
    said = http_requests.redacted(answer.body.decode(errors="replace"), hidden)
    line = f"{answer.status} {said}".rstrip()
    settings = http_settings.read(parcel.plan["content"])
    judge = http_requests.judge_poll if parcel.is_poll else http_requests.judge_submit
    verdict = judge(settings, answer.status, answer.body)
    told = [asked, _stamp(parcel, f"{line}  ({round((time.monotonic() - began) * 1000)} ms)")]
    if verdict.goes_on:
        seen = parcel.is_poll and line == parcel.last_line and (parcel.polls + 1) % LOG_EVERY != 0
        return Result(parcel, None, [] if seen else told, line, verdict.task_id)
    outcome = Outcome(Attempt.State.SUCCESS)
    if verdict.failure is not None:
        outcome = failed(verdict.failure.code, **_hidden(verdict.failure, hidden).params)
        told.append(_stamp(parcel, _words(outcome)))
    return Result(parcel, outcome, told, line)


def _hidden(reason: Reason, hidden: tuple[str, ...]) -> Reason:
    """A service may say our secret back to us."""
    params = {
        name: http_requests.redacted(value, hidden) if isinstance(value, str) else value
        for name, value in reason.params.items()
    }
    return Reason(reason.code, params)


def _unanswered(parcel: Parcel, error: outbound.OutboundError, asked: str, hidden: tuple[str, ...]) -> Result:
    """No answer. A poll is asked again some times; a submit that may have arrived is not made again by itself."""
    reason = _hidden(error.reason, hidden)
    told = [asked, _stamp(parcel, http_requests.redacted(str(error), hidden))]
    if parcel.limit is not None and reason.code == "outbound.timeout":
        return Result(parcel, parcel.limit, [*told, _stamp(parcel, _words(parcel.limit))])
    refused = isinstance(error, outbound.TargetRefused)
    if parcel.is_poll and not refused and parcel.unanswered + 1 < MOST_UNANSWERED:
        return Result(parcel, None, told, parcel.last_line, unanswered=parcel.unanswered + 1)
    safe = http_settings.read(parcel.plan["content"]).safe_to_repeat
    arrived = not (refused or reason.code in _NOT_ARRIVED)
    if not parcel.is_poll and not safe and (arrived or parcel.repeats):
        return Result(parcel, failed("http.no_answer", rerun=False, why=reason.as_json()), told)
    return Result(parcel, failed(reason.code, **reason.params), told)


def _words(outcome: Outcome) -> str:
    assert outcome.reason is not None, "what ends without an answer has a reason"
    return say(outcome.reason["code"], outcome.reason["params"])


def _stamp(parcel: Parcel, text: str) -> str:
    local = datetime.now(ZoneInfo(parcel.plan["zone"]))  # this host's clock: a thread that sends asks no database
    return f"[opscenter] {local:%Y-%m-%d %H:%M:%S} {text}"
