"""JSON Schemas of the messages, one for each extension point and regular event: what a program may rely on."""

from collections.abc import Mapping
from typing import Any

from extensions.points import POINTS, About, Point

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Members = Mapping[str, Mapping[str, Any]]
_TEXT: Mapping[str, Any] = {"type": "string"}
_NUMBER: Mapping[str, Any] = {"type": "integer"}
_YES: Mapping[str, Any] = {"type": "boolean"}
_NUMBERS: Mapping[str, Any] = {"type": "array", "items": _NUMBER}
_DAY_AND_TIME: Mapping[str, Any] = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"}
_ENVIRONMENT: Mapping[str, Any] = {"enum": ["PROD", "DEV"]}

_ENVELOPE: Members = {
    "datacontenttype": {"const": "application/json;charset=utf-8"},
    "id": {"type": "string", "format": "uuid"},
    "source": {"const": "acs.dataworks"},
    "specversion": {"const": "1.0"},
    "subject": {"const": ""},
    "time": {"type": "string", "format": "date-time"},
    "aliyunaccountid": _TEXT,
    "aliyunpublishtime": {"type": "string", "format": "date-time"},
    "aliyuneventbusname": _TEXT,
    "aliyunregionid": _TEXT,
}
_ASKED: Members = {
    "operator": _TEXT,
    "projectId": _NUMBER,
    "tenantId": _NUMBER,
    "extensionBizId": _TEXT,
    "extensionBizName": _TEXT,
    "blockBusiness": {"const": True},
    "callbackUrl": {"type": "string", "format": "uri"},
    "callbackToken": _TEXT,
}
_BLOCKING: Mapping[About, Members] = {
    About.TASKS: {"nodeIds": _NUMBERS},
    About.INSTANCES: {"taskIds": _NUMBERS},
    About.BACKFILL: {
        "name": _TEXT,
        "rootNodeId": _NUMBER,
        "rootNodeProjectId": _NUMBER,
        "includeNodeIds": _NUMBERS,
        "excludeNodeIds": _NUMBERS,
        "useMultipleTimePeriods": {"const": True},
        "multipleTimePeriods": {"type": "string", "contentMediaType": "application/json"},
        "isParallel": _YES,
        "parallelGroup": {"type": "integer", "minimum": 1},
        "startFutureInstanceImmediately": _YES,
        "order": {"enum": ["asc", "desc"]},
    },
}
_REGULAR: Mapping[About, Members] = {
    About.TASKS: {
        "nodeId": _NUMBER,
        "nodeName": _TEXT,
        "programType": _TEXT,
        "cronExpress": _TEXT,
        "schedulerType": {"enum": ["NORMAL", "MANUAL", "PAUSE", "SKIP"]},
        "ownerId": _TEXT,
        "operator": _TEXT,
        "priority": _NUMBER,
        "baselineId": _NUMBER,
        "repeatability": _YES,
        "createTime": _NUMBER,
        "modifyTime": _NUMBER,
        "projectId": _NUMBER,
        "tenantId": _NUMBER,
        "blockBusiness": {"const": False},
    },
    About.INSTANCES: {
        "operator": _TEXT,
        "projectId": _NUMBER,
        "projectType": _ENVIRONMENT,
        "taskIds": _NUMBERS,
        "tenantId": _NUMBER,
    },
    About.DEPENDENCIES: {
        "taskInstanceId": _NUMBER,
        "upstreamTaskInstanceIds": _NUMBERS,
        "operator": _TEXT,
        "operationTime": _NUMBER,
        "appId": _NUMBER,
        "tenantId": _NUMBER,
        "blockBusiness": {"const": False},
    },
    About.REMOVED: {
        "deletedTaskInstanceIds": _NUMBERS,
        "owner": _TEXT,
        "operationTime": _NUMBER,
        "appId": _NUMBER,
        "tenantId": _NUMBER,
        "blockBusiness": {"const": False},
    },
    About.STATUS: {
        "taskId": _NUMBER,
        "nodeId": _NUMBER,
        "dagId": _NUMBER,
        "dagType": {"type": "integer", "minimum": 0, "maximum": 5},
        "taskType": {"type": "integer", "minimum": 0, "maximum": 7},
        "status": {"type": "integer", "minimum": 1, "maximum": 8},
        "flowId": _NUMBER,
        "appId": _NUMBER,
        "tenantId": _NUMBER,
        "opCode": _NUMBER,
        "createTime": _NUMBER,
        "modifyTime": _NUMBER,
        "beginWaitTimeTime": _NUMBER,
        "beginWaitResTime": _NUMBER,
        "beginRunningTime": _NUMBER,
        "finishTime": _NUMBER,
    },
    About.WORKFLOW: {
        "dagId": _NUMBER,
        "dagName": _TEXT,
        "dagType": {"type": "integer", "minimum": 0, "maximum": 5},
        "status": {"enum": [1, 4, 5, 6]},
        "bizDate": _DAY_AND_TIME,
        "createTime": _DAY_AND_TIME,
        "flowId": _NUMBER,
        "flowName": _TEXT,
        "operator": _TEXT,
        "projectEnv": _ENVIRONMENT,
        "projectId": _NUMBER,
        "tenantId": _NUMBER,
    },
}
_SOMETIMES = frozenset({"beginWaitTimeTime", "beginWaitResTime", "beginRunningTime", "finishTime"})
"""Moments that may not have come."""
_MAY_BE_THERE: Members = {"isTest": {"const": True}, "listenerProjectId": _NUMBER}


def schema_of(code: str, url: str, words: Mapping[str, str]) -> dict[str, Any]:
    """The schema of the messages at a point.

    Members that it does not name may come later: a program must not mind them.

    Args:
        url: where it is served.
        words: what each member says, by its path.
    """
    point = POINTS[code]
    data = {"eventCode": {"const": code}, **members_of(point)}
    optional = {name: _MAY_BE_THERE[name] for name in _optional(point)}
    return {
        "$schema": DIALECT,
        "$id": url,
        "title": code,
        "type": "object",
        "properties": {
            **_described({**_ENVELOPE, "type": {"const": point.type}}, words, ""),
            "data": {
                "type": "object",
                "properties": _described({**data, **optional}, words, "data."),
                "required": [name for name in data if name not in _SOMETIMES],
            },
        },
        "required": [*_ENVELOPE, "type", "data"],
    }


def members_of(point: Point) -> dict[str, Mapping[str, Any]]:
    """The members of ``data`` at a point, but for ``eventCode``."""
    if point.is_regular:
        return dict(_REGULAR[point.about])
    return {**_ASKED, **_BLOCKING[point.about]}


def _optional(point: Point) -> list[str]:
    return ["isTest"] if point.is_regular else list(_MAY_BE_THERE)


def _described(members: Members, words: Mapping[str, str], prefix: str) -> dict[str, Any]:
    return {
        name: {"description": words[prefix + name], **kind} if prefix + name in words else dict(kind)
        for name, kind in members.items()
    }
