"""Several people want different things of the same instance, or task, at the same moment: each is told what became of
theirs, and all of it together is as if they had come one after the other, in some order."""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest

from opscenter.operations import bulk, jobs
from opscenter.operations.models import Operation
from opscenter.production.models import InstanceEdge, Task, TaskInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry
from tests.operations.at_once import at_once
from tests.operations.guarded import Guarded
from tests.operations.test_matrix import cell
from tests.operations.test_task_matrix import ARGUMENTS, LETTERS, TABLE

pytestmark = pytest.mark.django_db(transaction=True)
Outcome = tuple[str, str | None]
"""An operation, and the code of its refusal."""


def in_some_order(
    found: Sequence[Outcome], start: Any, end: Any, do: Callable[[Any, str], tuple[Any, str | None]]
) -> bool:
    """Whether these operations, one after the other in some order, come to the same.

    Args:
        do: what an operation makes of what is there, and why it does not.
    """
    for order in permutations(found):
        now = start
        for code, refused in order:
            now, why = do(now, code)
            if why != refused:
                break
        else:
            if now == end:
                return True
    return False


def told(operation: Operation, pk: int) -> Outcome:
    target = operation.targets.get(object_id=pk)
    assert target.done is not None
    return operation.code, target.reason["code"] if target.reason else None


def of_instance(now: tuple[State, bool], code: str) -> tuple[tuple[State, bool], str | None]:
    """It waits for an upstream, so what is rerun does not start."""
    state, frozen = now
    if (refused := cell(code, frozen, state)) is not None:
        return now, refused
    frozen = {"freeze": True, "unfreeze": False}.get(code, frozen)
    return (
        {"rerun": State.NOT_RUN, "set_success": State.SUCCESS, "stop": State.FAILURE}.get(code, state),
        frozen,
    ), None


@pytest.mark.parametrize("start", [(State.FAILURE, False), (State.FAILURE, True), (State.WAIT_TIME, False)], ids=str)
@pytest.mark.parametrize("attempt", range(3))
def test_an_instance(start: tuple[State, bool], attempt: int) -> None:
    cast = Guarded()
    upstream = cast.instance(cast.task("first"), State.FAILURE)
    state, frozen = start
    one = cast.instance(cast.task(), state, upstream=[upstream], frozen=frozen)
    below = cast.instance(cast.task("below"), State.NOT_RUN, upstream=[one])
    codes = ["rerun", "set_success", "freeze", "unfreeze", "stop"]
    as_job = bulk.apply_to_all(
        "rerun", cast.actor(cast.admin), cast.workspace, "Prod", TaskInstance.objects.filter(pk=one.pk), {}
    )

    def job() -> Operation:
        jobs.run(as_job.pk)
        return as_job

    by = [cast.owner, cast.admin, cast.operator, cast.owner, cast.admin]
    calls = [lambda code=code, who=who: cast.ask(code, [one], by=who) for code, who in zip(codes, by, strict=True)]
    answers = at_once(*calls, job)
    found = [told(answer, one.pk) for answer in answers]
    one.refresh_from_db()
    assert in_some_order(found, start, (State(one.state), one.frozen), of_instance), (found, one.state, one.frozen)
    edge = InstanceEdge.objects.get(upstream=one, downstream=below)
    below.refresh_from_db()
    assert edge.met is (one.state == State.SUCCESS) and below.unmet == int(not edge.met)
    done = sum(refused is None for _code, refused in found)
    entries = AuditEntry.objects.filter(action__startswith="instance.")
    assert sum(len(entry.params["done"]) for entry in entries) + (found[-1][1] is None) == done


def of_task(now: tuple[str, str, int], code: str) -> tuple[tuple[str, str, int], str | None]:
    status, recurrence, priority = now
    column = {"Normal": 0, "Pause": 2}[recurrence] if status == "Online" else 3
    if (refused := LETTERS[TABLE[code].split()[column]]) is not None:
        return now, refused
    recurrence = {"freeze_task": "Pause", "unfreeze_task": "Normal"}.get(code, recurrence)
    status = "Offline" if code == "undeploy_task" else status
    return (status, recurrence, 7 if code == "set_priority_task" else priority), None


@pytest.mark.parametrize("recurrence", ["Normal", "Pause"])
@pytest.mark.parametrize("attempt", range(3))
def test_a_task(recurrence: str, attempt: int) -> None:
    cast = Guarded()
    task = cast.task(recurrence=recurrence)
    codes = ["freeze_task", "unfreeze_task", "undeploy_task", "set_priority_task", "freeze_task", "unfreeze_task"]
    answers = at_once(*[lambda code=code: cast.ask(code, [task], arguments=ARGUMENTS.get(code)) for code in codes])
    found = [told(answer, task.pk) for answer in answers]
    now = Task.objects.get(pk=task.pk)
    end = (now.status, now.recurrence, now.priority)
    assert in_some_order(found, ("Online", recurrence, 1), end, of_task), (found, end)
