"""Regular events on their way: nobody waits for an answer, and the messages about one thing arrive one after the other.

Written in the transaction of what they tell; the courier sends them, however long that takes. One event each, and one
delivery for each extension that listens.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from extensions import lifecycle
from extensions.envelope import envelope
from extensions.models import Enablement, Event
from opscenter.base import clock, notify, sql
from opscenter.workspaces.models import User, Workspace


@dataclass(frozen=True)
class Notice:
    """One thing that has happened.

    Attributes:
        subject: what it is about, such as ``i17``: messages about it are sent in their order.
        types: the node types of what it is about; none for any.
        at: when it happened; now, if not given.
    """

    point: str
    data: Mapping[str, Any]
    subject: str
    types: Collection[str] = ()
    at: datetime | None = None

    def own_types(self) -> Collection[str]:
        """The node types, as ``lifecycle.among`` asks for them."""
        return self.types


def tell(
    workspace: Workspace, environment: str, notices: Sequence[Notice], *, operator: User | None = None
) -> list[Event]:
    """Send these to whoever listens in the workspace, as soon as the transaction commits."""
    now = clock.now()
    by_point: dict[str, list[Enablement]] = {}
    told: list[tuple[Event, str, list[Enablement]]] = []
    for notice in notices:
        if notice.point not in by_point:
            by_point[notice.point] = lifecycle.listeners(workspace, notice.point)
        asked = lifecycle.among(by_point[notice.point], notice.point, notice.own_types)
        if asked:
            told.append((_event(workspace, environment, notice, operator, now), notice.subject, asked))
    Event.objects.bulk_create([event for event, _subject, _asked in told], batch_size=500)
    _send(told, now)
    return [event for event, _subject, _asked in told]


def _event(workspace: Workspace, environment: str, notice: Notice, operator: User | None, now: datetime) -> Event:
    event = Event(
        point=notice.point,
        tenant=workspace.tenant,
        workspace=workspace,
        environment=environment,
        operator=operator,
        biz_id="",
        at=notice.at or now,
    )
    event.message = envelope(event, notice.data)
    return event


def _send(told: Sequence[tuple[Event, str, list[Enablement]]], now: datetime) -> None:
    """The deliveries, in the order of the events. To whom nothing is sent now, they have failed: they can be sent again.

    One that follows another about the same thing is not due before it.
    """
    rows = [(event.pk, subject, one.extension) for event, subject, asked in told for one in asked]
    if not rows:
        return
    sql.rows(
        """INSERT INTO extensions_delivery
               (event_id, extension_id, subject, is_replay, status, tries, due_at, created_at, finished_at)
           SELECT n.event, n.extension, n.subject, false, CASE WHEN n.gone THEN 'failed' ELSE 'pending' END, 0,
                  CASE WHEN NOT n.gone THEN greatest(%(now)s::timestamptz, (
                      SELECT max(p.due_at) FROM extensions_delivery p
                      WHERE p.extension_id = n.extension AND p.subject = n.subject AND p.status = 'pending'
                        AND p.of_check_id IS NULL)) END,
                  %(now)s::timestamptz, CASE WHEN n.gone THEN %(now)s::timestamptz END
           FROM unnest(%(events)s::uuid[], %(extensions)s::bigint[], %(subjects)s::text[], %(gone)s::boolean[])
                WITH ORDINALITY AS n (event, extension, subject, gone, place)
           ORDER BY n.place""",
        {
            "now": now,
            "events": [event for event, _subject, _extension in rows],
            "extensions": [extension.pk for _event, _subject, extension in rows],
            "subjects": [subject for _event, subject, _extension in rows],
            "gone": [extension.gone_at is not None for _event, _subject, extension in rows],
        },
    )
    notify.notify(notify.NOTICES)
