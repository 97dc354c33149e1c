"""Log text to HTML: escaped, with the colours of terminals as classes. Nothing of the text becomes markup."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

# One escape sequence: CSI (colours are those that end in "m"), OSC (titles, links), or a two-character one.
_SEQUENCE = re.compile(r"\x1b(?:\[([0-9;:]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ERROR = re.compile(r"\b(?:\w*(?:error|exception)|traceback|fatal|critical|panic)\b|command not found", re.IGNORECASE)
_SWITCHES = {1: "bold", 2: "dim", 3: "italic", 4: "underline"}
_SWITCHED_OFF = {22: {"bold", "dim"}, 23: {"italic"}, 24: {"underline"}}


@dataclass
class _Style:
    """What is switched on at a point of the text; it lasts over line ends, as in a terminal."""

    switches: set[str] = field(default_factory=set)
    foreground: int | None = None
    background: int | None = None

    def apply(self, codes: str) -> None:
        numbers = [int(code or 0) for code in re.split("[;:]", codes)] if codes else [0]
        while numbers:
            self._apply_one(numbers.pop(0), numbers)

    def _apply_one(self, number: int, rest: list[int]) -> None:
        if number == 0:
            self.switches, self.foreground, self.background = set(), None, None
        elif number in _SWITCHES:
            self.switches.add(_SWITCHES[number])
        elif number in _SWITCHED_OFF:
            self.switches -= _SWITCHED_OFF[number]
        elif number in (38, 48):
            self._extended(number, rest)
        elif number in (39, 49):
            setattr(self, "foreground" if number == 39 else "background", None)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            self.foreground = number - 30 if number < 90 else number - 82
        elif 40 <= number <= 47 or 100 <= number <= 107:
            self.background = number - 40 if number < 100 else number - 92

    def _extended(self, number: int, rest: list[int]) -> None:
        """256-colour codes below 16 are the named ones; others have no class and are read past."""
        kind = rest.pop(0) if rest else 0
        values = [rest.pop(0) for _ in range(min(len(rest), {5: 1, 2: 3}.get(kind, 0)))]
        colour = values[0] if kind == 5 and values and values[0] < 16 else None
        setattr(self, "foreground" if number == 38 else "background", colour)

    def classes(self) -> str:
        names = [f"ansi-{name}" for name in sorted(self.switches)]
        if self.foreground is not None:
            names.append(f"ansi-fg-{self.foreground}")
        if self.background is not None:
            names.append(f"ansi-bg-{self.background}")
        return " ".join(names)


@dataclass(frozen=True)
class LogLine:
    """One line of a log: its number from 1, its HTML, and whether it reads like an error."""

    number: int
    html: SafeString
    is_error: bool


def _render(text: str, style: _Style) -> SafeString:
    parts: list[str] = []

    def put(piece: str) -> None:
        piece = escape(_CONTROL.sub("", piece))
        classes = style.classes()
        if piece:
            parts.append(f'<span class="{classes}">{piece}</span>' if classes else piece)

    position = 0
    for match in _SEQUENCE.finditer(text):
        put(text[position : match.start()])
        if match.group(2) == "m":
            style.apply(match.group(1))
        position = match.end()
    put(text[position:])
    return mark_safe("".join(parts))  # noqa: S308  every piece was escaped in put(); classes are ours


def to_html(text: str) -> SafeString:
    """The whole text as HTML, safe to show."""
    return _render(text, _Style())


def lines(text: str, first: int = 1) -> Iterator[LogLine]:
    """The text line by line. A carriage return starts the line anew, as progress bars do."""
    style = _Style()
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=first):
        shown = line.rstrip("\r").rpartition("\r")[2]
        html = _render(shown, style)
        yield LogLine(number, html, bool(_ERROR.search(_SEQUENCE.sub("", shown))))
