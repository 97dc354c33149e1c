"""Whatever an address or a form says, the answer is a page that tells what is wrong: nothing makes an error of ours."""

import random
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse

from extensions.models import Check
from opscenter.operations.models import Operation
from opscenter.production.models import TaskInstance
from opscenter.production.rules.states import State
from tests.console.test_access import OPEN, SIGNED_IN, _argument, _walk
from tests.console.visits import as_user, url
from tests.operations.guarded import Guarded

pytestmark = pytest.mark.django_db
BAD = [
    "", " ", "0", "-1", "9" * 19, "9" * 30, "-9223372036854775809", "1e309", "nan", "1.5", "\0", "a\0b", "😀", "²", "٣", "%00",
    "x" * 1001, "x" * 70_000, "'; --", "[]", "{", "0001-01-01", "9999-12-31", "9999-12-31T23:59:59", "2026-02-30", "10000-01-01",
    "all", "mine", "1,2,3", "on", "1", "true", "../x", "=1+1", "http://[::1", "extension.project.disabled=x", "\r\n",
]  # fmt: skip
NAMES = [
    "q", "type", "owner", "state", "status", "bizdate", "task", "run", "group", "held_by", "backfill", "scheduled_from", "since",
    "until", "operator", "face", "action", "actor", "object", "view", "version", "attempt", "after", "before", "shown", "live",
    "seen", "up", "down", "parents", "children", "like", "mode", "tasks", "id", "again", "all", "list", "filter",
]  # fmt: skip
FIELDS = [
    *(
        "id",
        "all",
        "list",
        "filter",
        "again",
        "comment",
        "token",
        "next",
        "priority",
        "resource_group",
        "owner",
        "downstream",
    ),
    *(
        "upstream",
        "start",
        "workspaces",
        "cross_day",
        "mode",
        "tasks",
        "first_1",
        "last_1",
        "name",
        "bizdate",
        "parameters",
    ),
    *(
        "step",
        "fingerprint",
        "groups",
        "include",
        "exclude",
        "answer_limit",
        "verdict",
        "silence",
        "agreed",
        "points",
        "options",
    ),
    *("webhook_url", "description", "since_at", "grants", "own_only", "roles", "slots", "value", "scope", "document"),
]


@pytest.fixture
def cast() -> Guarded:
    made = Guarded()
    made.extension(points=["pre-set-instance-success"])
    made.ask("set_success", [made.instance(made.task(), State.FAILURE)])
    return made


def addresses(cast: Guarded) -> list[str]:
    """Every page and form: of what is there, where the address names something."""
    instance, operation, check = TaskInstance.objects.get(), Operation.objects.get(), Check.objects.get()
    real: dict[str, dict[str, Any]] = {
        "console:instance": {"pk": instance.pk, "number": 1, "code": "rerun"},
        "console:task": {"number": instance.task.number, "code": "freeze"},
        "console:operation": {"pk": operation.pk, "check": check.pk},
        "console:extension": {"code": check.extension.code, "pk": check.deliveries.get().pk, "step": "submit"},
        "console:enablement": {"code": check.extension.code},
        "console:member_role": {"pk": 1},
        "console:member": {"uid": cast.visitor.uid},
        "console:group": {"name": "default"},
        "console:backfill": {"pk": 1, "code": "pause"},
    }
    found = []
    for name, pattern in _walk(get_resolver().url_patterns):
        if name in OPEN | SIGNED_IN:
            continue
        known = next((some for prefix, some in real.items() if name.startswith(prefix)), {})
        kwargs = {key: known.get(key, _argument(converter)) for key, converter in pattern.pattern.converters.items()}
        found.append(reverse(name, kwargs=kwargs | {"workspace_id": cast.workspace.pk, "env": "prod"}))
    return found


def some(rng: random.Random, names: list[str]) -> dict[str, Any]:
    return {name: rng.sample(BAD, rng.choice([1, 1, 2])) for name in rng.sample(names, rng.randint(1, 8))}


@pytest.mark.parametrize("seed", range(3))
def test_odd_values_in_any_address_and_form(cast: Guarded, seed: int) -> None:
    rng, client = random.Random(seed), as_user(cast.owner)
    client.raise_request_exception = False
    for address in addresses(cast):
        for method, names in ((client.get, NAMES), (client.post, FIELDS)):
            values = some(rng, names)
            htmx = {"HX-Request": "true"} if rng.random() < 0.5 else {}
            with transaction.atomic():
                answer = method(address, values, headers=htmx)
                transaction.set_rollback(True)
            assert answer.status_code < 500, (address, values)


@pytest.fixture
def operator(cast: Guarded) -> Client:
    return as_user(cast.operator)


def test_a_search_for_what_cannot_be_stored_finds_nothing(cast: Guarded, operator: Client) -> None:
    for view in ("backfill_list", "task_list", "instance_list", "operation_list"):
        assert operator.get(url(cast, view), {"q": "a\0b"}).status_code in (200, 422), view


@pytest.mark.parametrize("token", ["\0", "a\0b"])
def test_a_mark_that_cannot_be_stored_is_told(cast: Guarded, operator: Client, token: str) -> None:
    instance = cast.instance(cast.task("b"), State.FAILURE)
    answer = operator.post(url(cast, "instance_operate", code="rerun"), {"id": instance.pk, "token": token})
    assert answer.status_code == 422
    assert "A client token has up to 64 characters, none of them NUL." in answer.content.decode()
    assert not Operation.objects.filter(code="rerun").exists()


def test_ids_that_are_none_are_not_counted(cast: Guarded, operator: Client) -> None:
    answer = operator.post(url(cast, "instance_operate", code="rerun"), {"id": ["-1"]})
    assert answer.status_code == 422
    assert "These are no ids. Ask for the operation once more." in answer.content.decode()


def test_as_many_as_may_be_chosen_can_be_sent(cast: Guarded, operator: Client) -> None:
    """A form has more fields than those that name the objects."""
    task = cast.task("many")
    first = cast.instance(task, State.FAILURE)
    ids = [first.pk, *range(10**12, 10**12 + 999)]
    answer = operator.post(
        url(cast, "instance_operate", code="rerun"), {"id": ids, "comment": "all of them", "token": "t", "next": "/"}
    )
    assert answer.status_code == 302
    operation = Operation.objects.get(code="rerun")
    assert (operation.status, operation.targets.count(), operation.targets.filter(done=True).count()) == (
        "partly",
        1000,
        1,
    )
    too_many = operator.post(url(cast, "instance_operate", code="rerun"), {"id": range(1, 1500)})
    assert "Choose between 1 and 1000 instances; 1499 were given." in too_many.content.decode()
    downstream = operator.post(
        url(cast, "instance_operate", code="rerun-downstream"),
        {"id": first.pk, "downstream": range(1, 1200), "comment": "", "token": "u"},
    )
    assert downstream.status_code == 422
