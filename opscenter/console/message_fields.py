"""What an extension gets, field by field, for the data authorization: read off a message as it would be sent."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from extensions.envelope import body_for, body_of, envelope, sample
from extensions.models import Check, Event, Extension
from extensions.points import POINTS
from opscenter.base import clock
from opscenter.production.models import Environment
from opscenter.workspaces.models import User, Workspace

WORDS: dict[str, Promise] = {
    "datacontenttype": _("Media type of the message"),
    "id": _("Id of the message, the same at every try"),
    "source": _("Always “acs.dataworks”"),
    "specversion": _("Version of CloudEvents"),
    "subject": _("Always empty"),
    "time": _("When the operation was asked for"),
    "type": _("The extension point"),
    "aliyunaccountid": _("Id of the tenant"),
    "aliyunpublishtime": _("When the message was made"),
    "aliyuneventbusname": _("Always “opscenter”"),
    "aliyunregionid": _("Always “opscenter”"),
    "data.eventCode": _("The extension point"),
    "data.operator": _("User id of who asks for the operation, or did it"),
    "data.projectId": _("Id of the workspace"),
    "data.tenantId": _("Id of the tenant"),
    "data.nodeIds": _("Ids of the tasks"),
    "data.taskIds": _("Ids of the instances"),
    "data.taskInstanceId": _("Id of the instance"),
    "data.upstreamTaskInstanceIds": _("Ids of the instances that it does not wait for any more"),
    "data.deletedTaskInstanceIds": _("Ids of the instances"),
    "data.owner": _("User id of the owner of their tasks"),
    "data.operationTime": _("When it was done"),
    "data.appId": _("Id of the workspace"),
    "data.taskId": _("Id of the instance"),
    "data.nodeId": _("Id of the task"),
    "data.nodeName": _("Name of the task"),
    "data.programType": _("Node type"),
    "data.cronExpress": _("When it runs: a cron expression"),
    "data.schedulerType": _("Whether it is frozen, or a dry run"),
    "data.ownerId": _("User id of the task's owner"),
    "data.priority": _("Priority"),
    "data.baselineId": _("Always 0"),
    "data.repeatability": _("Whether it may be rerun"),
    "data.dagId": _("Id of the workflow instance"),
    "data.dagName": _("Name of the workflow instance"),
    "data.dagType": _("0 scheduled, 1 manual task, 2 smoke test, 3 backfill, 5 manual workflow"),
    "data.taskType": _("0 normal, 1 manual, 2 frozen, 3 and more dry runs"),
    "data.status": _("1 not run, 2 waits for its time, 3 waits for resources, 4 running, 5 failed, 6 succeeded"),
    "data.flowId": _("Id of the workflow, 1 for none"),
    "data.flowName": _("Name of the workflow"),
    "data.opCode": _("Always 0"),
    "data.bizDate": _("Business date"),
    "data.projectEnv": _("PROD or DEV"),
    "data.projectType": _("PROD or DEV"),
    "data.createTime": _("When it was made"),
    "data.modifyTime": _("When it changed"),
    "data.beginWaitTimeTime": _("When it began to wait for its time"),
    "data.beginWaitResTime": _("When it began to wait for resources"),
    "data.beginRunningTime": _("When it began to run"),
    "data.finishTime": _("When it ended"),
    "data.isTest": _("True in test messages, else absent"),
    "data.listenerProjectId": _("Id of the workspace whose extensions are asked, where it was asked for in another"),
    "data.name": _("Name of the backfill"),
    "data.rootNodeId": _("Id of the task that the backfill starts from"),
    "data.rootNodeProjectId": _("Id of that task's workspace"),
    "data.includeNodeIds": _("Ids of the tasks that run"),
    "data.excludeNodeIds": _("Ids of the tasks that are left out"),
    "data.useMultipleTimePeriods": _("Always true"),
    "data.multipleTimePeriods": _("Ranges of business dates, as JSON text"),
    "data.isParallel": _("Whether several business dates may run at the same time"),
    "data.parallelGroup": _("How many business dates may run at the same time"),
    "data.startFutureInstanceImmediately": _("Whether instances of a time to come run at once"),
    "data.order": _("“asc” or “desc”, by business date"),
    "data.extensionBizId": _("Id of the check"),
    "data.extensionBizName": _("Name of the first object, and how many more there are"),
    "data.blockBusiness": _("Whether the operation waits for the answer"),
    "data.callbackUrl": _("Where this one check is answered"),
    "data.callbackToken": _("What the answer must show; good for this one check"),
}
"""What each field says of us."""

CALLS: tuple[tuple[str, Promise], ...] = (
    ("UpdateWorkbenchEventResult", _("Gives the verdict, signed with one of its access keys")),
    ("CallbackExtension", _("The same, with WARN as a third verdict")),
    ("GetOptionValueForProject", _("Reads what this workspace fills in for it")),
    ("GetExtension", _("Reads what it is registered with")),
    ("callbackUrl", _("Gives the verdict or reports progress, with the message's token")),
)
"""What an extension may call in return. Its access keys are good for nothing else."""


@dataclass(frozen=True)
class Field:
    """One field of the messages; ``path`` has a dot where it lies in ``data``."""

    path: str
    words: Promise | str


def fields_of(extension: Extension, workspace: Workspace, user: User) -> list[Field]:
    """Every field of the messages that the extension gets from the workspace, each once."""
    paths: dict[str, None] = {}
    for point in extension.points:
        if point in POINTS:
            paths |= dict.fromkeys(_paths(_sample(extension, point, workspace, user)))
    return [Field(path, WORDS.get(path, "")) for path in paths]


def _sample(extension: Extension, point: str, workspace: Workspace, user: User) -> dict[str, Any]:
    """A message as it would be sent; nothing of it is stored."""
    event = Event(
        point=point,
        tenant=workspace.tenant,
        workspace=workspace,
        environment=Environment.PROD,
        operator=user,
        at=clock.now(),
    )
    event.message = envelope(event, sample(event))
    is_regular = POINTS[point].is_regular
    body = body_of(event) if is_regular else body_for(Check(event=event, extension=extension))
    message: dict[str, Any] = json.loads(body)
    return message


def _paths(message: dict[str, Any]) -> Iterable[str]:
    for name, value in message.items():
        if isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in value)
        else:
            yield name
