"""Extension options: the seven components, what a definition may say, and which values are taken."""

import json
from typing import Any

import pytest

from extensions import options
from opscenter.base.reasons import Invalid, say

CHOICES = {"dataSource": [{"value": "a", "label": "Apples"}, {"value": "b"}]}


def definition(**properties: Any) -> str:
    return json.dumps({"type": "object", "properties": properties})


def option(component: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "title": "T", "x-decorator": "FormItem", "x-component": component, **more}


def choosing(component: str, **props: Any) -> dict[str, Any]:
    return option(component, **{"x-component-props": {**CHOICES, **props}})


SEVEN: dict[str, tuple[dict[str, Any], Any, Any]] = {  # definition, a good value, a bad one
    "text": (option("PreviewText.Input", default="Mind the gap"), None, None),
    "line": (option("Input"), "x", {"a": 1}),
    "area": (option("Input.TextArea"), "x\ny", ["x"]),
    "one": (choosing("Select"), "b", "c"),
    "several": (choosing("Select", mode="multiple"), ["a", "b"], ["a", "c"]),
    "boxes": (choosing("Checkbox.Group"), ["b"], ["c"]),
    "radio": (choosing("Radio.Group"), "a", "c"),
}


@pytest.mark.parametrize("name", SEVEN)
def test_each_component_takes_its_values_and_no_others(name: str) -> None:
    given, good, bad = SEVEN[name]
    (read,) = options.read(definition(**{name: given}))
    assert (read.name, read.title) == (name, "T")
    if read.is_text:
        assert options.check([read], {name: "ignored"}) == {}
        return
    assert options.check([read], {name: good}) == {name: good}
    with pytest.raises(Invalid) as caught:
        options.check([read], {name: bad})
    assert caught.value.reason.params["field"] == f"option.{name}"
    assert "T" in str(caught.value)


def test_the_documented_shape_is_read() -> None:
    (read,) = options.read(
        definition(
            cu=option("Input", **{"x-decorator-props": {"tooltip": "How many CUs"}, "title": "CUs", "default": 3})
        )
    )
    assert (read.title, read.tooltip, read.default) == ("CUs", "How many CUs", 3)
    assert options.check([read], {}) == {"cu": "3"}
    assert options.check([read], {"cu": ""}) == {"cu": ""}


def test_what_is_required_must_be_filled_in() -> None:
    schema = json.dumps(
        {"type": "object", "required": ["a"], "properties": {"a": option("Input"), "b": choosing("Checkbox.Group")}}
    )
    read = options.read(schema)
    with pytest.raises(Invalid) as caught:
        options.check(read, {"a": "", "b": []})
    assert caught.value.reason.code == "options.missing"
    assert options.check(read, {"a": "x"}) == {"a": "x", "b": []}
    assert options.missing(read, {"b": ["a"]}) == ["T"]


BAD = [
    ("{", "options.json"),
    ("[" * 100_000, "extension.too_long"),
    ("[]", "options.schema"),
    ('{"type": "object"}', "options.schema"),
    (definition(a="text"), "options.option"),
    (definition(a=option("DatePicker")), "options.component"),
    (definition(a={"title": "x"}), "options.component"),
    (definition(a=option("Select")), "options.choices"),
    (definition(a=option("Select", **{"x-component-props": {"dataSource": []}})), "options.choices"),
    (
        definition(a=option("Select", **{"x-component-props": {"dataSource": [{"value": "x"}, {"value": "x"}]}})),
        "options.choices",
    ),
    (definition(a=option("Radio.Group", **{"x-component-props": {"dataSource": [{"label": "x"}]}})), "options.choices"),
    (definition(a=choosing("Select") | {"default": "zzz"}), "options.default"),
    (definition(**{f"o{n}": option("Input") for n in range(51)}), "options.many"),
]


@pytest.mark.parametrize(("text", "code"), BAD)
def test_a_definition_that_cannot_be_is_refused(text: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        options.read(text)
    assert caught.value.reason.code == code
    assert caught.value.reason.params["field"] == "options"
    assert say(code, caught.value.reason.params)


def test_values_outlive_a_change_of_the_definition_as_far_as_they_fit() -> None:
    read = options.read(
        definition(kept=option("Input"), narrowed=choosing("Radio.Group"), new=option("Input", default="d"))
    )
    assert options.current(read, {"kept": "x", "narrowed": "gone", "dropped": "y"}) == {
        "kept": "x",
        "narrowed": "",
        "new": "d",
    }
    assert options.read("") == options.read("  ") == ()
