"""What scheduling parameters would give, line by line; an error with the place in the line that it means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from opscenter.base.reasons import Reason
from opscenter.production.rules.parameters import (
    BUILT_INS,
    Assignment,
    Context,
    ParameterError,
    evaluate,
    read_assignments,
)

MOST_TEXT = 10_000
"""Characters that are looked at."""

_IS_ASSIGNMENT = re.compile(r"\s*(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+)=")


@dataclass(frozen=True)
class Answer:
    """What one expression gives.

    Attributes:
        line: number of its line, from 1.
        name: of the parameter; empty for an expression alone.
        value: None where ``error`` says why there is none.
        text, start, end: the line and the part of it that the error means.
    """

    line: int
    name: str
    expression: str
    value: str | None
    error: Reason | None = None
    text: str = ""
    start: int = 0
    end: int = 0

    @property
    def marked(self) -> tuple[str, str, str]:
        """The line before, in and after the part that the error means."""
        return self.text[: self.start], self.text[self.start : self.end], self.text[self.end :]


def preview(text: str, context: Context) -> list[Answer]:
    """Evaluate every line: an expression alone, or assignments ``name=expression name2=expression``."""
    found = []
    for number, line in enumerate(text[:MOST_TEXT].splitlines(), 1):
        if line.strip():
            found += list(_line(number, line, context))
    return found


def _line(number: int, line: str, context: Context) -> Iterator[Answer]:
    if not _IS_ASSIGNMENT.match(line):
        text = line.strip()
        start = line.index(text)
        yield _answer(number, line, Assignment("", text, start, start + len(text)), context)
        return
    try:
        assignments = read_assignments(line)
    except ParameterError as error:
        start = error.reason.params["position"] - 1
        word = re.compile(r"\S*").match(line, start)
        yield Answer(number, "", line.strip(), None, error.reason, line, start, word.end() if word else start + 1)
        return
    for one in assignments:
        yield _answer(number, line, one, context)


def _answer(number: int, line: str, one: Assignment, context: Context) -> Answer:
    try:
        return Answer(number, one.name, one.expression, evaluate(one.expression, context), text=line)
    except ParameterError as error:
        start = one.start + error.reason.params["position"] - 1
        end = start + len(error.reason.params["expression"])
        return Answer(number, one.name, one.expression, None, error.reason, line, start, end)


def built_ins(context: Context) -> list[tuple[str, str]]:
    """The built-ins as they are written, each with its value."""
    return [(f"${name}", evaluate(f"${name}", context)) for name in BUILT_INS]
