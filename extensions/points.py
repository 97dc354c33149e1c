"""Extension points: the operations that an extension may stop, each listed once (spec/extensions.md 3)."""

from dataclasses import dataclass
from enum import Enum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class About(Enum):
    """What the operations at an extension point are done to; their messages name it in the same way."""

    TASKS = "tasks"
    INSTANCES = "instances"
    BACKFILL = "backfill"


@dataclass(frozen=True)
class Point:
    """One extension point.

    Attributes:
        code: the messages' ``eventCode``.
        type: the envelope's ``type``; the casing is DataWorks' own.
        category: the API's ``CategoryCode``.
    """

    code: str
    type: str
    category: str
    name: Promise
    category_name: Promise
    about: About


_NODE_CHANGE = ("node-change", _("Node change"), About.TASKS)
_BACKFILL = ("backfill-data-operate", _("Backfill operation"), About.BACKFILL)


def _point(code: str, type: str, name: Promise, group: tuple[str, Promise, About]) -> Point:
    category, category_name, about = group
    return Point(code, type, category, name, category_name, about)


POINTS: dict[str, Point] = {
    point.code: point
    for point in (
        _point("freeze-node", "dataworks:NodeChange:FreezeNode", _("Before freezing tasks"), _NODE_CHANGE),
        _point("unfreeze-node", "dataworks:NodeChange:UnFreezeNode", _("Before unfreezing tasks"), _NODE_CHANGE),
        _point("undeploy-node", "dataworks:NodeChange:UndeployNode", _("Before undeploying tasks"), _NODE_CHANGE),
        _point("backfill-data", "dataworks:BackfillDataOperate:BackfillData", _("Before a backfill"), _BACKFILL),
    )
}
