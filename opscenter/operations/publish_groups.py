"""Whether the resource groups of nodes about to be published may be used by their workspace."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import sentence
from opscenter.operations.publish_candidates import PublishProblem, Upstreams
from opscenter.production.models import ResourceGroup


def group_problems(upstreams: Upstreams) -> list[PublishProblem]:
    """Nodes whose resource group does not exist, or may not be used by the workspace: the one that the task will have, which
    was changed in production, perhaps."""
    known = ResourceGroup.objects.filter(tenant=upstreams.workspace.tenant)
    names = set(known.values_list("name", flat=True))
    usable = set(known.usable_in(upstreams.workspace).values_list("name", flat=True))
    kept = {
        candidate.number: task.resource_group.name
        for candidate, task in upstreams.own_tasks
        if not candidate.sets("resource_group")
    }
    found = []
    for candidate in upstreams.candidates:
        name = kept.get(candidate.number) or candidate.definition.resource_group or ResourceGroup.DEFAULT
        if name not in usable:
            code = "publish.group_not_associated" if name in names else "publish.group_unknown"
            told = {"group": name, "usable": sorted(usable), "workspace": str(upstreams.workspace)}
            found.append(candidate.problem("resource_group", code, **told))
    return found


@sentence("publish.group_unknown")
def _say_group_unknown(params: Mapping[str, Any]) -> str:
    return _("The tenant has no resource group “%(group)s”. The workspace may use: %(usable)s.") % _usable(params)


@sentence("publish.group_not_associated")
def _say_group_not_associated(params: Mapping[str, Any]) -> str:
    return _(
        "The resource group “%(group)s” is not associated with the workspace %(workspace)s. Associate it under "
        "Administration, Resource groups, or use one of these: %(usable)s."
    ) % _usable(params)


def _usable(params: Mapping[str, Any]) -> dict[str, Any]:
    return {**params, "usable": ", ".join(params["usable"]) or "–"}
