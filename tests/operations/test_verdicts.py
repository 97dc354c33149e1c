"""Who may give a verdict, by which door, and which verdict stands (DESIGN.md 5). Every refusal has a code of its own."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from extensions import checks, lifecycle
from extensions.envelope import nodes
from extensions.models import Check, Event, Extension
from extensions.tokens import token_of
from opscenter.base.reasons import Forbidden, NotFound, Refused
from opscenter.base.reasons import say as words_of
from opscenter.operations import checked
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, AuditEntry, User
from tests.operations.guarded import Guarded, Verdict, check_of, checks_of, event_of, frozen, pass_time, say, status_of

pytestmark = pytest.mark.django_db


def by_key(check: Check, user: User, verdict: str = "OK", key: AccessKey | None = None, **names: str) -> Check:
    """A verdict through the API, signed with a key of the user."""
    key = key or access_keys.create(user)[0]
    actor = Actor(user, AuditEntry.Face.API, access_key_id=key.key_id)
    values = {"message": str(check.event_id), "extension": check.extension.code} | names
    return checked.answer_by_key(actor, values["message"], values["extension"], Verdict(verdict), "words")


def refused(error: type[Refused], code: str, call: Callable[[], Any]) -> dict[str, Any]:
    """The call is refused so, in words, and changes nothing; the parameters of the reason."""
    before = list(Check.objects.order_by("pk").values()), list(Operation.objects.order_by("pk").values())
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    reason = caught.value.reason
    assert reason.code == code
    assert words_of(code, reason.params) == str(caught.value) and code not in str(caught.value)
    assert (list(Check.objects.order_by("pk").values()), list(Operation.objects.order_by("pk").values())) == before
    return dict(reason.params)


# who


def test_the_owner_of_the_extension_answers_with_any_key(cast: Guarded) -> None:
    task = cast.task()
    extension = cast.extension()
    check = check_of(cast.freeze(task))
    answered = by_key(check, extension.owner)
    assert (answered.state, answered.verdict, answered.words, answered.answered_via, answered.ended_by) == (
        "passed", "OK", "words", "api", extension.owner,
    )  # fmt: skip
    assert frozen(task) == [True]


def test_an_owner_who_is_in_no_workspace_answers_too(cast: Guarded) -> None:
    extension = cast.extension(owner=cast.user("outsider"))
    operation = cast.freeze(cast.task())
    by_key(check_of(operation), extension.owner)
    assert status_of(operation) == "applied"


def test_a_key_granted_to_the_extension_answers(cast: Guarded) -> None:
    extension = cast.extension()
    key, _secret = lifecycle.new_key(extension)
    operation = cast.freeze(cast.task())
    by_key(check_of(operation), extension.owner, key=key)
    assert status_of(operation) == "applied"


@pytest.mark.parametrize("who", ["operator", "owner", "admin", "developer", "visitor"])
def test_a_key_of_anybody_else_does_not(cast: Guarded, who: str) -> None:
    """Whatever they may do in the workspace."""
    cast.extension()
    check = check_of(cast.freeze(cast.task()))
    params = refused(Forbidden, "verdict.foreign_key", lambda: by_key(check, getattr(cast, who)))
    assert params == {"extension": "guard"}


def test_the_administrator_of_the_tenant_does_not_speak_for_it_either(cast: Guarded) -> None:
    cast.extension()
    check = check_of(cast.freeze(cast.task()))
    boss = cast.user("boss")
    boss.is_tenant_admin = True
    boss.save()
    refused(Forbidden, "verdict.foreign_key", lambda: by_key(check, boss))


def test_a_key_granted_to_another_extension_of_the_same_owner_does_not(cast: Guarded) -> None:
    cast.extension("first")
    second = cast.extension("second")
    key, _secret = lifecycle.new_key(second)
    first_check, second_check = checks_of(cast.freeze(cast.task()))
    refused(Forbidden, "verdict.foreign_key", lambda: by_key(first_check, second.owner, key=key))
    by_key(second_check, second.owner, key=key)


def test_a_former_owners_key_does_not(cast: Guarded) -> None:
    extension = cast.extension()
    former, extension.owner = extension.owner, cast.user("successor")
    extension.save()
    check = check_of(cast.freeze(cast.task()))
    refused(Forbidden, "verdict.foreign_key", lambda: by_key(check, former))
    by_key(check, extension.owner)


def test_who_asked_for_the_operation_does_not_judge_it(cast: Guarded) -> None:
    cast.extension(owner=cast.operator)
    operation = cast.freeze(cast.task())
    refused(Forbidden, "verdict.requester", lambda: by_key(check_of(operation), cast.operator))
    assert status_of(operation) == "checking"


def test_the_extension_itself_does_although_its_key_is_of_who_asked(cast: Guarded) -> None:
    """A key made for the extension is the program's, whoever owns it."""
    extension = cast.extension(owner=cast.operator)
    key, _secret = lifecycle.new_key(extension)
    operation = cast.freeze(cast.task())
    by_key(check_of(operation), cast.operator, key=key)
    assert status_of(operation) == "applied"


def test_the_owner_judges_what_others_asked_for(cast: Guarded) -> None:
    cast.extension(owner=cast.operator)
    operation = cast.freeze(cast.task(), by=cast.admin)
    by_key(check_of(operation), cast.operator)
    assert status_of(operation) == "applied"


def test_another_tenant_learns_nothing(cast: Guarded) -> None:
    cast.extension()
    check = check_of(cast.freeze(cast.task()))
    params = refused(NotFound, "verdict.unknown_message", lambda: by_key(check, cast.stranger))
    assert params == {"message": str(check.event_id)}


# what is named


@pytest.mark.parametrize("message", [str(uuid.UUID(int=1)), "", "no-uuid", "x" * 5000, "\0", "7", "\ud800"])
def test_an_unknown_message(cast: Guarded, message: str) -> None:
    extension = cast.extension()
    check = check_of(cast.freeze(cast.task()))
    call = lambda: by_key(check, extension.owner, message=message)  # noqa: E731
    assert len(refused(NotFound, "verdict.unknown_message", call)["message"]) <= 64


@pytest.mark.parametrize("code", [uuid.UUID(int=1).hex, "", "x" * 5000, "\0", "\ud800"])
def test_an_unknown_extension(cast: Guarded, code: str) -> None:
    extension = cast.extension()
    check = check_of(cast.freeze(cast.task()))
    call = lambda: by_key(check, extension.owner, extension=code)  # noqa: E731
    assert len(refused(NotFound, "verdict.unknown_extension", call)["extension"]) <= 64


def test_an_extension_of_another_tenant_is_unknown(cast: Guarded) -> None:
    extension, theirs = cast.extension(), Guarded("rivals").extension()
    check = check_of(cast.freeze(cast.task()))
    refused(NotFound, "verdict.unknown_extension", lambda: by_key(check, extension.owner, extension=theirs.code))


def test_an_extension_that_was_not_asked(cast: Guarded) -> None:
    cast.extension()
    idle = cast.extension("idle", is_enabled=False)
    check = check_of(cast.freeze(cast.task()))
    params = refused(NotFound, "verdict.not_asked", lambda: by_key(check, idle.owner, extension=idle.code))
    assert params == {"extension": idle.code, "message": str(check.event_id)}


def test_a_message_id_is_known_in_every_spelling(cast: Guarded) -> None:
    extension = cast.extension()
    operation = cast.freeze(cast.task())
    check = check_of(operation)
    by_key(check, extension.owner, message=str(check.event_id).upper())
    assert status_of(operation) == "applied"


# the callback's token


def test_who_has_the_token_answers(cast: Guarded) -> None:
    cast.extension()
    operation = cast.freeze(cast.task())
    check = say(check_of(operation), "OK", "fine by me")
    assert (check.state, check.verdict, check.words, check.answered_via, check.ended_by) == (
        "passed", "OK", "fine by me", "callback", None,
    )  # fmt: skip
    assert status_of(operation) == "applied"


def test_forged_and_foreign_tokens_are_refused(cast: Guarded) -> None:
    cast.extension("first")
    cast.extension("second")
    first, second = checks_of(cast.freeze(cast.task()))
    for token in (token_of(second), "", "cbt_" + "A" * 43, token_of(first)[:-1]):
        for call in (
            lambda token=token: checked.answer_by_token(first.pk, token, Verdict.OK, ""),
            lambda token=token: checked.report_by_token(first.pk, token, 50, ""),
        ):
            assert refused(Forbidden, "verdict.forged", call) == {}
    assert say(first, "OK").state == "passed"


def test_no_such_check(cast: Guarded) -> None:
    params = refused(NotFound, "verdict.unknown_check", lambda: checked.answer_by_token(5, "cbt_", Verdict.OK, ""))
    assert params == {"check": 5}


# which verdict stands

FINAL = ["OK", "WARN", "FAIL"]
DOORS: dict[str, Callable[[Check, str], Check]] = {
    "callback": lambda check, verdict: say(check, verdict, "words"),
    "key": lambda check, verdict: by_key(check, check.extension.owner, verdict),
}


@pytest.mark.parametrize("second_door", DOORS)
@pytest.mark.parametrize("first_door", DOORS)
@pytest.mark.parametrize("then", FINAL)
@pytest.mark.parametrize("first", FINAL)
def test_the_first_stands_the_same_again_is_accepted_another_refused(
    cast: Guarded, first: str, then: str, first_door: str, second_door: str
) -> None:
    cast.extension()
    operation = cast.freeze(cast.task())
    check = DOORS[first_door](check_of(operation), first)
    state, ended = ("blocked" if first == "FAIL" else "applied"), check.ended_at
    assert status_of(operation) == state
    entries = AuditEntry.objects.count()
    if first == then:
        assert DOORS[second_door](check, then).pk == check.pk
    else:
        params = refused(Refused, "verdict.contradiction", lambda: DOORS[second_door](check, then))
        assert (params["stands"], params["given"]) == (first, then)
    check.refresh_from_db()
    assert (check.verdict, check.ended_at, status_of(operation)) == (first, ended, state)
    assert AuditEntry.objects.count() == entries


def test_the_words_of_a_repeat_change_nothing(cast: Guarded) -> None:
    cast.extension()
    check = check_of(cast.freeze(cast.task()))
    say(check, "FAIL", "the month is being closed")
    say(check, "FAIL", "something else")
    check.refresh_from_db()
    assert check.words == "the month is being closed"


def test_words_are_kept_as_far_as_they_can_be(cast: Guarded) -> None:
    cast.extension()
    check = check_of(cast.freeze(cast.task()))
    say(check, "FAIL", "<b>\0\ud800 “每日”\n" + "x" * 5000)
    check.refresh_from_db()
    assert check.words.startswith("<b>? “每日”\nxx") and len(check.words) == checks.LONGEST_WORDS


# after the end

LATE = [
    ("silence", "verdict.late"),
    ("unreachable", "verdict.late"),
    ("disabled", "verdict.disabled"),
    ("cancelled", "verdict.over"),
    ("marked", "verdict.over"),
    ("blocked", "verdict.over"),
]


def ended(cast: Guarded, how: str) -> Check:
    """A check that ended without a verdict."""
    extension = cast.extension(allows_mark_passed=True)
    other = cast.extension("other")
    operation = cast.freeze(cast.task())
    check, others = checks_of(operation)
    match how:
        case "silence":
            pass_time(check, seconds=600)
            checked.run_limits()
        case "unreachable":
            checked.unreachable(check.pk)
        case "disabled":
            checked.release(extension, cast.actor(cast.admin))
        case "cancelled":
            checked.cancel(cast.actor(), cast.workspace, operation.pk)
        case "marked":
            checked.mark_passed(cast.actor(cast.admin), cast.workspace, check.pk, "")
        case "blocked":
            assert others.extension == other
            say(others, "FAIL")
    check.refresh_from_db()
    assert check.state != Check.State.CHECKING and check.verdict == ""
    return check


@pytest.mark.parametrize("verdict", FINAL)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("how", "code"), LATE)
def test_a_verdict_after_the_end_is_refused(cast: Guarded, how: str, code: str, door: str, verdict: str) -> None:
    check = ended(cast, how)
    refused(Refused, code, lambda: DOORS[door](check, verdict))


@pytest.mark.parametrize(("how", "code"), LATE)
def test_a_progress_report_after_the_end_is_refused(cast: Guarded, how: str, code: str) -> None:
    check = ended(cast, how)
    refused(Refused, code, lambda: checked.report_by_token(check.pk, token_of(check), 50, ""))


def test_a_progress_report_after_the_verdict_is_refused(cast: Guarded) -> None:
    cast.extension()
    check = say(check_of(cast.freeze(cast.task())), "OK")
    refused(Refused, "verdict.contradiction", lambda: checked.report_by_token(check.pk, token_of(check), 50, ""))


def test_a_verdict_that_comes_before_anybody_noticed_the_limit_counts(cast: Guarded) -> None:
    """The check is open until it is ended: what stood still meanwhile was us, not the extension."""
    cast.extension()
    operation = cast.freeze(cast.task())
    pass_time(check_of(operation), seconds=700)
    say(check_of(operation), "OK")
    assert status_of(operation) == "applied"


# test messages


def message(cast: Guarded, extension: Extension) -> Check:
    """A test message: real but for the operation."""
    (listener,) = lifecycle.listeners(cast.workspace, "freeze-node")
    data = nodes([]) | {"isTest": True}
    event = checks.open_event("freeze-node", cast.workspace, "Prod", extension.owner, [listener], data, operation=None)
    return event.checks.select_related("extension", "event").get()


def test_a_test_message_is_answered_as_any_other_and_decides_nothing(cast: Guarded) -> None:
    extension = cast.extension()
    check = message(cast, extension)
    by_key(check, extension.owner, "FAIL")  # who sends it may answer it
    check.refresh_from_db()
    assert (check.state, check.verdict) == ("failed", "FAIL")
    by_key(check, extension.owner, "FAIL")
    refused(Refused, "verdict.contradiction", lambda: say(check, "OK"))
    refused(Forbidden, "verdict.foreign_key", lambda: by_key(check, cast.admin))
    assert not Operation.objects.exists() and not AuditEntry.objects.exists()


def test_a_test_message_has_its_limit_too(cast: Guarded) -> None:
    check = message(cast, cast.extension())
    pass_time(check, seconds=600)
    checked.run_limits()
    check.refresh_from_db()
    assert (check.state, check.due_at) == ("failed", None)
    refused(Refused, "verdict.late", lambda: say(check, "OK"))


def test_each_event_has_an_id_of_its_own(cast: Guarded) -> None:
    cast.extension()
    operations = [cast.freeze(cast.task(str(number))) for number in range(3)]
    assert len({event_of(operation).pk for operation in operations}) == 3
    assert len(set(Event.objects.values_list("biz_id", flat=True))) == 3
