"""Which extensions are asked about which operations, and what becomes of their checks when they are disabled."""

import pytest

from extensions import lifecycle
from extensions.models import Check, Enablement, Event, Extension
from opscenter.base.reasons import say as words_of
from opscenter.operations import checked
from opscenter.operations.door import asked_first
from opscenter.operations.registry import OPERATIONS
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Member, Workspace
from tests.operations.guarded import Guarded, check_of, checks_of, frozen, say, status_of, told, trail

pytestmark = pytest.mark.django_db
Status = Extension.Status


def elsewhere(cast: Guarded, name: str = "elsewhere") -> Workspace:
    """Another workspace of the tenant, where O&M may do the same."""
    made = Workspace.objects.create(tenant=cast.tenant, name=name)
    Member.objects.create(workspace=made, user=cast.operator, roles=["role_project_pe"])
    return made


WHERE = {  # status: in the test workspace, elsewhere
    Status.TESTING: (True, False),
    Status.IN_REVIEW: (True, False),
    Status.APPROVED: (True, False),
    Status.REFUSED: (True, False),
    Status.ONLINE: (True, True),
    Status.DISABLED: (False, False),
}


@pytest.mark.parametrize("enabled", [True, False], ids=["enabled", "not-enabled"])
@pytest.mark.parametrize("in_test_workspace", [True, False], ids=["test-workspace", "elsewhere"])
@pytest.mark.parametrize("status", Status)
def test_statuses_and_workspaces(cast: Guarded, status: Status, in_test_workspace: bool, enabled: bool) -> None:
    other = elsewhere(cast)
    cast.extension(status=status, test_workspace=cast.workspace if in_test_workspace else other, is_enabled=enabled)
    is_asked = enabled and WHERE[status][0 if in_test_workspace else 1]
    task = cast.task()
    spec = OPERATIONS["freeze_task"]
    assert asked_first(spec, cast.workspace, "Prod") == (["guard"] if is_asked else [])
    operation = cast.freeze(task)
    assert (operation.status, frozen(task)) == (("checking", [False]) if is_asked else ("applied", [True]))
    assert Event.objects.exists() is is_asked
    assert set(WHERE) == set(Status)


def test_one_that_was_never_switched_on_is_not_asked(cast: Guarded) -> None:
    cast.extension()
    Enablement.objects.all().delete()
    assert cast.freeze(cast.task()).status == "applied"


def test_each_workspace_decides_for_itself(cast: Guarded) -> None:
    other = elsewhere(cast)
    extension = cast.extension(workspace=other)
    here, there = cast.task("here"), cast.task("there", workspace=other)
    assert cast.freeze(here).status == "applied"
    operation = cast.freeze(there, workspace=other)
    assert check_of(operation).extension == extension
    assert operation.workspace == check_of(operation).event.workspace == other


def test_an_enablement_in_another_tenants_workspace_has_no_effect(cast: Guarded) -> None:
    cast.extension()
    rivals = Guarded("rivals")
    Enablement.objects.update(workspace=rivals.workspace)
    assert rivals.freeze(rivals.task()).status == "applied"


POINTS = [([], []), (["freeze-node"], ["freeze_task"]), (["unfreeze-node"], ["unfreeze_task"])]


@pytest.mark.parametrize(("points", "guarded"), POINTS)
def test_it_is_asked_about_its_own_points_alone(cast: Guarded, points: list[str], guarded: list[str]) -> None:
    cast.extension(points=points)
    for code, recurrence in (("freeze_task", "Normal"), ("unfreeze_task", "Pause")):
        operation = cast.ask(code, [cast.task(code, recurrence=recurrence)])
        assert operation.status == ("checking" if code in guarded else "applied")


def test_never_in_development(cast: Guarded) -> None:
    cast.extension(points=["freeze-node", "unfreeze-node"])
    normal, paused = cast.task("a", environment="Dev"), cast.task("b", environment="Dev", recurrence="Pause")
    assert asked_first(OPERATIONS["freeze_task"], cast.workspace, "Dev") == []
    assert cast.freeze(normal, environment="Dev").status == "applied"
    assert cast.unfreeze(paused, environment="Dev").status == "applied"
    assert frozen(normal, paused) == [True, False]
    assert not Event.objects.exists()


def test_not_about_instances_unless_it_listens_to_them(cast: Guarded) -> None:
    cast.extension()
    instance = cast.instance(cast.task(), State.WAIT_TIME)
    assert cast.ask("freeze", [instance]).status == "applied"
    assert cast.ask("unfreeze", [instance]).status == "applied"
    assert not Event.objects.exists()


def test_they_are_asked_in_the_order_of_their_names(cast: Guarded) -> None:
    for name in ("b", "c", "a"):
        cast.extension(name)
    found = lifecycle.listeners(cast.workspace, "freeze-node")
    assert [one.extension.name for one in found] == ["a", "b", "c"]
    held = lifecycle.held_listeners(cast.workspace, "freeze-node")
    assert held == found
    assert lifecycle.held_listeners(cast.workspace, "no-such-point") == []


def test_settings_hold_as_they_were_when_the_check_was_opened(cast: Guarded) -> None:
    cast.extension(answer_limit=77, silence_blocks=False, is_mandatory=True)
    operation = cast.freeze(cast.task())
    Enablement.objects.update(answer_limit=5, silence_blocks=True, is_mandatory=False)
    check = check_of(operation)
    assert (check.answer_limit, check.silence_blocks, check.is_mandatory) == (77, False, True)
    assert status_of(operation) == "checking"


# disabled while it is asked


def test_disabling_ends_open_checks_as_passed_and_goes_on(cast: Guarded) -> None:
    extension = cast.extension()
    task = cast.task()
    operation = cast.freeze(task)
    assert checked.release(extension, cast.actor(cast.admin)) == 1
    check = check_of(operation)
    assert (check.state, check.verdict, check.ended_by) == ("passed", "", cast.admin)
    assert check.reason is not None
    assert words_of(**check.reason) == f"{cast.admin} disabled the extension; its open checks ended as passed."
    assert (status_of(operation), frozen(task)) == ("applied", [True])
    assert trail(operation) == [("operation.ask", cast.operator), ("task.freeze", cast.operator)]


def test_only_its_own_checks_end_and_only_open_ones(cast: Guarded) -> None:
    one, other = cast.extension("one"), cast.extension("other")
    tasks = [cast.task(str(number)) for number in range(3)]
    waiting, blocked, half = (cast.freeze(task) for task in tasks)
    say(checks_of(blocked)[0], "FAIL")
    say(checks_of(half)[1], "OK")
    assert checked.release(one, cast.actor(cast.admin)) == 2
    assert [status_of(operation) for operation in (waiting, blocked, half)] == ["checking", "blocked", "applied"]
    assert [check.state for check in checks_of(waiting)] == ["passed", "checking"]
    assert [check.state for check in checks_of(blocked)] == ["failed", "ended"]
    assert checked.release(one, cast.actor(cast.admin)) == 0
    assert checked.release(other, cast.actor(cast.admin)) == 1
    assert (status_of(waiting), frozen(*tasks)) == ("applied", [True, False, True])


def test_disabling_in_one_workspace_leaves_the_others_waiting(cast: Guarded) -> None:
    extension, other = cast.extension(), elsewhere(cast)
    Enablement.objects.create(extension=extension, workspace=other, is_enabled=True)
    here, there = cast.task("here"), cast.task("there", workspace=other)
    first, second = cast.freeze(here), cast.freeze(there, workspace=other)
    assert checked.release(extension, cast.actor(cast.admin), cast.workspace) == 1
    assert (status_of(first), status_of(second)) == ("applied", "checking")
    assert frozen(here, there) == [True, False]


def test_releasing_applies_every_operation_that_waited(cast: Guarded) -> None:
    extension = cast.extension()
    tasks = [cast.task(str(number)) for number in range(6)]
    operations = [cast.freeze(*tasks[at : at + 2]) for at in (0, 2, 4)]
    assert checked.release(extension, cast.actor(cast.admin)) == 3
    assert [told(operation) for operation in operations] == [
        {task.pk: None for task in tasks[at : at + 2]} for at in (0, 2, 4)
    ]
    assert not Check.objects.filter(state="checking").exists()
