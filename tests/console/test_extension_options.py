"""Options and parameters on the pages: defined by the developer, filled in where the extension is enabled, read by it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from extensions.models import Enablement, Extension
from opscenter.operations import extensions
from opscenter.workspaces.models import AuditEntry
from tests.console.extension_pages import page
from tests.console.visits import as_user, url
from tests.operations.guards import Troupe, actor_of, enabled, facts_of, registered

pytestmark = pytest.mark.django_db
CHOICES = {"dataSource": [{"value": "a", "label": "Apples"}, {"value": "b", "label": "Bananas"}]}
SEVEN: dict[str, dict[str, Any]] = {
    "text": {"title": "Preview", "x-component": "PreviewText.Input", "default": "Mind the <gap>"},
    "line": {"title": "Line", "x-component": "Input", "x-decorator-props": {"tooltip": "A short one"}},
    "area": {"title": "Area", "x-component": "Input.TextArea"},
    "one": {"title": "One", "x-component": "Select", "x-component-props": CHOICES},
    "several": {"title": "Several", "x-component": "Select", "x-component-props": {**CHOICES, "mode": "multiple"}},
    "boxes": {"title": "Boxes", "x-component": "Checkbox.Group", "x-component-props": CHOICES, "default": ["b"]},
    "radio": {"title": "Radio", "x-component": "Radio.Group", "x-component-props": CHOICES, "required": True},
}
FORM = json.dumps({"type": "object", "properties": SEVEN})
SETTINGS = {"verdict": "mandatory", "answer_limit": "60", "silence": "block"}


@pytest.fixture
def cast() -> Troupe:
    return Troupe()


@pytest.fixture
def guard(cast: Troupe) -> Extension:
    return registered(cast, cast.keeper, options=FORM)


def values(extension: Extension) -> dict[str, Any]:
    found: dict[str, Any] = Enablement.objects.get(extension=extension).option_values
    return found


def test_all_seven_components_are_shown(cast: Troupe, guard: Extension) -> None:
    text = page(cast, "admin", "enablement_enable", code=guard.code)
    for option in SEVEN.values():
        assert option["title"] in text
    assert "Mind the &lt;gap&gt;" in text and "A short one" in text
    for part in ('name="option.line"', '<textarea name="option.area"', '<select name="option.one"', "multiple"):
        assert part in text
    assert text.count('type="checkbox" name="option.boxes"') == text.count('type="radio" name="option.radio"') == 2
    assert 'name="option.text"' not in text, "there is nothing to fill in"


def test_what_is_filled_in_is_kept_shown_again_and_audited(cast: Troupe, guard: Extension) -> None:
    client, address = as_user(cast.admin), url(cast, "enablement_enable", code=guard.code)
    filled = {"option.line": "x", "option.several": ["a", "b"], "option.boxes": ["a"], "option.radio": "b"}
    assert client.post(address, SETTINGS | filled | {"agrees": "on"}).status_code == 302
    assert values(guard) == {
        "line": "x",
        "area": "",
        "one": "",
        "several": ["a", "b"],
        "boxes": ["a"],
        "radio": "b",
    }
    settings = url(cast, "enablement_settings", code=guard.code)
    initial = client.get(settings).context["form"].fields["option.several"].initial
    assert initial == ["a", "b"]
    assert client.post(settings, SETTINGS | filled | {"option.line": "y"}).status_code == 302
    assert values(guard)["line"] == "y"
    entry = AuditEntry.objects.get(action="extension.settings")
    assert entry.params["changed"].keys() == {"option_values"}
    assert "options: line" in page(cast, "admin", "audit_list")


@pytest.mark.parametrize(
    ("filled", "at"),
    [
        ({}, "option.radio"),
        ({"option.radio": "zzz"}, "option.radio"),
        ({"option.radio": "a", "option.one": "c"}, "option.one"),
    ],
)
def test_what_cannot_be_is_said_at_the_option(cast: Troupe, guard: Extension, filled: dict[str, Any], at: str) -> None:
    address = url(cast, "enablement_enable", code=guard.code)
    answer = as_user(cast.admin).post(address, SETTINGS | {"agrees": "on"} | filled)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {at}
    assert not Enablement.objects.exists()


def test_who_only_listens_is_not_asked_for_a_verdict(cast: Troupe) -> None:
    listener = registered(cast, cast.keeper, points=["instance-status-changes"])
    text = page(cast, "admin", "enablement_enable", code=listener.code)
    assert "Answer limit" not in text and "data.beginWaitTimeTime" in text
    address = url(cast, "enablement_enable", code=listener.code)
    assert as_user(cast.admin).post(address, {"agrees": "on"}).status_code == 302
    assert Enablement.objects.get().is_enabled


class TestDefining:
    def form(self, cast: Troupe, **changed: Any) -> dict[str, Any]:
        return {
            "name": "Guard",
            "webhook_url": "https://guard.example.com/hook",
            "points": ["freeze-node"],
            "events": ["node-change-updated"],
            "test_workspace": str(cast.workspace.pk),
            "owner": cast.developer.username,
        } | changed

    def test_points_events_parameters_and_options(self, cast: Troupe) -> None:
        client = as_user(cast.developer)
        parameters = "extension.manualPass.enabled=true\nmine=1"
        form = self.form(cast, parameters=parameters, options=FORM)
        assert client.post(url(cast, "extension_register"), form).status_code == 200
        made = Extension.objects.get()
        assert made.points == ["freeze-node", "node-change-updated"]
        assert (made.parameters, made.allows_mark_passed, made.options) == ("mine=1", True, FORM)
        edited = client.get(url(cast, "extension_edit", code=made.code)).context["form"].initial
        assert (edited["points"], edited["events"]) == (["freeze-node"], ["node-change-updated"])
        text = page(cast, "developer", "extension", code=made.code)
        assert "mine=1" in text and "/schemas/events/freeze-node.json" in text

    @pytest.mark.parametrize(
        ("changed", "field"),
        [
            ({"parameters": "extension.nonsense=1"}, "parameters"),
            ({"options": "{"}, "options"),
            ({"points": [], "events": []}, "points"),
        ],
    )
    def test_what_cannot_be_is_said_at_its_field(self, cast: Troupe, changed: dict[str, Any], field: str) -> None:
        answer = as_user(cast.developer).post(url(cast, "extension_register"), self.form(cast, **changed))
        assert answer.status_code == 422
        assert list(answer.context["form"].errors) == [field]

    def test_a_changed_definition_leaves_what_fits(self, cast: Troupe, guard: Extension) -> None:
        enabled(cast, guard, option_values={"line": "kept", "radio": "a"})
        fewer = json.dumps({"type": "object", "properties": {"line": SEVEN["line"], "new": SEVEN["area"]}})
        extensions.update(actor_of(cast.keeper), guard.code, replace(facts_of(guard), options=fewer))
        form = as_user(cast.admin).get(url(cast, "enablement_settings", code=guard.code)).context["form"]
        assert form.fields["option.line"].initial == "kept"
        assert set(form.fields) == {"verdict", "answer_limit", "silence", "option.line", "option.new"}
