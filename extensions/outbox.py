"""The courier's side of the outbox: what waits, what is claimed, what became of it.

A claim moves ``due_at`` to when it counts as lost, so a courier that dies loses nothing: another one finds the row due
again. Results carry the number of their try; one that comes late changes nothing but the log, unless it says that the
message has arrived.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum

import structlog
from django.db import transaction

from extensions import endpoints, lifecycle, rules
from extensions.deliveries import gone_reason
from extensions.envelope import body_for, body_of
from extensions.models import Check, Delivery, DeliveryTry, Event, Extension
from extensions.signing import headers_for
from extensions.tokens import token_of
from opscenter.base import clock, notify, sql
from opscenter.base.reasons import Reason
from opscenter.base.secrets import SecretUnreadable, decrypt

logger = structlog.get_logger(__name__)

TIMEOUT = 15.0
"""Seconds that a request may take, all in all."""
LOST_AFTER = timedelta(seconds=TIMEOUT + 7)
"""From the claim to when its courier counts as dead."""
MOST_REPLAY_TRIES = 5
NOTICE_FOR = timedelta(days=3)
"""How long a regular event is tried; it can be sent again by hand after that."""
_ASKS_TO_WAIT = frozenset({429, 502, 503, 504})
"""Answers whose Retry-After is honoured."""


class Lane(Enum):
    """Two kinds of deliveries that do not stand in each other's way: somebody waits for the answer, or nobody."""

    CHECKS = "of_check_id IS NOT NULL"
    NOTICES = "of_check_id IS NULL"


CHANNELS = {Lane.CHECKS: notify.COURIER, Lane.NOTICES: notify.NOTICES}
"""Who sends which kind is woken by what."""
_IN_ORDER = {
    Lane.CHECKS: "",
    Lane.NOTICES: """AND NOT EXISTS (
                 SELECT 1 FROM extensions_delivery e
                 WHERE e.extension_id = d.extension_id AND e.subject = d.subject AND e.status = 'pending'
                   AND e.of_check_id IS NULL AND e.id < d.id)""",
}
"""What is about one thing is sent one after the other."""


class Fate(Enum):
    """What a try means for its delivery."""

    DELIVERED = "delivered"
    AGAIN = "again"
    AT_ONCE = "again at once"
    HOPELESS = "hopeless"
    GONE = "gone"
    NOT_NEEDED = "not needed"


@dataclass(frozen=True)
class Waiting:
    """The nearest delivery to an extension that is not delivered yet."""

    extension: int
    due_at: datetime


@dataclass(frozen=True)
class Claim:
    """A delivery that is ours to send now, and which try that is."""

    delivery: int
    number: int
    at: datetime


@dataclass(frozen=True)
class Parcel:
    """One request as it is to be made; needs no database any more.

    Attributes:
        token: the check's callback token, to be kept out of what is recorded.
        not_sent: what became of it already: there is nothing to send.
    """

    claim: Claim
    extension: int
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    token: str = ""
    not_sent: "tuple[Fate, Reason] | None" = None


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


def waiting(lane: Lane = Lane.CHECKS) -> tuple[datetime, list[Waiting]]:
    """The moment, and for each extension that waits its nearest delivery; by time.

    Goes from extension to extension in the index, however many deliveries one of them has.
    """
    found = sql.rows(
        f"""WITH RECURSIVE nearest AS (
             (SELECT extension_id, due_at FROM extensions_delivery WHERE status = 'pending' AND {lane.value}
              ORDER BY extension_id, due_at LIMIT 1)
             UNION ALL
             SELECT next.extension_id, next.due_at FROM nearest CROSS JOIN LATERAL (
               SELECT extension_id, due_at FROM extensions_delivery
               WHERE status = 'pending' AND {lane.value} AND extension_id > nearest.extension_id
               ORDER BY extension_id, due_at LIMIT 1) next)
           SELECT statement_timestamp(), extension_id, due_at FROM nearest ORDER BY due_at""",
        {},
    )
    if not found:
        return clock.now(), []
    return found[0][0], [Waiting(extension, due_at) for _now, extension, due_at in found]


def claim(rooms: Mapping[int, int], lane: Lane = Lane.CHECKS) -> list[Parcel]:
    """Take what is due, of each extension no more than there is room for; whoever else claims takes others.

    The requests are signed now, with the secrets that are valid now.
    """
    rows = sql.rows(
        f"""WITH mine AS MATERIALIZED (
             SELECT due.id FROM unnest(%(extensions)s::bigint[], %(rooms)s::bigint[]) AS allowed (extension, room)
             CROSS JOIN LATERAL (
               SELECT id FROM extensions_delivery d
               WHERE status = 'pending' AND {lane.value} AND extension_id = allowed.extension
                 AND due_at <= statement_timestamp() {_IN_ORDER[lane]}
               ORDER BY due_at, id LIMIT allowed.room FOR NO KEY UPDATE SKIP LOCKED) due),
           taken AS (
             UPDATE extensions_delivery d
             SET tries = d.tries + 1, due_at = statement_timestamp() + %(lost_after)s::interval
             FROM mine WHERE d.id = mine.id RETURNING d.id, d.tries, d.of_check_id, d.event_id, d.extension_id)
           SELECT taken.id, taken.tries, statement_timestamp(), taken.of_check_id, v.id, v.message::text,
                  x.id, x.name, x.webhook_url, x.status, x.gone_at, x.gone_reason::text
           FROM taken JOIN extensions_event v ON v.id = taken.event_id
                      JOIN extensions_extension x ON x.id = taken.extension_id
           ORDER BY taken.id""",
        {"extensions": list(rooms), "rooms": list(rooms.values()), "lost_after": LOST_AFTER},
    )
    secrets = _secrets({row[6] for row in rows}) if rows else {}
    made = []
    for delivery, number, at, check, event_id, message, pk, name, url, status, gone_at, why in rows:
        extension = Extension(pk=pk, name=name, webhook_url=url, status=status, gone_at=gone_at)
        extension.gone_reason = json.loads(why) if why else None
        event = Event(pk=event_id, message=json.loads(message))
        asked = None if check is None else Check(pk=check, event=event, extension=extension)
        made.append(_parcel(Claim(delivery, number, at), extension, event, asked, secrets.get(pk, [])))
    return made


def _secrets(extensions: Iterable[int]) -> dict[int, list[str]]:
    """The secrets of each of these; of one whose secrets cannot be read, none."""
    found = {}
    for extension, stored in lifecycle.stored_secrets(list(extensions)).items():
        try:
            found[extension] = [decrypt(secret) for secret in stored]
        except SecretUnreadable:
            logger.error("delivery.secret_unreadable", extension=extension)
    return found


def _parcel(taken: Claim, extension: Extension, event: Event, check: Check | None, secrets: Sequence[str]) -> Parcel:
    bare = Parcel(taken, extension.pk, extension.webhook_url)
    try:
        not_sent = _hindrance(extension, secrets)
        if not_sent is not None:
            return replace(bare, not_sent=not_sent)
        body = body_of(event) if check is None else body_for(check)
        headers = headers_for(str(event.pk), taken.at, body, secrets)
        return replace(bare, headers=headers, body=body, token="" if check is None else token_of(check))
    except Exception:  # one that cannot be made must not hold up the others
        logger.exception("delivery.broken", delivery=taken.delivery)
        return replace(bare, not_sent=(Fate.AGAIN, Reason("delivery.broken")))


def _hindrance(extension: Extension, secrets: Sequence[str]) -> tuple[Fate, Reason] | None:
    """Why nothing is sent to an extension now."""
    named = {"extension": extension.name}
    if extension.status == Extension.Status.DISABLED:
        return Fate.NOT_NEEDED, Reason("delivery.disabled", named)
    if extension.gone_at is not None:
        return Fate.HOPELESS, gone_reason(extension)
    return None if secrets else (Fate.AGAIN, Reason("delivery.unsigned"))


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
    DeliveryTry.objects.bulk_create((_try(result) for result in kept), ignore_conflicts=True)
    _save(ours.values())
    _hold_back(row for row in ours.values() if row.check is None and row.status == Delivery.Status.PENDING)
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
        """UPDATE extensions_delivery d SET status = n.status, due_at = n.due_at, finished_at = n.finished_at
           FROM unnest(%(ids)s::bigint[], %(statuses)s::text[], %(due)s::timestamptz[], %(finished)s::timestamptz[])
                AS n (id, status, due_at, finished_at)
           WHERE d.id = n.id""",
        {
            "ids": [row.pk for row in kept],
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
        case _ if is_last:
            row.finish(Delivery.Status.FAILED, now)
        case _:
            asked = seconds_asked(result.status, result.retry_after, now)
            row.due_at = rules.retry_at(now, row.tries, random.random(), asked)
    return False


def _try(result: Result) -> DeliveryTry:
    return DeliveryTry(
        delivery_id=result.parcel.claim.delivery,
        number=result.parcel.claim.number,
        at=result.parcel.claim.at,
        url=result.parcel.url,
        headers=dict(result.parcel.headers),
        milliseconds=result.milliseconds,
        status=result.status,
        answer_headers=dict(result.answer_headers),
        answer_body=result.answer_body,
        reason=result.reason.as_json() if result.reason else None,
    )


def _hold_back(rows: Iterable[_Row]) -> None:
    """What follows about the same things waits at least as long as these: else it would be looked at in vain all the time."""
    later = [row for row in rows if row.due_at is not None]
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
        and result.fate is not Fate.DELIVERED
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
