"""Scheduling parameters of one run, as the two versions of the API write them."""

import json
import re
from collections.abc import Mapping
from typing import Any

from opscenter.openapi.errors import invalid
from opscenter.production.rules.parameters import ParameterError, parse_assignments

_BARE_NUMBER = re.compile(r"([{,]\s*)([0-9]+)(\s*:)")


def of_tasks(name: str, text: str | None) -> dict[str, dict[str, str]]:
    """``{"1001": "key1=value key2=value"}``; ids without quotes are read too, since the documents print them so.

    Args:
        name: of the request's parameter, for errors.
    """
    given = _object(name, text)
    if not all(key.isascii() and key.isdigit() and isinstance(value, str) for key, value in given.items()):
        raise invalid(name, 'It must be like {"1001": "key1=value1 key2=value2"}.')
    return {key: _assigned(name, value) for key, value in given.items()}


def of_workflow(name: str, text: str | None) -> dict[str, str]:
    """``{"key": "value"}``, or ``key=value``: different kinds of runs have it in different ways."""
    if text and not text.lstrip().startswith("{"):
        return _assigned(name, text)
    given = _object(name, text)
    if not all(isinstance(value, str) for value in given.values()):
        raise invalid(name, 'It must be like {"key1": "value1"}.')
    return {str(key): str(value) for key, value in given.items()}


def of_run(args: Mapping[str, Any]) -> dict[str, Any]:
    """Both that CreateWorkflowInstances takes, as a workflow instance keeps them."""
    return {
        "workflow": of_workflow("WorkflowParameters", args["WorkflowParameters"]),
        "tasks": of_tasks("TaskParameters", args["TaskParameters"]),
    }


def of_node(name: str, text: str | None, number: int) -> dict[str, dict[str, str]]:
    """Of a run of one node: ``key1=value key2=value``, or by the node's id as ``of_tasks`` reads it."""
    if text and not text.lstrip().startswith("{"):
        return {str(number): _assigned(name, text)}
    return of_tasks(name, text)


def _object(name: str, text: str | None) -> Mapping[str, Any]:
    for written in (text or "{}", _BARE_NUMBER.sub(r'\1"\2"\3', text or "")):
        try:
            given = json.loads(written)
        except (ValueError, RecursionError):
            continue
        if isinstance(given, Mapping):
            return given
    raise invalid(name, "It must be an object as JSON text.")


def _assigned(name: str, text: str) -> dict[str, str]:
    try:
        return parse_assignments(text)
    except ParameterError as error:
        raise invalid(name, str(error)) from None
