"""Other data sources for the SQL tasks of a backfill than those that they use otherwise."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Reason, sentence
from opscenter.engine.backfill_plan import Plan
from opscenter.production.models import DataSource, TaskVersion


def problems(plan: Plan, environment: str, given: Mapping[str, str]) -> Iterator[Reason]:
    """What stands against it: one that is not there, or speaks another language, in the workspace of a task that runs.

    Args:
        given: names of data sources by the names of those that they stand for; what no task names counts for nothing.
    """
    versions = [version for pk in plan.running() if (version := plan.tasks[pk].version) is not None]
    named = TaskVersion.objects.filter(pk__in=versions, data_source__in=list(given))
    places = sorted(set(named.values_list("task__workspace", "task__workspace__name", "data_source")))
    names = {*given, *given.values()}
    sources = DataSource.objects.filter(
        workspace__in=[pk for pk, _place, _old in places], environment=environment, name__in=names
    )
    types = {(pk, name): kind for pk, name, kind in sources.values_list("workspace", "name", "type")}
    for pk, place, old in places:
        before, after = types.get((pk, old)), types.get((pk, given[old]))
        params = {"workspace": place, "old": old, "new": given[old]}
        if after is None:
            yield Reason("backfill.no_data_source", params)
        elif before is not None and before != after:
            yield Reason("backfill.other_data_source", params)


@sentence("backfill.no_data_source")
def _no_data_source(params: Mapping[str, Any]) -> str:
    return _("The workspace %(workspace)s has no data source “%(new)s” in this environment.") % params


@sentence("backfill.other_data_source")
def _other_data_source(params: Mapping[str, Any]) -> str:
    return (
        _(
            "In the workspace %(workspace)s the data source “%(new)s” is of another type than “%(old)s”: scripts would fail."
        )
        % params
    )
