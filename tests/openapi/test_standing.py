"""How a workflow instance stands is the same in the database's words and in ours."""

from itertools import combinations

import pytest

from opscenter.production.backfill_counts import Standing, of_families, standing_is
from opscenter.production.models import TaskInstance, WorkflowInstance
from opscenter.production.rules.states import State
from tests.cast import BIZDATE, Cast

pytestmark = pytest.mark.django_db


def test_filtered_and_counted_alike_for_all_mixtures(cast: Cast) -> None:
    mixtures = [some for size in range(4) for some in combinations(State, size)]
    families = WorkflowInstance.objects.bulk_create(
        WorkflowInstance(
            workspace=cast.workspace, environment="Prod", type=WorkflowInstance.Type.BACKFILL, name="n", bizdate=BIZDATE
        )
        for _ in mixtures
    )
    pattern = cast.instance(cast.task("a"))
    tasks = [cast.task(f"t{n}") for n in range(3)]
    rows = []
    for family, states in zip(families, mixtures, strict=True):
        for task, state in zip(tasks, states, strict=False):
            row = TaskInstance.objects.get(pk=pattern.pk)
            row.pk, row.task, row.workflow_instance, row.state = None, task, family, state
            rows.append(row)
    TaskInstance.objects.bulk_create(rows)
    counted = of_families([family.pk for family in families])
    for standing in Standing:
        found = set(WorkflowInstance.objects.filter(standing_is(standing), pk__in=counted).values_list("pk", flat=True))
        assert found == {pk for pk, counts in counted.items() if counts.standing is standing}, standing
