"""What became of tries: kept, and what follows from it for the deliveries, their receivers and their checks."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from django.db import transaction

from extensions import endpoints, rules
from extensions.models import Check, Delivery
from extensions.outbox import CHANNELS, LOST_AFTER, Fate, Lane, Parcel
from opscenter.base import clock, notify, sql
from opscenter.base.reasons import Reason

MOST_REPLAY_TRIES = 5
NOTICE_FOR = timedelta(days=3)
"""How long a regular event is tried; it can be sent again by hand after that."""
_ASKS_TO_WAIT = frozenset({429, 502, 503, 504})
"""Answers whose Retry-After is honoured."""


@dataclass(frozen=True)
class Result:
    """What became of a try.

    Attributes:
        retry_after: the answer's header of that name, as it came.
    """

    parcel: Parcel
    fate: Fate
    milliseconds: int | None = None
    status: int | None = None
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    answer_body: str = ""
    retry_after: str = ""
    reason: Reason | None = None


def fate_of(status: int) -> Fate:
    """What an answer means: only 2xx is success, a redirect is none, and 410 is for good."""
    if 200 <= status < 300:
        return Fate.DELIVERED
    return Fate.GONE if status == 410 else Fate.AGAIN


def seconds_asked(status: int | None, retry_after: str, now: datetime) -> float | None:
    """How long a receiver asks us to wait: Retry-After in seconds or as a date; None without, or when unreadable."""
    given = retry_after.strip()
    if status not in _ASKS_TO_WAIT or not given:
        return None
    if given.isascii() and given.isdigit():
        return float(given[:9])
    try:
        until = parsedate_to_datetime(given)
        return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):  # whatever a receiver may send
        return None


@dataclass
class _Row:
    """A delivery whose row we hold."""

    pk: int
    status: str
    tries: int
    due_at: datetime | None
    finished_at: datetime | None
    is_replay: bool
    check: int | None
    created_at: datetime

    def finish(self, status: Delivery.Status, now: datetime) -> None:
        self.status, self.due_at, self.finished_at = status, None, now


@transaction.atomic
def record(results: Sequence[Result], lane: Lane = Lane.CHECKS) -> tuple[list[Result], list[int]]:
    """Keep what became of these tries, and wake the couriers.

    Waits for nobody: a delivery that somebody else holds, because its check ends at this moment, is left over.

    Returns:
        The results that are left over, and the checks that are open and whose message can never be delivered.
    """
    now, ours, elsewhere = _held({result.parcel.claim.delivery for result in results})
    kept = [result for result in results if result.parcel.claim.delivery in ours]
    hopeless = []
    for result in kept:
        row = ours[result.parcel.claim.delivery]
        if _apply(result, row, now) and row.check is not None:
            hopeless.append(row.check)
    _keep_tries(result for result in kept if result.fate is not Fate.UNSENT)
    _save(ours.values())
    _hold_back((row for row in ours.values() if row.check is None and row.status == Delivery.Status.PENDING), now)
    for result in kept:
        if result.fate is Fate.GONE:
            hopeless += endpoints.gone(result.parcel.extension, result.parcel.url, now)
    hopeless += _count(kept, now)
    if kept:
        notify.notify(CHANNELS[lane])
    left = [result for result in results if result.parcel.claim.delivery in elsewhere]
    return left, _undelivered(hopeless)


def _held(wanted: set[int]) -> tuple[datetime, dict[int, _Row], set[int]]:
    """The moment, the rows of these deliveries that are ours to change, and those that somebody else holds."""
    found = sql.rows(
        """SELECT clock_timestamp(), id, status, tries, due_at, finished_at, is_replay, of_check_id, created_at
           FROM extensions_delivery WHERE id = ANY(%(ids)s::bigint[])
           ORDER BY id FOR NO KEY UPDATE SKIP LOCKED""",
        {"ids": list(wanted)},
    )
    ours = {row[1]: _Row(*row[1:]) for row in found}
    elsewhere = wanted - ours.keys()
    if elsewhere:  # or deleted with their extension
        elsewhere = set(Delivery.objects.filter(pk__in=elsewhere).values_list("pk", flat=True))
    return found[0][0] if found else clock.now(), ours, elsewhere


def _save(rows: Iterable[_Row]) -> None:
    kept = list(rows)
    sql.rows(
        """UPDATE extensions_delivery d
           SET status = n.status, tries = n.tries, due_at = n.due_at, finished_at = n.finished_at
           FROM unnest(%(ids)s::bigint[], %(statuses)s::text[], %(tries)s::int[], %(due)s::timestamptz[],
                       %(finished)s::timestamptz[]) AS n (id, status, tries, due_at, finished_at)
           WHERE d.id = n.id""",
        {
            "ids": [row.pk for row in kept],
            "tries": [row.tries for row in kept],
            "statuses": [str(row.status) for row in kept],
            "due": [row.due_at for row in kept],
            "finished": [row.finished_at for row in kept],
        },
    )


def _apply(result: Result, row: _Row, now: datetime) -> bool:
    """Change the delivery as the result says; True when it can never be delivered from now on."""
    if result.fate is Fate.DELIVERED:
        row.finish(Delivery.Status.DELIVERED, now)
        return False
    if row.status != Delivery.Status.PENDING or row.tries != result.parcel.claim.number:
        return False
    is_last = (
        row.tries >= MOST_REPLAY_TRIES if row.is_replay else row.check is None and now - row.created_at > NOTICE_FOR
    )
    match result.fate:
        case Fate.NOT_NEEDED:
            row.finish(Delivery.Status.ENDED, now)
        case Fate.HOPELESS | Fate.GONE:
            row.finish(Delivery.Status.FAILED, now)
            return not row.is_replay and row.check is not None
        case Fate.AT_ONCE:
            row.due_at = now
        case Fate.UNSENT if row.due_at == result.parcel.claim.at + LOST_AFTER:  # numbers of tries are used again
            row.due_at, row.tries = now, row.tries - 1
        case Fate.UNSENT:
            pass
        case _ if is_last:
            row.finish(Delivery.Status.FAILED, now)
        case _:
            asked = seconds_asked(result.status, result.retry_after, now)
            row.due_at = rules.retry_at(now, row.tries, random.random(), asked)
    return False


def _keep_tries(results: Iterable[Result]) -> None:
    """A row for each request; one that is there already stays as it is."""
    kept = list(results)
    sql.rows(
        """INSERT INTO extensions_deliverytry
               (delivery_id, number, at, url, headers, milliseconds, status, answer_headers, answer_body, reason)
           SELECT delivery, number, at, url, headers::jsonb, milliseconds, status, answer_headers::jsonb, answer_body,
                  reason::jsonb
           FROM unnest(%(deliveries)s::bigint[], %(numbers)s::int[], %(at)s::timestamptz[], %(urls)s::text[],
                       %(headers)s::text[], %(milliseconds)s::int[], %(statuses)s::int[], %(answer_headers)s::text[],
                       %(answer_bodies)s::text[], %(reasons)s::text[])
                AS n (delivery, number, at, url, headers, milliseconds, status, answer_headers, answer_body, reason)
           ON CONFLICT DO NOTHING""",
        {
            "deliveries": [one.parcel.claim.delivery for one in kept],
            "numbers": [one.parcel.claim.number for one in kept],
            "at": [one.parcel.claim.at for one in kept],
            "urls": [one.parcel.url for one in kept],
            "headers": [json.dumps(dict(one.parcel.headers)) for one in kept],
            "milliseconds": [one.milliseconds for one in kept],
            "statuses": [one.status for one in kept],
            "answer_headers": [json.dumps(dict(one.answer_headers)) for one in kept],
            "answer_bodies": [one.answer_body for one in kept],
            "reasons": [json.dumps(one.reason.as_json()) if one.reason else None for one in kept],
        },
    )


def _hold_back(rows: Iterable[_Row], now: datetime) -> None:
    """What follows about the same things waits at least as long as these: else it would be looked at in vain all the time."""
    later = [row for row in rows if row.due_at is not None and row.due_at > now]
    if later:
        sql.rows(
            """UPDATE extensions_delivery f SET due_at = n.due_at
               FROM unnest(%(ids)s::bigint[], %(due)s::timestamptz[]) AS n (id, due_at)
               JOIN extensions_delivery h ON h.id = n.id
               WHERE f.extension_id = h.extension_id AND f.subject = h.subject AND f.status = 'pending'
                 AND f.of_check_id IS NULL AND f.id > h.id AND f.due_at < n.due_at""",
            {"ids": [row.pk for row in later], "due": [row.due_at for row in later]},
        )


_NOT_THEIRS = frozenset({"delivery.abandoned", "delivery.broken", "delivery.unsigned"})
"""Failures of ours."""


def _count(results: Sequence[Result], now: datetime) -> list[int]:
    """Keep which endpoints did well and which failed; the checks of those that are dead."""
    well = {result.parcel.extension for result in results if result.fate is Fate.DELIVERED}
    failed = {
        result.parcel.extension: result.parcel.url
        for result in results
        if result.parcel.not_sent is None
        and result.fate not in {Fate.DELIVERED, Fate.UNSENT}
        and (result.reason is None or result.reason.code not in _NOT_THEIRS)
        and result.parcel.extension not in well
    }
    return endpoints.count(well, failed, now)


def _undelivered(checks: Iterable[int]) -> list[int]:
    """Those of these checks that are open, and whose extension never got the message."""
    wanted = set(checks)
    if not wanted:
        return []
    still_open = Check.objects.filter(pk__in=wanted, state=Check.State.CHECKING)
    return list(still_open.exclude(deliveries__status=Delivery.Status.DELIVERED).values_list("pk", flat=True))


def undeliverable() -> list[int]:
    """Open checks whose message can never be delivered: a courier died before it could say so."""
    failed = Check.objects.filter(
        state=Check.State.CHECKING, deliveries__status=Delivery.Status.FAILED, deliveries__is_replay=False
    )
    return _undelivered(failed.values_list("pk", flat=True))
