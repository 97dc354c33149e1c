"""The rules of verdicts, the same through each door: both calls of the API and the callback URL."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from extensions import checks, lifecycle
from extensions.models import Check, Event, Extension
from opscenter.base import clock, reasons
from opscenter.openapi.errors import FAULTS
from opscenter.openapi.reasons import WIRE_CODES
from opscenter.operations import checked
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, AuditEntry, User
from tests.cast import Cast
from tests.openapi.guards import Guard, call_back, verdict
from tests.openapi.wire import V2020, Answer, Wire

WORDS = "Not at night"


def by_result(wire: Wire, check: Check, result: str) -> Answer:
    return wire.try_call("UpdateWorkbenchEventResult", V2020, **verdict(check, result, CheckResultTip=WORDS))


def by_callback_extension(wire: Wire, check: Check, result: str) -> Answer:
    return wire.try_call("CallbackExtension", V2020, **verdict(check, result, CheckMessage=WORDS))


def by_url(wire: Wire, check: Check, result: str) -> Answer:
    return call_back(check, {"result": result, "message": WORDS})


Door = Callable[[Wire, Check, str], Answer]
API_DOORS = [by_result, by_callback_extension]
DOORS = [*API_DOORS, by_url]


@pytest.fixture(params=DOORS, ids=lambda door: door.__name__)
def door(request) -> Door:
    return request.param


@pytest.fixture(params=API_DOORS, ids=lambda door: door.__name__)
def api(request) -> Door:
    return request.param


def acting(user: User) -> Actor:
    return Actor(user=user, face=AuditEntry.Face.CONSOLE)


def status_of(check: Check) -> str:
    return Operation.objects.get(pk=check.event.operation or 0).status


# through every door


def test_ok_and_again(door: Door, guard: Guard) -> None:
    task = guard.cast.task()
    check, wire = guard.asked(task), guard.wire()
    for _ in range(2):
        answer = door(wire, check, "OK")
        assert answer.status == 200, answer.body
        assert answer.body["Success"] is True or answer.body["Success"] == "true"
    task.refresh_from_db()
    assert (task.recurrence, status_of(check)) == ("Pause", "applied")
    check.refresh_from_db()
    assert (check.state, check.verdict, check.words) == ("passed", "OK", WORDS)
    assert check.answered_via == ("callback" if door is by_url else "api")
    assert AuditEntry.objects.filter(action="task.freeze").count() == 1


@pytest.mark.parametrize("spelling", ["FAIL", "Fail", "fail"])
def test_fail_blocks(door: Door, guard: Guard, spelling: str) -> None:
    task = guard.cast.task()
    check = guard.asked(task)
    assert door(guard.wire(), check, spelling).status == 200
    task.refresh_from_db()
    assert (task.recurrence, status_of(check)) == ("Normal", "blocked")
    check.refresh_from_db()
    assert (check.state, check.words) == ("failed", WORDS)


def passed_by_hand(guard: Guard, check: Check) -> None:
    Extension.objects.filter(pk=guard.extension.pk).update(allows_mark_passed=True)
    checked.mark_passed(acting(guard.cast.admin), guard.cast.workspace, check.pk, "it is fine")


def cancelled(guard: Guard, check: Check) -> None:
    checked.cancel(acting(guard.cast.operator), guard.cast.workspace, check.event.operation or 0)


def silent(guard: Guard, check: Check) -> None:
    Check.objects.filter(pk=check.pk).update(due_at=clock.now())
    checked.run_limits()


def unreachable(guard: Guard, check: Check) -> None:
    checked.unreachable(check.pk)


def disabled(guard: Guard, check: Check) -> None:
    lifecycle.move(guard.extension, Extension.Status.DISABLED)
    checked.release(guard.extension, acting(guard.cast.admin))


def answered(guard: Guard, check: Check) -> None:
    assert by_url(guard.wire(), check, "FAIL").status == 200


@pytest.mark.parametrize(
    ("how", "status", "code", "said"),
    [
        (answered, 409, "Invalid.Check.Contradiction", "The verdict FAIL was given at"),
        (silent, 410, "Invalid.Check.Late", "or report progress while you work"),
        (unreachable, 410, "Invalid.Check.Late", ""),
        (cancelled, 410, "Invalid.Check.Over", "cancelled the operation"),
        (passed_by_hand, 410, "Invalid.Check.Over", "marked it as passed: “it is fine”"),
        (disabled, 410, "Invalid.Check.ExtensionDisabled", "“Guard” is disabled"),
    ],
)
def test_what_ended_stays_so(
    door: Door, guard: Guard, how: Callable[[Guard, Check], None], status: int, code: str, said: str
) -> None:
    check, wire = guard.asked(), guard.wire()
    how(guard, check)
    before = Check.objects.filter(pk=check.pk).values().get(), status_of(check)
    answer = door(wire, check, "OK")
    assert (answer.status, answer.code) == (status, code)
    assert said in answer.message
    assert (Check.objects.filter(pk=check.pk).values().get(), status_of(check)) == before


def test_blocked_by_another(door: Door, guard: Guard) -> None:
    other = Guard(guard.cast, "Other")
    check = guard.asked()
    theirs = Check.objects.select_related("event", "extension").get(event=check.event, extension=other.extension)
    assert by_url(other.wire(), theirs, "FAIL").status == 200
    answer = door(guard.wire(), check, "OK")
    assert (answer.status, answer.code) == (410, "Invalid.Check.Over")
    assert "“Other” blocked the operation" in answer.message


def test_the_verdict_of_a_test_message_counts_for_nothing(door: Door, guard: Guard) -> None:
    workspace, data = guard.cast.workspace, {"isTest": True, "nodeIds": []}
    listeners = lifecycle.listeners(workspace, "freeze-node")
    event = checks.open_event("freeze-node", workspace, "Prod", guard.owner, listeners, data, operation=None)
    check = event.checks.select_related("extension", "event").get()
    wire = guard.wire()
    assert door(wire, check, "FAIL").status == 200, "its owner asked for the test and may answer it"
    check.refresh_from_db()
    assert (check.state, check.verdict) == ("failed", "FAIL")
    assert door(wire, check, "OK").code == "Invalid.Check.Contradiction"
    assert not Operation.objects.exists()


@pytest.mark.parametrize("door", [by_callback_extension, by_url])
def test_warn_passes(door: Door, guard: Guard) -> None:
    check = guard.asked()
    assert door(guard.wire(), check, "warn").status == 200
    check.refresh_from_db()
    assert (check.state, check.verdict, status_of(check)) == ("passed", "WARN", "applied")


def test_the_documented_call_has_no_warn(guard: Guard) -> None:
    check = guard.asked()
    answer = by_result(guard.wire(), check, "Warn")
    assert (answer.status, answer.code) == (400, "InvalidCheckResult")
    assert "CallbackExtension" in answer.message
    assert Check.objects.get().state == "checking"


# who may answer through the API


def own_key_of_the_owner(guard: Guard) -> Wire:
    return guard.wire()


def granted_key(guard: Guard) -> Wire:
    return guard.narrow_wire()


@pytest.mark.parametrize("key", [own_key_of_the_owner, granted_key])
def test_who_speaks_for_it(api: Door, guard: Guard, key: Callable[[Guard], Wire]) -> None:
    assert api(key(guard), guard.asked(), "OK").status == 200


def test_foreign_keys(api: Door, guard: Guard) -> None:
    check, other = guard.asked(), Guard(guard.cast, "Other")
    foreign = {
        "an administrator's": Wire(guard.cast.admin),
        "one of another extension's owner": other.wire(),
        "one granted to another extension": other.narrow_wire(),
    }
    for whose, wire in foreign.items():
        answer = api(wire, check, "OK")
        assert (answer.status, answer.code) == (403, "Forbidden.Check.ForeignKey"), whose
    assert Check.objects.get(pk=check.pk).state == "checking"


def test_a_granted_key_of_another_extension_of_the_same_owner(api: Door, guard: Guard) -> None:
    other = Guard(guard.cast, "Other")
    Extension.objects.filter(pk=other.extension.pk).update(owner=guard.owner)
    other.extension.refresh_from_db()
    answer = api(other.narrow_wire(), guard.asked(), "OK")
    assert (answer.status, answer.code) == (403, "Forbidden.Check.ForeignKey")


def test_the_requester(api: Door, guard: Guard) -> None:
    """Who asks cannot answer; the program that they own can."""
    cast = guard.cast
    Extension.objects.filter(pk=guard.extension.pk).update(owner=cast.operator)
    guard.extension.refresh_from_db()
    check = guard.asked(by=cast.operator)
    answer = api(Wire(cast.operator), check, "OK")
    assert (answer.status, answer.code) == (403, "Forbidden.Check.Requester")
    assert Check.objects.get().state == "checking"
    assert api(guard.narrow_wire(), check, "OK").status == 200


def test_keys_that_are_over(api: Door, guard: Guard) -> None:
    check, wire = guard.asked(), guard.narrow_wire()
    access_keys.revoke(wire.key)
    assert api(wire, check, "OK").code == "InvalidAccessKeyId.Inactive"
    wire = guard.wire()
    User.objects.filter(pk=guard.owner.pk).update(is_active=False)
    assert api(wire, check, "OK").code == "InvalidAccessKeyId.Inactive"
    assert Check.objects.get().state == "checking"


def test_another_tenant_learns_nothing(api: Door, guard: Guard) -> None:
    check, nowhere = guard.asked(), Check(event=Event(pk=uuid4()), extension=guard.extension)
    known, unknown = (api(Wire(guard.cast.stranger), one, "OK") for one in (check, nowhere))
    assert (known.status, known.code) == (unknown.status, unknown.code) == (404, "Invalid.Check.MessageNotExist")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"MessageId": str(uuid4())}, "Invalid.Check.MessageNotExist"),
        ({"MessageId": "no uuid"}, "Invalid.Check.MessageNotExist"),
        ({"MessageId": "x" * 1000}, "Invalid.Check.MessageNotExist"),
        ({"ExtensionCode": "0" * 32}, "Invalid.Extension.NotExist"),
        ({"ExtensionCode": "other"}, "Invalid.Check.NotAsked"),
    ],
)
def test_unknown(guard: Guard, change: dict[str, str], code: str) -> None:
    check, other = guard.asked(), Guard(guard.cast, "Other")
    change = {name: other.code if value == "other" else value for name, value in change.items()}
    for action in ("UpdateWorkbenchEventResult", "CallbackExtension"):
        answer = guard.wire().try_call(action, V2020, **(verdict(check) | change))
        assert (answer.status, answer.code) == (404, code)


@pytest.mark.parametrize(
    ("action", "change", "code"),
    [
        ("UpdateWorkbenchEventResult", {"MessageId": ""}, "MissingMessageId"),
        ("UpdateWorkbenchEventResult", {"ExtensionCode": ""}, "MissingExtensionCode"),
        ("UpdateWorkbenchEventResult", {"CheckResult": ""}, "MissingCheckResult"),
        ("UpdateWorkbenchEventResult", {"CheckResult": "PASS"}, "InvalidCheckResult"),
        ("CallbackExtension", {"CheckResult": "maybe"}, "InvalidCheckResult"),
        ("CallbackExtension", {"CheckResult": "FAIL"}, "MissingCheckMessage"),
        ("CallbackExtension", {"CheckMessage": "a\0b"}, "InvalidCheckMessage"),
    ],
)
def test_malformed(guard: Guard, action: str, change: dict[str, str], code: str) -> None:
    check = guard.asked()
    answer = guard.wire().try_call(action, V2020, **(verdict(check) | change))
    assert (answer.status, answer.code) == (400, code)
    assert Check.objects.get().state == "checking"


def test_reasons_may_be_long(guard: Guard) -> None:
    check = guard.asked()
    answer = guard.wire().try_call(
        "UpdateWorkbenchEventResult", V2020, **verdict(check, "FAIL", CheckResultTip="é" * 5000)
    )
    assert answer.status == 200
    assert Check.objects.get().words == "é" * checks.LONGEST_WORDS


def test_parameters_in_the_query_of_an_empty_post(guard: Guard) -> None:
    """As every client sends it."""
    wire, check = guard.wire(), guard.asked()
    for v1 in (True, False):
        assert wire.send(wire.sign("UpdateWorkbenchEventResult", V2020, query=verdict(check), v1=v1)).status == 200


def test_each_refusal_has_a_code_of_its_own() -> None:
    told = {code: WIRE_CODES[code] for code in reasons._sentences if code.startswith("verdict.")}
    assert len(set(told.values())) == len(told) >= 12
    assert set(WIRE_CODES.values()) <= set(FAULTS)


# reading about extensions


def codes(body: dict[str, Any]) -> list[str]:
    return [entry["ExtensionCode"] for entry in body["PagingInfo"]["Extensions"]]


def test_who_sees_which_extensions(cast: Cast, guard: Guard) -> None:
    """Owners see theirs; tenant administrators all; members those that may be asked in their workspaces."""
    tested = Guard(cast, "Tested")
    Extension.objects.filter(pk=tested.extension.pk).update(status=Extension.Status.TESTING)
    gone = Guard(cast, "Gone")
    Extension.objects.filter(pk=gone.extension.pk).update(status=Extension.Status.DISABLED)
    boss = User.objects.create_user("boss", tenant=cast.tenant, is_tenant_admin=True)
    outsider = cast.user("outsider")
    elsewhere = Guard(Cast("rival"), "Elsewhere")
    everything = [gone.code, tested.code, guard.code]
    seen = {
        "admin": (cast.admin, everything[1:]),
        "visitor": (cast.visitor, everything[1:]),
        "tenant administrator": (boss, everything),
        "owner of one that is disabled": (gone.owner, [gone.code]),
        "nobody": (outsider, []),
        "stranger": (cast.stranger, []),
    }
    for who, (user, expected) in seen.items():
        wire = Wire(user)
        assert codes(wire.call("ListExtensions", V2020)) == expected, who
        for code in (*everything, elsewhere.code):
            answer = wire.try_call("GetExtension", V2020, ExtensionCode=code)
            assert answer.status == (200 if code in expected else 404), who
    paging = Wire(boss).call("ListExtensions", V2020, PageSize=1, PageNumber=2)["PagingInfo"]
    assert (paging["TotalCount"], paging["Extensions"][0]["ExtensionCode"]) == (3, tested.code)


def test_an_extension_key_sees_its_own(cast: Cast, guard: Guard) -> None:
    other = Guard(cast, "Other")
    wire = guard.narrow_wire()
    assert wire.key.scope == AccessKey.Scope.CALLBACK
    assert wire.call("GetExtension", V2020, ExtensionCode=guard.code)["Extension"]["ExtensionName"] == "Guard"
    answer = wire.try_call("GetExtension", V2020, ExtensionCode=other.code)
    assert (answer.status, answer.code) == (404, "Invalid.Extension.NotExist")


def test_an_extension_as_it_is_shown(wire: Wire, cast: Cast, guard: Guard) -> None:
    Extension.objects.filter(pk=guard.extension.pk).update(allows_mark_passed=True)
    shown = wire.call("GetExtension", V2020, ExtensionCode=guard.code)
    assert shown["Extension"] == {
        "ExtensionCode": guard.code,
        "ExtensionName": "Guard",
        "ExtensionDesc": "Asks before freezing",
        "Status": 1,
        "BindEventList": [
            {"EventCode": "freeze-node", "EventName": "Before freezing tasks"},
            {"EventCode": "unfreeze-node", "EventName": "Before unfreezing tasks"},
        ],
        "EventCategoryList": [{"CategoryCode": "node-change", "CategoryName": "Node change"}],
        "DetailUrl": "https://guard.example.com/details",
        "HelpDocUrl": "",
        "ParameterSetting": "extension.manualPass.enabled=true",
        "OptionSetting": "",
        "ProjectTesting": cast.workspace.pk,
    }
    assert 'guard.example.com/"' not in str(shown), "where its messages go is its owner's matter"


def test_enabled_extensions(wire: Wire, cast: Cast, guard: Guard) -> None:
    off = Guard(cast, "Off", is_mandatory=False)
    type(off.enablement).objects.filter(pk=off.enablement.pk).update(is_enabled=False)

    def found(event: str) -> list[str]:
        named = {"ProjectId": cast.workspace.pk, "EventCode": event}
        body = wire.call("ListEnabledExtensionsForProject", V2020, **named)
        return [entry["ExtensionName"] for entry in body["Extensions"]]

    assert found("freeze-node") == found("unfreeze-node") == ["Guard"]
    assert found("commit-file") == []
