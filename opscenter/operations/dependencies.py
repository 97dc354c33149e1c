"""Removing dependencies: chosen instances are no longer waited for, by chosen instances alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base import notify
from opscenter.base.reasons import Invalid, Reason, sentence
from opscenter.engine import wiring
from opscenter.operations import telling
from opscenter.operations.arguments import Arguments, Values, arguments_of, only
from opscenter.operations.models import Operation
from opscenter.production.models import InstanceEdge, TaskInstance
from opscenter.workspaces.models import Workspace

MOST = 1000
"""Upstream instances in one call."""


def numbers(name: str, given: Any, most: int) -> list[int]:
    """Ids as they are stored: each once, in the order given.

    Raises:
        Invalid: none, too many, or what is no id.
    """
    if not isinstance(given, list | tuple) or not all(type(one) is int and 0 < one < 2**63 for one in given):
        raise Invalid("operation.ids", field=name)
    found = list(dict.fromkeys(given))
    if not 0 < len(found) <= most:
        raise Invalid("operation.count_ids", field=name, most=most, given=len(found))
    return found


def _read(given: Values, workspace: Workspace) -> dict[str, Any]:
    only(given, "upstream")
    return {"upstream": numbers("upstream", given["upstream"], MOST)}


def _refuse(instances: Sequence[TaskInstance], values: Values) -> dict[int, Reason]:
    """Those that wait for none of the chosen upstream instances."""
    edges = InstanceEdge.objects.filter(downstream__in=[i.pk for i in instances], upstream__in=values["upstream"])
    waiting = set(edges.values_list("downstream_id", flat=True))
    return {i.pk: Reason("dependencies.none") for i in instances if i.pk not in waiting}


def _words(values: Values) -> str:
    count = len(values["upstream"])
    text = ngettext("upstream instance %(ids)s", "upstream instances %(ids)s", count)
    return text % {"ids": ", ".join(map(str, values["upstream"]))}


UPSTREAM = Arguments(_read, _refuse, _words)


def remove(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """The edges go; what waited for nothing else moves on.

    Whoever ends an upstream locks the instance too, so its edge is either met before or gone: it is counted once.
    """
    ids = [i.pk for i in instances]
    edges = InstanceEdge.objects.filter(downstream__in=ids, upstream__in=arguments_of(operation)["upstream"])
    removed: dict[int, list[int]] = {}
    for down, up in edges.order_by("upstream").values_list("downstream_id", "upstream_id"):
        removed.setdefault(down, []).append(up)
    edges.delete()
    telling.of_dependencies(removed, instances, operation)
    wiring.recount(ids)
    notify.notify(notify.DUE)


@sentence("dependencies.none")
def _none(params: Mapping[str, Any]) -> str:
    return _("The instance waits for none of the chosen upstream instances.")


@sentence("operation.ids")
def _ids(params: Mapping[str, Any]) -> str:
    return _("“%(field)s” must be a list of ids.") % params


@sentence("operation.count_ids")
def _count_ids(params: Mapping[str, Any]) -> str:
    return _("“%(field)s” must name between 1 and %(most)s ids; %(given)s were given.") % params
