"""Levels of scheduling parameters: who gives a name its expression, and whom that hides. The narrower level wins.

From wide to narrow: global (all workspaces of a tenant), workspace, workflow, node, and what a run family itself overrides
for all of its tasks or for one of them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opscenter.production.rules.parameters import Context, ParameterError, evaluate, parse_assignments


class Level(StrEnum):
    """Where an expression was written; in the order of their strength, the strongest last."""

    GLOBAL = "global"
    WORKSPACE = "workspace"
    WORKFLOW = "workflow"
    NODE = "node"
    RUN_WORKFLOW = "run_workflow"
    RUN_TASK = "run_task"


_OF_THE_TASK = frozenset({Level.NODE, Level.RUN_TASK})
"""Levels that mean this task alone: it gets their parameters whether its code names them or not."""

Layer = tuple[Level, Mapping[str, str]]


@dataclass(frozen=True)
class Sources:
    """Everything that gives a task's run its parameters.

    Attributes:
        shared: rows of the tenant and of the workspace: whether it is the workspace's, name, expression.
        workflow, node: assignment texts, as published.
        overrides: of the run family, ``{"workflow": {name: expression}, "tasks": {task number: {name: expression}}}``.
        task: the task's number.
        run_wins: the family's overrides for all tasks are stronger than those for one (manual runs, as the API says).
        code: what the run executes; decides which wide parameters it uses.
    """

    shared: Sequence[tuple[bool, str, str]] = ()
    workflow: str = ""
    node: str = ""
    overrides: Mapping[str, Any] | None = None
    task: int = 0
    run_wins: bool = False
    code: str = ""

    def layers(self) -> list[Layer]:
        """The levels, the weakest first.

        Raises:
            ParameterError: an assignment text, or the overrides, cannot be read.
        """
        given = check_overrides(self.overrides)
        runs = [(Level.RUN_WORKFLOW, given["workflow"]), (Level.RUN_TASK, given["tasks"].get(str(self.task), {}))]
        return [
            (Level.GLOBAL, {name: text for is_own, name, text in self.shared if not is_own}),
            (Level.WORKSPACE, {name: text for is_own, name, text in self.shared if is_own}),
            (Level.WORKFLOW, parse_assignments(self.workflow)),
            (Level.NODE, parse_assignments(self.node)),
            *(reversed(runs) if self.run_wins else runs),
        ]


@dataclass(frozen=True)
class Effective:
    """A parameter that a run has: its expression, the level that gave it, and what that hides, the nearest first."""

    name: str
    expression: str
    level: Level
    hides: tuple[tuple[Level, str], ...] = ()


def effective(sources: Sources) -> list[Effective]:
    """The parameters of a task's run; its own come first, in the order in which they were written.

    What is written for many tasks goes only to those whose code has the name as a word: a global parameter does not
    change the arguments of programs that know nothing of it, nor fail them.

    Raises:
        ParameterError: as ``Sources.layers``.
    """
    layers = sources.layers()
    own = [name for level, given in reversed(layers) if level in _OF_THE_TASK for name in given]
    wide = [name for level, given in reversed(layers) if level not in _OF_THE_TASK for name in given]
    words = set(re.findall(r"\w+", sources.code)) if wide else set()
    names = dict.fromkeys([*_written_first(layers, own), *(name for name in wide if name in words)])
    return [_chosen(name, layers) for name in names]


def _written_first(layers: Iterable[Layer], own: Iterable[str]) -> list[str]:
    node = next(given for level, given in layers if level is Level.NODE)
    return [*node, *own]


def _chosen(name: str, layers: Sequence[Layer]) -> Effective:
    found = [(level, given[name]) for level, given in reversed(layers) if name in given]
    (level, expression), *hidden = found
    return Effective(name, expression, level, tuple(hidden))


@dataclass(frozen=True)
class Resolved:
    """The values of a run's parameters, and where each comes from, as an attempt keeps them."""

    values: dict[str, str]
    sources: dict[str, dict[str, Any]]


def resolve(sources: Sources, context: Context) -> Resolved:
    """The values of a task's run.

    Raises:
        ParameterError: naming the expression that has no value, or what cannot be read.
    """
    found = effective(sources)
    values = {one.name: evaluate(one.expression, context) for one in found}
    return Resolved(values, {one.name: as_json(one) for one in found})


def as_json(one: Effective) -> dict[str, Any]:
    """Where a parameter comes from, as it is stored with an attempt; ``from_json`` reads it back."""
    told: dict[str, Any] = {"level": one.level.value, "expression": one.expression}
    if one.hides:
        told["hides"] = [[level.value, expression] for level, expression in one.hides]
    return told


def from_json(name: str, told: Mapping[str, Any]) -> Effective:
    """What ``as_json`` stored."""
    hides = tuple((Level(level), expression) for level, expression in told.get("hides", ()))
    return Effective(name, told["expression"], Level(told["level"]), hides)


def check_overrides(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The overrides of a run family with both their parts.

    Raises:
        ParameterError: another shape; ``parameters.overrides`` with the ``path`` of what is wrong.
    """
    given = {} if given is None else given
    if not isinstance(given, Mapping) or not given.keys() <= {"workflow", "tasks"}:
        raise ParameterError("parameters.overrides", path="")
    workflow, tasks = given.get("workflow", {}), given.get("tasks", {})
    if not isinstance(tasks, Mapping):
        raise ParameterError("parameters.overrides", path="tasks")
    _check_texts(workflow, "workflow")
    for number, texts in tasks.items():
        if not str(number).isdigit():
            raise ParameterError("parameters.overrides", path=f"tasks.{number}")
        _check_texts(texts, f"tasks.{number}")
    return {"workflow": workflow, "tasks": tasks}


def _check_texts(texts: Any, path: str) -> None:
    if not isinstance(texts, Mapping) or not all(isinstance(text, str) for text in texts.values()):
        raise ParameterError("parameters.overrides", path=path)
