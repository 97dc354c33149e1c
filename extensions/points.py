"""Extension points: the operations that an extension may stop, each listed once (spec/extensions.md 3)."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


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


_NODE_CHANGE = ("node-change", _("Node change"))

POINTS: dict[str, Point] = {
    point.code: point
    for point in (
        Point(
            "freeze-node",
            "dataworks:NodeChange:FreezeNode",
            _NODE_CHANGE[0],
            _("Before freezing tasks"),
            _NODE_CHANGE[1],
        ),
        Point(
            "unfreeze-node",
            "dataworks:NodeChange:UnFreezeNode",
            _NODE_CHANGE[0],
            _("Before unfreezing tasks"),
            _NODE_CHANGE[1],
        ),
    )
}
