"""Scheduling parameters of one run: what whoever starts it gives to all of its tasks, or to one of them."""

from collections.abc import Collection, Mapping
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, sentence
from opscenter.operations.parameters import MOST, MOST_EXPRESSION
from opscenter.operations.publish_checks import SOME_DAY
from opscenter.production.rules import levels, parameters


def checked(given: Mapping[str, Any] | None, tasks: Collection[int] | None = None) -> dict[str, Any]:
    """The overrides as a workflow instance keeps them; empty where there are none.

    Args:
        given: as ``rules.levels.Sources.overrides``.
        tasks: numbers of the tasks that take part in the run; None where that is not known yet.

    Raises:
        Invalid: another shape, a task that takes no part, a name that is none, an expression that is too long or has
            no value, too many of them; with the ``field`` ``parameters``.
    """
    try:
        found = levels.check_overrides(given)
        parts = [found["workflow"], *found["tasks"].values()]
        for part in parts:
            parameters.resolve(part, SOME_DAY)
    except parameters.ParameterError as error:
        raise Invalid(error.reason.code, **error.reason.params, field="parameters") from error
    known = {str(number) for number in tasks} if tasks is not None else None
    for number in found["tasks"]:
        if known is not None and str(number) not in known:
            raise _invalid("task", task=number)
    if sum(map(len, parts)) > MOST:
        raise _invalid("too_many", most=MOST)
    for name, expression in (pair for part in parts for pair in part.items()):
        if not parameters.is_assignable(name):
            raise _invalid("name", name=name, most=parameters.LONGEST_NAME)
        if len(expression) > MOST_EXPRESSION or not (expression.isprintable() or not expression):
            raise _invalid("expression", name=name, most=MOST_EXPRESSION)
    return {name: values for name, values in found.items() if values}


def in_words(overrides: Mapping[str, Any] | None) -> str:
    """Stored overrides as they are written, those of a task behind its number; empty where there are none."""
    given = overrides or {}
    texts = [_written(given.get("workflow", {}))]
    texts += [f"{number}: {_written(values)}" for number, values in given.get("tasks", {}).items()]
    return "; ".join(filter(None, texts))


def _written(values: Mapping[str, str]) -> str:
    return " ".join(f"{name}='{value}'" for name, value in values.items())


def _invalid(code: str, **params: Any) -> Invalid:
    return Invalid(f"run_parameters.{code}", field="parameters", **params)


@sentence("run_parameters.task")
def _task(params: Mapping[str, Any]) -> str:
    return _("Parameters are given for the task %(task)s, which takes no part in this run.") % params


@sentence("run_parameters.too_many")
def _too_many(params: Mapping[str, Any]) -> str:
    return _("A run takes %(most)s parameters at most.") % params


@sentence("run_parameters.name")
def _name(params: Mapping[str, Any]) -> str:
    return (
        _(
            "“%(name)s” cannot be the name of a parameter. Names are letters, digits and _, %(most)s characters at most, "
            "and begin with no digit; or they are the positions 1, 2, and so on."
        )
        % params
    )


@sentence("run_parameters.expression")
def _expression(params: Mapping[str, Any]) -> str:
    return _("The value of “%(name)s” must be one line of %(most)s characters at most.") % params
