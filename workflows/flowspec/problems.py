"""What is wrong, or was changed, in a document: each with its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from opscenter.base.reasons import Invalid, say


class Severity(StrEnum):
    """Errors refuse the whole document; warnings tell what was read otherwise than written."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        path: the place in the document, such as ``spec.workflows[0].nodes[2].trigger.cron``; empty = the whole.
    """

    severity: Severity
    path: str
    code: str
    params: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        sentence = say(self.code, self.params)
        return f"{self.path}: {sentence}" if self.path else sentence

    def as_json(self) -> dict[str, Any]:
        """The form in which it is stored and answered."""
        return {"severity": self.severity.value, "path": self.path, "code": self.code, "params": self.params}


class BadDocument(Invalid):
    """The document was refused as a whole; nothing was imported.

    Attributes:
        problems: every error that was found, in the order of the document.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("flowspec.refused", problems=[problem.as_json() for problem in self.problems])


class Findings:
    """Collects problems while a document is read; the same one is kept once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Problem] = {}

    def error(self, path: str, code: str, **params: Any) -> None:
        """Note what refuses the document."""
        self._add(Problem(Severity.ERROR, path, code, params))

    def warning(self, path: str, code: str, **params: Any) -> None:
        """Note what was read otherwise than written."""
        self._add(Problem(Severity.WARNING, path, code, params))

    def _add(self, problem: Problem) -> None:
        self._found.setdefault((problem.path, problem.code, repr(problem.params)), problem)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The errors so far."""
        return tuple(problem for problem in self._found.values() if problem.severity is Severity.ERROR)

    def raise_errors(self) -> None:
        """Raises BadDocument when there is an error."""
        if self.errors:
            raise BadDocument(self.errors)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings so far."""
        return tuple(problem for problem in self._found.values() if problem.severity is Severity.WARNING)
