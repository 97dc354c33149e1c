"""What people may do to an operation under check: take it back, or pass a check by hand."""

import pytest

from extensions.models import Delivery
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.base.reasons import say as words_of
from opscenter.operations import checked
from opscenter.operations.models import Operation
from opscenter.workspaces.models import AuditEntry, Member, Workspace
from tests.operations.guarded import Guarded, check_of, checks_of, frozen, say, status_of, told, trail

pytestmark = pytest.mark.django_db


# cancelled


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("operator", True),
        ("owner", True),
        ("admin", True),
        ("developer", False),
        ("deployer", False),
        ("visitor", False),
    ],
)
def test_the_requester_may_cancel_and_who_manages_extensions(cast: Guarded, who: str, may: bool) -> None:
    cast.extension()
    task = cast.task()
    operation = cast.freeze(task)
    user = getattr(cast, who)
    if not may:
        with pytest.raises(Forbidden) as error:
            checked.cancel(cast.actor(user), cast.workspace, operation.pk)
        assert error.value.reason.params["permission"] == "extension.manage"
        assert status_of(operation) == "checking"
        return
    cancelled = checked.cancel(cast.actor(user), cast.workspace, operation.pk)
    assert (cancelled.status, frozen(task), told(operation)) == (
        "cancelled", [False], {task.pk: "operation.cancelled"},
    )  # fmt: skip
    check = check_of(operation)
    assert (check.state, check.ended_by, Delivery.objects.get().status) == ("ended", user, "ended")
    assert check.reason is not None and words_of(**check.reason) == f"{user} cancelled the operation."
    assert trail(operation) == [("operation.ask", cast.operator), ("operation.cancel", user)]


def test_a_requester_of_a_lower_role_may_cancel_their_own(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task(owner=cast.developer), by=cast.developer)
    assert checked.cancel(cast.actor(cast.developer), cast.workspace, operation.pk).status == "cancelled"


def test_another_requester_may_not_cancel_mine(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task(), by=cast.admin)
    with pytest.raises(Forbidden):
        checked.cancel(cast.actor(cast.operator), cast.workspace, operation.pk)


def test_strangers_and_other_workspaces_know_of_nothing_to_cancel(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task())
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    Member.objects.create(workspace=elsewhere, user=cast.admin, roles=["role_project_admin"])
    for user, workspace, pk in (
        (cast.stranger, cast.workspace, operation.pk),
        (cast.operator, elsewhere, operation.pk),
        (cast.admin, elsewhere, operation.pk),
        (cast.admin, cast.workspace, operation.pk + 1),
    ):
        with pytest.raises(NotFound):
            checked.cancel(cast.actor(user), workspace, pk)
    assert status_of(operation) == "checking"


@pytest.mark.parametrize("end", ["OK", "FAIL", "cancel", "none"])
def test_what_is_over_cannot_be_cancelled(cast: Guarded, end: str) -> None:
    if end != "none":
        cast.extension()
    task = cast.task()
    operation = cast.freeze(task)
    if end == "cancel":
        checked.cancel(cast.actor(), cast.workspace, operation.pk)
    elif end != "none":
        say(check_of(operation), end)
    before = (status_of(operation), frozen(task), AuditEntry.objects.count())
    with pytest.raises(Refused) as error:
        checked.cancel(cast.actor(), cast.workspace, operation.pk)
    assert (error.value.reason.code, error.value.reason.params["status"]) == ("operation.not_checking", before[0])
    assert str(Operation.Status(before[0]).label) in str(error.value)
    assert (status_of(operation), frozen(task), AuditEntry.objects.count()) == before


# marked as passed


@pytest.mark.parametrize(
    ("who", "may"),
    [
        ("owner", True),
        ("admin", True),
        ("operator", False),
        ("developer", False),
        ("deployer", False),
        ("visitor", False),
    ],
)
def test_who_manages_extensions_marks_a_check_as_passed(cast: Guarded, who: str, may: bool) -> None:
    cast.extension(allows_mark_passed=True)
    task = cast.task()
    operation = cast.freeze(task)
    check, user = check_of(operation), getattr(cast, who)
    if not may:
        with pytest.raises(Forbidden):
            checked.mark_passed(cast.actor(user), cast.workspace, check.pk, "urgent")
        assert status_of(operation) == "checking"
        return
    marked = checked.mark_passed(cast.actor(user), cast.workspace, check.pk, "urgent")
    assert (marked.state, marked.verdict, marked.ended_by) == ("passed", "", user)
    assert marked.reason is not None and words_of(**marked.reason) == f"{user} marked it as passed: “urgent”"
    assert (status_of(operation), frozen(task)) == ("applied", [True])
    assert trail(operation) == [
        ("operation.ask", cast.operator),
        ("check.mark_passed", user),
        ("task.freeze", cast.operator),
    ]
    assert AuditEntry.objects.get(action="check.mark_passed").params == {"extension": "guard", "comment": "urgent"}


def test_the_extension_must_allow_it(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task())
    with pytest.raises(Refused) as error:
        checked.mark_passed(cast.actor(cast.admin), cast.workspace, check_of(operation).pk, "urgent")
    assert error.value.reason.code == "check.no_mark_passed" and "guard" in str(error.value)
    assert (status_of(operation), check_of(operation).state) == ("checking", "checking")


def test_marking_one_leaves_the_others_to_decide(cast: Guarded) -> None:
    cast.extension("a", allows_mark_passed=True)
    cast.extension("b")
    operation = cast.freeze(cast.task())
    first, second = checks_of(operation)
    checked.mark_passed(cast.actor(cast.admin), cast.workspace, first.pk, "")
    assert status_of(operation) == "checking"
    say(second, "FAIL")
    assert status_of(operation) == "blocked"


def test_a_check_that_is_over_cannot_be_marked(cast: Guarded) -> None:
    cast.extension(allows_mark_passed=True)
    operation = cast.freeze(cast.task())
    say(check_of(operation), "FAIL")
    with pytest.raises(Refused) as error:
        checked.mark_passed(cast.actor(cast.admin), cast.workspace, check_of(operation).pk, "")
    assert error.value.reason.code == "check.over"
    assert (status_of(operation), check_of(operation).verdict) == ("blocked", "FAIL")


def test_checks_elsewhere_are_unknown_to_who_would_mark_them(cast: Guarded) -> None:
    cast.extension(allows_mark_passed=True)
    check = check_of(cast.freeze(cast.task()))
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    Member.objects.create(workspace=elsewhere, user=cast.admin, roles=["role_project_admin"])
    for user, workspace in ((cast.admin, elsewhere), (cast.stranger, cast.workspace)):
        with pytest.raises(NotFound):
            checked.mark_passed(cast.actor(user), workspace, check.pk, "")
    with pytest.raises(Invalid):
        checked.mark_passed(cast.actor(cast.admin), cast.workspace, check.pk, "x" * 1001)
    check.refresh_from_db()
    assert check.state == "checking"
