"""What each error code means and what to do about it: the pages that ``Recommend`` points at."""

from string import Formatter

from django.http import HttpResponse

from opscenter.openapi.errors import FAULTS, Fault

_PARAMETERS = {
    "Missing": Fault(400, "The parameter of this name is mandatory for the action.", "Send it."),
    "Invalid": Fault(
        400, "The parameter of this name has a value that cannot be.", "The Message says what is expected."
    ),
}


def answer(code: str) -> HttpResponse:
    """The page of one code as plain text; of all of them when no code is named."""
    if not code:
        return _text("\n".join(_entry(known, FAULTS[known]) for known in sorted(FAULTS)))
    fault = FAULTS.get(code) or next((f for start, f in _PARAMETERS.items() if code.startswith(start)), None)
    if fault is None:
        return _text("There is no such error code.\n", status=404)
    return _text(_entry(code, fault))


def _entry(code: str, fault: Fault) -> str:
    message = "".join(text + (f"<{name}>" if name else "") for text, name, _, _ in Formatter().parse(fault.message))
    return f"{code} (HTTP {fault.http})\n  {message}\n  What to do: {fault.advice}\n"


def _text(content: str, status: int = 200) -> HttpResponse:
    return HttpResponse(content, status=status, content_type="text/plain; charset=utf-8")
