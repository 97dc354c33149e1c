"""The message that extensions get: DataWorks' envelope and field names exactly (spec/extensions.md 4.1, 4.2, 4.12).

What we add are new members of ``data``: ``extensionBizName``, ``callbackUrl``, ``callbackToken``, ``isTest``.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from extensions.models import Check, Event
from extensions.points import POINTS
from extensions.tokens import callback_url, token_of
from opscenter.workspaces.models import User, Workspace

REDACTED = "***"
MEDIA_TYPE = "application/json;charset=utf-8"
_BUS = "opscenter"


def node_change(
    workspace: Workspace, operator: User, numbers: Sequence[int], biz_id: str, biz_name: str
) -> dict[str, Any]:
    """The members of freeze-node and unfreeze-node: ``operator`` is text, the other ids are numbers."""
    return {
        "operator": str(operator.uid),
        "projectId": workspace.pk,
        "tenantId": workspace.tenant_id,
        "nodeIds": list(numbers),
        "extensionBizId": biz_id,
        "extensionBizName": biz_name,
        "blockBusiness": True,
    }


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
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def shown_for(check: Check) -> dict[str, Any]:
    """The message as people may see it: the token is not in it."""
    message: dict[str, Any] = dict(check.event.message)
    message["data"] = {**message["data"], "callbackUrl": callback_url(check), "callbackToken": REDACTED}
    return message


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
