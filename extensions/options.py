"""Extension options: a form that the developer defines and each workspace fills in (spec/extensions.md 6.2).

The definition is DataWorks' JSON schema with its seven components. The values never go with a message: the extension asks
for them (``GetOptionValueForProject``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, sentence

LONGEST = 64 * 1024
"""Characters of a definition."""
MOST = 50
"""Options of one extension."""
LONGEST_VALUE = 4000
"""Characters of a value."""
_MOST_CHOICES, _LONGEST_WORD = 500, 256
TEXT, INPUT, TEXT_AREA = "PreviewText.Input", "Input", "Input.TextArea"
SELECT, CHECKBOXES, RADIO = "Select", "Checkbox.Group", "Radio.Group"
COMPONENTS = (TEXT, INPUT, TEXT_AREA, SELECT, CHECKBOXES, RADIO)
"""Select is two of the seven: with ``mode: multiple`` it takes several."""
_CHOOSING = frozenset({SELECT, CHECKBOXES, RADIO})


@dataclass(frozen=True)
class Option:
    """One field of the form.

    Attributes:
        name: unique; the member of the values.
        takes_several: its value is a list.
        choices: (value, label), where it is chosen from.
        default: what it starts with; of a text, what it says.
    """

    name: str
    title: str
    component: str
    tooltip: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    takes_several: bool = False
    is_required: bool = False
    default: Any = None

    @property
    def is_text(self) -> bool:
        """It only says something: there is nothing to fill in."""
        return self.component == TEXT


@lru_cache(maxsize=256)
def read(definition: str) -> tuple[Option, ...]:
    """The options of a definition, in its order; none for an empty one.

    Raises:
        Invalid: it is no such schema; the reason says where.
    """
    if not definition.strip():
        return ()
    if len(definition) > LONGEST:
        raise Invalid("extension.too_long", field="options", most=LONGEST)
    try:
        schema = json.loads(definition)
    except (ValueError, RecursionError) as error:
        where = f"{error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else "1:1"
        raise Invalid("options.json", field="options", where=where) from error
    if not isinstance(schema, dict) or schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        raise Invalid("options.schema", field="options")
    if len(schema["properties"]) > MOST:
        raise Invalid("options.many", field="options", most=MOST)
    required = schema.get("required") if isinstance(schema.get("required"), list) else []
    return tuple(_option(name, given, name in (required or [])) for name, given in schema["properties"].items())


def _option(name: str, given: Any, is_required: bool) -> Option:
    def wrong(what: str, **params: Any) -> Invalid:
        return Invalid(f"options.{what}", field="options", option=name[:64], **params)

    if not name or len(name) > _LONGEST_WORD or not name.isprintable() or not isinstance(given, dict):
        raise wrong("option")
    component = given.get("x-component")
    if component not in COMPONENTS:
        raise wrong("component", given=str(component)[:64], components=", ".join(COMPONENTS))
    props = given.get("x-component-props") or {}
    decorator = given.get("x-decorator-props") or {}
    if not isinstance(props, dict) or not isinstance(decorator, dict):
        raise wrong("option")
    takes_several = component == CHECKBOXES or (component == SELECT and props.get("mode") == "multiple")
    option = Option(
        name=name,
        title=str(given.get("title") or name)[:_LONGEST_WORD],
        component=component,
        tooltip=str(decorator.get("tooltip") or "")[:1000],
        choices=_choices(props.get("dataSource", given.get("enum")), wrong) if component in _CHOOSING else (),
        takes_several=takes_several,
        is_required=is_required or given.get("required") is True,
        default=given.get("default"),
    )
    if option.default is not None and not option.is_text:
        try:
            _value(option, option.default)
        except Invalid as error:
            raise wrong("default") from error
    return option


def _choices(given: Any, wrong: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(given, list) or not 0 < len(given) <= _MOST_CHOICES:
        raise wrong("choices", most=_MOST_CHOICES)
    found: dict[str, str] = {}
    for one in given:
        if not isinstance(one, dict) or not isinstance(one.get("value"), str | int):
            raise wrong("choices", most=_MOST_CHOICES)
        value = str(one["value"])
        if value in found or len(value) > _LONGEST_WORD:
            raise wrong("choices", most=_MOST_CHOICES)
        found[value] = str(one.get("label") or value)[:_LONGEST_WORD]
    return tuple(found.items())


def check(options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are kept, in the order of the options; of what is not given, the default.

    Raises:
        Invalid: a value that cannot be, or one that is missing; ``field`` is ``option.<name>``.
    """
    values: dict[str, Any] = {}
    for option in options:
        if option.is_text:
            continue
        value = given.get(option.name)
        value = option.default if value is None else value
        if value in (None, "", []):
            if option.is_required:
                raise Invalid("options.missing", field=f"option.{option.name}", option=option.title)
            values[option.name] = [] if option.takes_several else ""
        else:
            values[option.name] = _value(option, value)
    return values


def missing(options: Sequence[Option], values: Mapping[str, Any]) -> list[str]:
    """The titles of options that must be filled in and are not: the definition may have changed since."""
    return [one.title for one in options if one.is_required and not one.is_text and not values.get(one.name)]


def current(options: Sequence[Option], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a workspace chose, as far as the definition as it is now knows it; of the rest the defaults."""
    found: dict[str, Any] = {}
    for option in options:
        if option.is_text:
            continue
        try:
            kept = values.get(option.name)
            found[option.name] = _value(option, option.default if kept is None else kept)
        except Invalid:
            found[option.name] = [] if option.takes_several else ""
    return found


def _value(option: Option, value: Any) -> Any:
    if option.takes_several:
        if not isinstance(value, list | tuple):
            value = [value]
        return [_one(option, one) for one in dict.fromkeys(str(one) for one in value)]
    return _one(option, value)


def _one(option: Option, value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise Invalid("options.value", field=f"option.{option.name}", option=option.title)
    text = str(value)
    if option.choices:
        if text not in dict(option.choices):
            raise Invalid("options.choice", field=f"option.{option.name}", option=option.title, value=text[:64])
    elif len(text) > LONGEST_VALUE or "\0" in text:
        raise Invalid("extension.too_long", field=f"option.{option.name}", most=LONGEST_VALUE)
    return text


@sentence("options.json")
def _json_words(params: Mapping[str, Any]) -> str:
    return _("This is no JSON: look at line and column %(where)s.") % params


@sentence("options.schema")
def _schema(params: Mapping[str, Any]) -> str:
    return _("Write a JSON object with “type”: “object” and “properties”, which has a member for each option.")


@sentence("options.many")
def _many(params: Mapping[str, Any]) -> str:
    return _("There are more than %(most)s options.") % params


@sentence("options.option")
def _option_words(params: Mapping[str, Any]) -> str:
    return _("The option “%(option)s” is no JSON object with a name, “title” and “x-component”.") % params


@sentence("options.component")
def _component(params: Mapping[str, Any]) -> str:
    return _("The option “%(option)s” has the “x-component” “%(given)s”. There are: %(components)s.") % params


@sentence("options.choices")
def _choices_words(params: Mapping[str, Any]) -> str:
    return (
        _(
            "The option “%(option)s” needs “x-component-props” with a “dataSource”: a list of 1 to %(most)s objects with "
            "“value” and “label”, each value once."
        )
        % params
    )


@sentence("options.default")
def _default(params: Mapping[str, Any]) -> str:
    return _("The “default” of the option “%(option)s” is no value that it may have.") % params


@sentence("options.missing")
def _missing(params: Mapping[str, Any]) -> str:
    return _("“%(option)s” must be filled in.") % params


@sentence("options.value")
def _value_words(params: Mapping[str, Any]) -> str:
    return _("“%(option)s” is a text.") % params


@sentence("options.choice")
def _choice(params: Mapping[str, Any]) -> str:
    return _("“%(option)s” cannot be “%(value)s”. Choose one of those that are offered.") % params
