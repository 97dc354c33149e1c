"""Errors and reasons are a code and its parameters; sentences are made when shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reason:
    """Why something is so: a stable code and the values its sentence needs."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form in which reasons, receipts and audit are stored."""
        return {"code": self.code, "params": dict(self.params)}


_sentences: dict[str, Callable[[Mapping[str, Any]], str]] = {}


def sentence(code: str) -> Callable[[Callable[[Mapping[str, Any]], str]], Callable[[Mapping[str, Any]], str]]:
    """Register the function that says a code in the reader's language."""

    def register(function: Callable[[Mapping[str, Any]], str]) -> Callable[[Mapping[str, Any]], str]:
        _sentences[code] = function
        return function

    return register


def say(code: str, params: Mapping[str, Any] | None = None) -> str:
    """The sentence for a code in the active language; a code without one is shown as it is, never hidden."""
    function = _sentences.get(code)
    values = dict(params or {})
    if function is None:
        return " ".join([code, *(f"{name}={value}" for name, value in values.items())])
    return function(values)


class Refused(Exception):
    """An operation that was not done, because of a rule; carries the reason to show.

    Attributes:
        status: the HTTP status the faces answer with.
    """

    status = 409

    def __init__(self, code: str, /, **params: Any) -> None:
        self.reason = Reason(code, params)
        super().__init__(code)

    def __str__(self) -> str:
        return say(self.reason.code, self.reason.params)


class Invalid(Refused):
    """The request itself is wrong; ``field`` in the parameters names the place."""

    status = 400


class NotFound(Refused):
    """It does not exist, or the asker may not know that it does."""

    status = 404


class Forbidden(Refused):
    """The asker is known here but lacks the permission named in the parameters."""

    status = 403
