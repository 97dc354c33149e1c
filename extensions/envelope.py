"""The message that extensions get: DataWorks' envelope and field names exactly (spec/extensions.md 4).

What we add are new members of ``data``: ``extensionBizName``, ``callbackUrl``, ``callbackToken``, ``isTest``,
``listenerProjectId``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from extensions import regular
from extensions.models import Check, Delivery, Event
from extensions.points import POINTS, About
from extensions.tokens import callback_url, token_of
from opscenter.workspaces.models import Workspace

REDACTED = "***"
MEDIA_TYPE = "application/json;charset=utf-8"
_BUS = "opscenter"


def nodes(numbers: Sequence[int]) -> dict[str, Any]:
    """What freeze-node, unfreeze-node and undeploy-node say of their own: all tasks of the operation.

    Args:
        numbers: ``Task.number``, the ids of the APIs.
    """
    return {"nodeIds": list(numbers)}


def instances(ids: Sequence[int]) -> dict[str, Any]:
    """What the pre-events of instances say of their own: all instances of the operation."""
    return {"taskIds": list(ids)}


@dataclass(frozen=True)
class Backfill:
    """What backfill-data says of its own, the same in every mode.

    Attributes:
        name: of the backfill's workflow.
        root: the task that it starts from, by its number; the first one where it starts from several.
        root_workspace: the workspace of that task.
        include: numbers of the tasks that run.
        exclude: numbers of those that are left out: dry runs.
        periods: ranges of business dates, both ends included.
        groups: how many business dates may run at the same time; 1: one after the other.
        runs_future_now: instances whose scheduled time is still to come run at once.
        is_descending: the latest business date first.
    """

    name: str
    root: int
    root_workspace: int
    include: Sequence[int]
    exclude: Sequence[int]
    periods: Sequence[tuple[date, date]]
    groups: int = 1
    runs_future_now: bool = False
    is_descending: bool = False


def backfill(asked: Backfill) -> dict[str, Any]:
    """The members of ``data``. The periods are JSON text within the JSON, as DataWorks sends them."""
    periods = [{"bizBeginTime": str(first), "bizEndTime": str(last)} for first, last in asked.periods]
    return {
        "name": asked.name,
        "rootNodeId": asked.root,
        "rootNodeProjectId": asked.root_workspace,
        "includeNodeIds": list(asked.include),
        "excludeNodeIds": list(asked.exclude),
        "useMultipleTimePeriods": True,
        "multipleTimePeriods": json.dumps(periods, separators=(",", ":")),
        "isParallel": asked.groups > 1,
        "parallelGroup": asked.groups,
        "startFutureInstanceImmediately": asked.runs_future_now,
        "order": "desc" if asked.is_descending else "asc",
    }


def data_of(event: Event, own: Mapping[str, Any], about: str, asked_in: Workspace) -> dict[str, Any]:
    """The whole ``data`` of a message that is answered: ``operator`` is text, the other ids are numbers.

    Args:
        own: what the extension point adds: ``nodes``, ``instances`` or ``backfill``.
        about: what it is about, for people.
        asked_in: the workspace in which the operation was asked for. Where that is another one than the event's, whose
            extensions are asked, ``listenerProjectId`` names the event's.
    """
    assert event.operator is not None, "somebody asks for what is checked"
    data = {
        "operator": str(event.operator.uid),
        "projectId": asked_in.pk,
        "tenantId": event.tenant_id,
        **own,
        "extensionBizId": event.biz_id,
        "extensionBizName": about,
        "blockBusiness": True,
    }
    return data if asked_in.pk == event.workspace_id else data | {"listenerProjectId": event.workspace_id}


def sample(event: Event) -> dict[str, Any]:
    """The ``data`` of a message at the event's extension point, about nothing: its members and their kinds."""
    point = POINTS[event.point]
    if point.is_regular:
        assert event.operator is not None
        return regular.sample(point, event.workspace, event.operator, event.at)
    nothing = Backfill(name="", root=0, root_workspace=event.workspace_id, include=[], exclude=[], periods=[])
    own = {About.TASKS: nodes([]), About.INSTANCES: instances([]), About.BACKFILL: backfill(nothing)}
    return data_of(event, own[point.about], "", event.workspace)


def envelope(event: Event, data: Mapping[str, Any]) -> dict[str, Any]:
    """The whole message about an event, for every extension the same."""
    point = POINTS[event.point]
    local = event.at.astimezone(ZoneInfo(event.tenant.time_zone))
    return {
        "datacontenttype": MEDIA_TYPE,
        "data": {"eventCode": point.code, **data},
        "id": str(event.pk),
        "source": "acs.dataworks",
        "specversion": "1.0",
        "subject": "",
        "time": local.isoformat(timespec="seconds"),
        "type": point.type,
        "aliyunaccountid": str(event.tenant_id),
        "aliyunpublishtime": _utc(event.at),
        "aliyuneventbusname": _BUS,
        "aliyunregionid": _BUS,
    }


def body_for(check: Check) -> bytes:
    """The bytes sent to the check's extension; the same at every try, so that its signature covers one message."""
    message = dict(check.event.message)
    message["data"] = {**message["data"], "callbackUrl": callback_url(check), "callbackToken": token_of(check)}
    return _bytes(message)


def body_of(event: Event) -> bytes:
    """The bytes sent about a regular event, to every extension the same: there is nothing to answer."""
    return _bytes(event.message)


def _bytes(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def shown_for(check: Check) -> dict[str, Any]:
    """The message as people may see it: the token is not in it."""
    message: dict[str, Any] = dict(check.event.message)
    message["data"] = {**message["data"], "callbackUrl": callback_url(check), "callbackToken": REDACTED}
    return message


def shown_of(delivery: Delivery) -> dict[str, Any]:
    """The same of a delivery, with or without a check."""
    return delivery.event.message if delivery.of_check is None else shown_for(delivery.of_check)


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
