"""A group is taken away while a node is published on it: one of them is refused, whoever comes first."""

from functools import partial

import pytest

from opscenter.base.reasons import Refused
from opscenter.operations import resource_groups
from opscenter.operations.drafts import import_document
from opscenter.operations.publish import publish
from opscenter.production.models import ResourceGroup, Task
from tests.operations.at_once import at_once
from tests.workflows.cast import document, make_cast, node

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 8


def test_no_task_is_left_on_a_group_that_its_workspace_may_not_use() -> None:
    cast = make_cast()
    for number in range(ROUNDS):
        group = ResourceGroup.objects.create(tenant=cast.tenant, name=f"fast{number}")
        cast.workspace.resource_groups.create(group=group)
        text = document(
            node(f"n{number}", runtimeResource={"resourceGroup": group.name}), id=f"w{number}", name=f"W{number}"
        )
        nodes = import_document(cast.owner, cast.workspace, text).nodes
        answers = at_once(
            partial(publish, cast.owner, cast.workspace, nodes, "on it"),
            partial(resource_groups.dissociate, cast.owner, cast.workspace, group.name),
        )
        for answer in answers:
            assert not isinstance(answer, BaseException) or isinstance(answer, Refused), answer
        is_usable = cast.workspace.resource_groups.filter(group=group).exists()
        has_task = Task.objects.filter(resource_group=group, status=Task.Status.ONLINE).exists()
        assert is_usable is has_task, "the one that came second was refused"
