"""The message that extensions get, field by field with its type (spec/extensions.md 4.1, 4.2, 4.12)."""

import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from extensions.envelope import body_for, shown_for
from extensions.points import POINTS
from extensions.tokens import is_token_of, token_of
from opscenter.base import clock
from opscenter.production.models import Task
from tests.operations.guarded import Guarded, check_of, event_of

pytestmark = pytest.mark.django_db
SAMPLE = {  # spec/extensions.md 4.2, as documented
    "datacontenttype": "application/json;charset=utf-8",
    "data": {
        "eventCode": "freeze-node",
        "operator": "1918273645546735",
        "projectId": 12056,
        "tenantId": 283780110656,
        "nodeIds": [700002150, 700002151],
        "extensionBizId": "9f2c61d07b3e4a55",
        "blockBusiness": True,
    },
    "id": "03400b03-b721-4c34-8727-2d6884070001",
    "source": "acs.dataworks",
    "specversion": "1.0",
    "subject": "",
    "time": "2026-03-02T09:15:04+08:00",
    "type": "dataworks:NodeChange:FreezeNode",
    "aliyunaccountid": "1107000042530001",
    "aliyunpublishtime": "2026-03-02T01:15:04.512Z",
    "aliyuneventbusname": "dw-openevent",
    "aliyunregionid": "cn-hangzhou",
}
OURS = {"extensionBizName": str, "callbackUrl": str, "callbackToken": str}
"""What we add to ``data``."""


@pytest.fixture
def cast() -> Guarded:
    made = Guarded(time_zone="Asia/Shanghai")
    made.extension()
    return made


def shape(value: Any) -> Any:
    """The names and types in a message."""
    if isinstance(value, dict):
        return {key: shape(member) for key, member in value.items()}
    if isinstance(value, list):
        return [shape(value[0])]
    return type(value)


def sent(cast: Guarded, *tasks: Task, code: str = "freeze_task") -> dict[str, Any]:
    """The message about an operation, as it goes over the wire."""
    body = body_for(check_of(cast.ask(code, tasks)))
    return dict(json.loads(body))


def test_every_field_has_its_documented_name_place_and_type(cast: Guarded) -> None:
    message = sent(cast, cast.task("dwd_order_day"), cast.task("ads"))
    ours = {key: type(message["data"].pop(key)) for key in OURS}
    assert ours == OURS
    assert shape(message) == shape(SAMPLE)


def test_its_values_are_those_of_the_operation(cast: Guarded) -> None:
    tasks = [cast.task("dwd_order_day"), cast.task("ads"), cast.task("dws")]
    operation = cast.freeze(*tasks)
    event, check = event_of(operation), check_of(operation)
    message = json.loads(body_for(check))
    at = message.pop("time"), message.pop("aliyunpublishtime")
    assert message == {
        "datacontenttype": "application/json;charset=utf-8",
        "data": {
            "eventCode": "freeze-node",
            "operator": str(cast.operator.uid),
            "projectId": cast.workspace.pk,
            "tenantId": cast.tenant.pk,
            "nodeIds": [task.number for task in tasks],
            "extensionBizId": event.biz_id,
            "extensionBizName": "dwd_order_day +2",
            "blockBusiness": True,
            "callbackUrl": f"{settings.PUBLIC_URL}/callbacks/checks/{check.pk}",
            "callbackToken": token_of(check),
        },
        "id": str(event.pk),
        "source": "acs.dataworks",
        "specversion": "1.0",
        "subject": "",
        "type": "dataworks:NodeChange:FreezeNode",
        "aliyunaccountid": str(cast.tenant.pk),
        "aliyuneventbusname": "opscenter",
        "aliyunregionid": "opscenter",
    }
    assert UUID(message["id"]).version == 4
    assert re.fullmatch(r"[0-9a-f]{16}", event.biz_id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00", at[0]), "the tenant's own time, to the second"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at[1])
    for text in at:
        assert abs((datetime.fromisoformat(text) - clock.now()).total_seconds()) < 60


def test_the_ids_are_the_tasks_numbers_and_in_the_order_asked(cast: Guarded) -> None:
    first, second = cast.task("b"), cast.task("a")
    assert first.pk != first.number
    assert sent(cast, second, first)["data"]["nodeIds"] == [second.number, first.number]


def test_what_is_refused_at_once_is_not_in_the_message(cast: Guarded) -> None:
    good, offline = cast.task("good"), cast.task("offline", status=Task.Status.OFFLINE)
    data = sent(cast, offline, good)["data"]
    assert (data["nodeIds"], data["extensionBizName"]) == ([good.number], "good")


def test_unfreezing_has_a_type_of_its_own(cast: Guarded) -> None:
    message = sent(cast, cast.task("a", recurrence="Pause"), code="unfreeze_task")
    assert (message["type"], message["data"]["eventCode"]) == ("dataworks:NodeChange:UnFreezeNode", "unfreeze-node")
    assert {point.type for point in POINTS.values()} >= {message["type"]}


def test_every_try_sends_the_same_bytes(cast: Guarded) -> None:
    check = check_of(cast.freeze(cast.task("每日 “总计”")))
    body = body_for(check)
    check.refresh_from_db()
    assert body_for(check) == body
    assert "每日 “总计”".encode() in body


def test_each_extension_gets_the_same_message_with_a_token_of_its_own(cast: Guarded) -> None:
    cast.extension("second")
    operation = cast.freeze(cast.task())
    checks = event_of(operation).checks.all()
    first, second = (json.loads(body_for(check)) for check in checks)
    keys = ("callbackUrl", "callbackToken")
    for key in keys:
        assert first["data"].pop(key) != second["data"].pop(key)
    assert first == second


def test_people_see_the_message_without_the_token(cast: Guarded) -> None:
    check = check_of(cast.freeze(cast.task()))
    shown, message = shown_for(check), json.loads(body_for(check))
    assert token_of(check) not in json.dumps(shown)
    assert shown["data"].pop("callbackToken") == "***"
    message["data"].pop("callbackToken")
    assert shown == message
    assert "callback" not in json.dumps(check.event.message), "what is stored has no token either"


@pytest.mark.parametrize("forged", ["", "cbt_", "x", "cbt_\ud800", "\0", "é"])
def test_a_token_is_nothing_but_itself(cast: Guarded, forged: str) -> None:
    check = check_of(cast.freeze(cast.task()))
    assert is_token_of(check, token_of(check))
    assert not is_token_of(check, forged)
    assert not is_token_of(check, token_of(check) + "=")


def test_tokens_hang_on_the_installations_secret(cast: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    check = check_of(cast.freeze(cast.task()))
    before = token_of(check)
    assert before == token_of(check) and len(before) == 47
    monkeypatch.setattr(settings, "SECRET_KEY", "another")
    assert token_of(check) != before
