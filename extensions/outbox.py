"""The courier's side of the outbox: what waits, and what is claimed.

A claim moves ``due_at`` to when it counts as lost, so a courier that dies loses nothing: another one finds the row due
again. Results (outcomes.py) carry the number of their try; one that comes late changes nothing but the log, unless it says
that the message has arrived.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

import structlog

from extensions import lifecycle
from extensions.deliveries import gone_reason
from extensions.envelope import body_for, body_of
from extensions.models import Check, Event, Extension
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
    UNSENT = "unsent"


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
    extensions: dict[int, Extension] = {}
    events: dict[UUID, tuple[Event, bytes]] = {}  # many of them go to several extensions
    made = []
    for delivery, number, at, check, event_id, message, pk, name, url, status, gone_at, why in rows:
        if pk not in extensions:
            extensions[pk] = Extension(pk=pk, name=name, webhook_url=url, status=status, gone_at=gone_at)
            extensions[pk].gone_reason = json.loads(why) if why else None
        if event_id not in events:
            event = Event(pk=event_id, message=json.loads(message))
            events[event_id] = event, b"" if check else body_of(event)
        event, body = events[event_id]
        asked = None if check is None else Check(pk=check, event=event, extension=extensions[pk])
        made.append(_parcel(Claim(delivery, number, at), extensions[pk], event, body, asked, secrets.get(pk, [])))
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


def _parcel(
    taken: Claim, extension: Extension, event: Event, body: bytes, check: Check | None, secrets: Sequence[str]
) -> Parcel:
    bare = Parcel(taken, extension.pk, extension.webhook_url)
    try:
        not_sent = _hindrance(extension, secrets)
        if not_sent is not None:
            return replace(bare, not_sent=not_sent)
        body = body if check is None else body_for(check)
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
