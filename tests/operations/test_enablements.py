"""Extensions in a workspace: enabled with an authorization, set, disabled; what waited for them goes on then."""

from collections.abc import Callable
from typing import Any

import pytest

from extensions import lifecycle
from extensions.models import Check, Delivery, Enablement, Extension
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.operations import enablements, extension_messages, extensions
from opscenter.operations.actions import ACTIONS
from opscenter.operations.actor import Actor
from opscenter.operations.door import apply
from opscenter.operations.enablements import Settings
from opscenter.operations.models import Operation
from opscenter.production.models import Recurrence, Task
from opscenter.workspaces.models import AuditEntry, Workspace
from tests.cast import ROLES
from tests.operations.guards import Troupe, actor_of, enabled, registered, with_status

pytestmark = pytest.mark.django_db
Status = Extension.Status
EVERYBODY = [*ROLES, "keeper", "chief", "stranger", "outsider"]
MANAGERS = {"owner", "admin"}
CALLS: dict[str, Callable[[Actor, Workspace, str], Any]] = {
    "enable": lambda actor, place, code: enablements.enable(actor, place, code, Settings(), has_agreed=True),
    "settings": lambda actor, place, code: enablements.change(actor, place, code, Settings(answer_limit=30)),
    "disable_here": enablements.disable,
}


@pytest.fixture
def cast() -> Troupe:
    return Troupe()


@pytest.fixture
def guard(cast: Troupe) -> Extension:
    """An extension that is online, owned by ``keeper``, and enabled nowhere."""
    return with_status(registered(cast, owner=cast.keeper), Status.ONLINE)


def freeze(cast: Troupe, *tasks: Task) -> Operation:
    return apply("freeze_task", actor_of(cast.operator), cast.workspace, "Prod", [task.pk for task in tasks])


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("call", CALLS)
def test_who_manages_extensions_in_a_workspace(cast: Troupe, guard: Extension, call: str, who: str) -> None:
    if call != "enable":
        enabled(cast, guard)
    AuditEntry.objects.all().delete()
    actor = actor_of(getattr(cast, who))
    if who in MANAGERS:
        CALLS[call](actor, cast.workspace, guard.code)
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.workspace, entry.object_name) == (f"extension.{call}", cast.workspace, "Guard")
        assert ACTIONS[entry.action].details(entry.params)
        return
    is_member = who in ROLES or who == "keeper"
    with pytest.raises(Forbidden if is_member else NotFound):
        CALLS[call](actor, cast.workspace, guard.code)
    assert not AuditEntry.objects.exists()


# status: may be enabled in its test workspace, and in another one
WHERE = {
    Status.TESTING: (True, False),
    Status.IN_REVIEW: (True, False),
    Status.REFUSED: (True, False),
    Status.APPROVED: (True, False),
    Status.ONLINE: (True, True),
    Status.DISABLED: (False, False),
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "elsewhere"])
def test_where_it_may_be_enabled(cast: Troupe, guard: Extension, status: Extension.Status, is_elsewhere: bool) -> None:
    workspace = cast.workspace
    if is_elsewhere:
        workspace = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
        workspace.members.create(user=cast.admin, roles=["role_project_admin"])
    with_status(guard, status)
    if WHERE[status][is_elsewhere]:
        enablements.enable(actor_of(cast.admin), workspace, guard.code, has_agreed=True)
        assert [one.extension for one in lifecycle.listeners(workspace, "freeze-node")] == [guard]
        assert not lifecycle.listeners(workspace, "unfreeze-node")
    else:
        with pytest.raises(NotFound) as error:
            enablements.enable(actor_of(cast.admin), workspace, guard.code, has_agreed=True)
        assert error.value.reason.code == "enablement.unknown"
        Enablement.objects.create(extension=guard, workspace=workspace, is_enabled=True)  # from an earlier status
        assert not lifecycle.listeners(workspace, "freeze-node")


def test_extensions_of_another_tenant_do_not_exist(cast: Troupe) -> None:
    rivals = Troupe("rivals")
    theirs = with_status(registered(rivals, owner=rivals.owner), Status.ONLINE)
    with pytest.raises(NotFound):
        enablements.enable(actor_of(cast.admin), cast.workspace, theirs.code, has_agreed=True)


def test_without_the_authorization_nothing_is_enabled(cast: Troupe, guard: Extension) -> None:
    with pytest.raises(Invalid) as error:
        enablements.enable(actor_of(cast.admin), cast.workspace, guard.code, has_agreed=False)
    assert error.value.reason.code == "enablement.authorization"
    assert not lifecycle.listeners(cast.workspace, "freeze-node")
    enabled(cast, guard)
    made = Enablement.objects.get()
    assert made.agreed_by == cast.admin and made.agreed_at is not None


def test_it_is_enabled_once_and_again_only_with_a_new_authorization(cast: Troupe, guard: Extension) -> None:
    enabled(cast, guard, answer_limit=30)
    with pytest.raises(Refused) as error:
        enablements.enable(actor_of(cast.admin), cast.workspace, guard.code, has_agreed=True)
    assert error.value.reason.code == "enablement.enabled"
    enablements.disable(actor_of(cast.admin), cast.workspace, guard.code)
    with pytest.raises(Invalid):
        enablements.enable(actor_of(cast.owner), cast.workspace, guard.code, has_agreed=False)
    enablements.enable(actor_of(cast.owner), cast.workspace, guard.code, has_agreed=True)
    made = Enablement.objects.get()
    assert (made.agreed_by, made.answer_limit) == (cast.owner, 600)


@pytest.mark.parametrize(("seconds", "fits"), [(4, False), (5, True), (3600, True), (3601, False), (-1, False)])
def test_answer_limits(cast: Troupe, guard: Extension, seconds: int, fits: bool) -> None:
    admin = actor_of(cast.admin)
    settings = Settings(answer_limit=seconds)
    if fits:
        enablements.enable(admin, cast.workspace, guard.code, settings, has_agreed=True)
        return
    with pytest.raises(Invalid) as error:
        enablements.enable(admin, cast.workspace, guard.code, settings, has_agreed=True)
    assert error.value.reason.params["field"] == "answer_limit"
    assert "3600" in str(error.value)
    enabled(cast, guard)
    with pytest.raises(Invalid):
        enablements.change(admin, cast.workspace, guard.code, settings)


def test_settings_hold_for_operations_asked_from_now_on(cast: Troupe, guard: Extension) -> None:
    enabled(cast, guard)
    freeze(cast, cast.task("one"))
    changed = Settings(is_mandatory=False, answer_limit=30, silence_blocks=False)
    enablements.change(actor_of(cast.admin), cast.workspace, guard.code, changed)
    freeze(cast, cast.task("two"))
    told = Check.objects.order_by("pk").values_list("is_mandatory", "answer_limit", "silence_blocks")
    assert list(told) == [(True, 600, True), (False, 30, False)]
    entry = AuditEntry.objects.get(action="extension.settings")
    assert ACTIONS[entry.action].details(entry.params) == (
        "mandatory → advisory; answer within 600 seconds → answer within 30 seconds; no answer blocks → no answer passes"
    )
    enablements.change(actor_of(cast.admin), cast.workspace, guard.code, changed)  # nothing to tell
    assert AuditEntry.objects.filter(action="extension.settings").count() == 1


def test_settings_of_one_that_is_not_enabled(cast: Troupe, guard: Extension) -> None:
    for call in (CALLS["settings"], CALLS["disable_here"]):
        with pytest.raises(NotFound) as error:
            call(actor_of(cast.admin), cast.workspace, guard.code)
        assert error.value.reason.code == "enablement.disabled"


def _two_places(cast: Troupe, guard: Extension) -> tuple[Workspace, list[Operation]]:
    """Two freezes wait here, one waits in another workspace."""
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    for user in (cast.admin, cast.operator):
        elsewhere.members.create(user=user, roles=["role_project_admin"])
    enabled(cast, guard)
    enablements.enable(actor_of(cast.admin), elsewhere, guard.code, has_agreed=True)
    waiting = [freeze(cast, cast.task("one")), freeze(cast, cast.task("two"))]
    third = cast.task("three", workspace=elsewhere)
    waiting.append(apply("freeze_task", actor_of(cast.operator), elsewhere, "Prod", [third.pk]))
    assert {operation.status for operation in waiting} == {Operation.Status.CHECKING}
    return elsewhere, waiting


def _statuses(operations: list[Operation]) -> list[str]:
    found = dict(Operation.objects.values_list("pk", "status"))
    return [found[operation.pk] for operation in operations]


def test_disabling_it_here_passes_its_open_checks_here(cast: Troupe, guard: Extension) -> None:
    _elsewhere, waiting = _two_places(cast, guard)
    assert enablements.disable(actor_of(cast.admin), cast.workspace, guard.code) == 2
    assert _statuses(waiting) == ["applied", "applied", "checking"]
    recurrences = dict(Task.objects.values_list("name", "recurrence"))
    assert [recurrences[name] for name in ("one", "two", "three")] == [
        Recurrence.PAUSE,
        Recurrence.PAUSE,
        Recurrence.NORMAL,
    ]
    ended = Check.objects.filter(event__workspace=cast.workspace)
    assert set(ended.values_list("state", "reason__code", "ended_by")) == {
        ("passed", "check.extension_disabled", cast.admin.pk)
    }
    entry = AuditEntry.objects.get(action="extension.disable_here")
    assert entry.params == {"checks": 2}
    assert freeze(cast, cast.task("four")).status == Operation.Status.APPLIED


def test_disabling_it_everywhere_passes_all_and_each_workspace_hears_of_it(cast: Troupe, guard: Extension) -> None:
    elsewhere, waiting = _two_places(cast, guard)
    extensions.take("disable", actor_of(cast.keeper), guard.code)
    assert _statuses(waiting) == ["applied"] * 3
    entries = AuditEntry.objects.filter(action="extension.disable").order_by("workspace")
    told = [(entry.workspace, ACTIONS[entry.action].details(entry.params)) for entry in entries]
    assert told == [(cast.workspace, "2 open checks ended as passed"), (elsewhere, "1 open check ended as passed")]
    assert not Delivery.objects.filter(status=Delivery.Status.PENDING).exists()


def test_another_extensions_check_still_counts(cast: Troupe, guard: Extension) -> None:
    other = enabled(cast, with_status(registered(cast, owner=cast.owner, name="Other"), Status.ONLINE))
    enabled(cast, guard)
    operation = freeze(cast, cast.task())
    enablements.disable(actor_of(cast.admin), cast.workspace, guard.code)
    assert _statuses([operation]) == ["checking"]
    enablements.disable(actor_of(cast.admin), cast.workspace, other.code)
    assert _statuses([operation]) == ["applied"]


def test_online_again_it_is_asked_where_it_was_enabled(cast: Troupe, guard: Extension) -> None:
    enabled(cast, guard)
    for step, who in (
        ("disable", cast.keeper),
        ("reopen", cast.keeper),
        ("submit", cast.keeper),
        ("approve", cast.chief),
        ("publish", cast.chief),
    ):
        extensions.take(step, actor_of(who), guard.code)
    assert [one.extension for one in lifecycle.listeners(cast.workspace, "freeze-node")] == [guard]


# ---- test messages and replays


def test_a_test_message_is_as_in_earnest_and_decides_nothing(cast: Troupe) -> None:
    guard = registered(cast, owner=cast.keeper)
    task = cast.task("orders")
    cast.task("gone", status="Offline")
    check = extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    event = check.event
    assert (event.operation, event.workspace, event.environment) == (None, cast.workspace, "Prod")
    data = event.message["data"]
    assert data["isTest"] is True and data["nodeIds"] == [task.number] and data["extensionBizName"] == "orders"
    assert (data["operator"], data["eventCode"], data["blockBusiness"]) == (str(cast.keeper.uid), "freeze-node", True)
    assert (check.state, check.answer_limit, check.deliveries.get().status) == ("checking", 600, "pending")
    assert not Operation.objects.exists()
    entry = AuditEntry.objects.latest("pk")
    assert ACTIONS[entry.action].details(entry.params) == "Before freezing tasks"


def test_a_test_message_without_tasks_and_with_the_workspaces_limit(cast: Troupe) -> None:
    guard = enabled(cast, registered(cast, owner=cast.keeper), answer_limit=30)
    check = extension_messages.send_test(actor_of(cast.chief), guard.code, "freeze-node")
    assert check.event.message["data"]["nodeIds"] == [] and check.answer_limit == 30


def test_when_no_test_message_is_sent(cast: Troupe) -> None:
    guard = registered(cast, owner=cast.keeper)
    for point in ("unfreeze-node", "boil-node"):
        with pytest.raises(Invalid) as unbound:
            extension_messages.send_test(actor_of(cast.keeper), guard.code, point)
        assert unbound.value.reason.code == "extension.point_unbound"
    for _ in range(extension_messages.MOST_TESTS):
        extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    with pytest.raises(Refused) as many:
        extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    assert many.value.reason.code == "extension.too_many_tests"
    with_status(guard, Status.DISABLED)
    with pytest.raises(Refused) as disabled:
        extension_messages.send_test(actor_of(cast.keeper), guard.code, "freeze-node")
    assert disabled.value.reason.code == "delivery.disabled"


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_may_send_a_message_again(cast: Troupe, guard: Extension, who: str) -> None:
    enabled(cast, guard)
    freeze(cast, cast.task())
    delivery = Delivery.objects.get()
    AuditEntry.objects.all().delete()
    actor = actor_of(getattr(cast, who))
    if who in MANAGERS | {"keeper", "chief"}:
        made = extension_messages.replay(actor, delivery.pk)
        assert made.is_replay and made.of_check == delivery.of_check
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.params["message"]) == (
            "extension.replay",
            str(delivery.event_id),
        )
        return
    with pytest.raises(NotFound) as error:
        extension_messages.replay(actor, delivery.pk)
    assert error.value.reason.code == "delivery.unknown"
    assert Delivery.objects.count() == 1


def test_managers_send_again_what_is_about_their_workspace(cast: Troupe, guard: Extension) -> None:
    elsewhere, _waiting = _two_places(cast, guard)
    theirs = Delivery.objects.get(of_check__event__workspace=elsewhere)
    with pytest.raises(NotFound):
        extension_messages.replay(actor_of(cast.owner), theirs.pk)
    assert extension_messages.replay(actor_of(cast.admin), theirs.pk).is_replay


def test_one_replay_of_a_message_at_a_time(cast: Troupe, guard: Extension) -> None:
    enabled(cast, guard)
    freeze(cast, cast.task())
    delivery = Delivery.objects.get()
    extension_messages.replay(actor_of(cast.keeper), delivery.pk)
    with pytest.raises(Refused):
        extension_messages.replay(actor_of(cast.keeper), delivery.pk)
