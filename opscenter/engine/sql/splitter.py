"""A script taken apart into statements, by the lexical rules of the database that it is for.

For PostgreSQL they are psql's: strings with and without escapes, dollar quotes, nested comments; a semicolon ends a
statement unless it stands in parentheses (the actions of a rule) or in the body of a function (``BEGIN ATOMIC ... END``).
For SQLite they are those of its own shell; a trigger's body is known to SQLite itself.
"""

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Statement:
    """One statement of a script.

    Attributes:
        number: from 1.
        line: where its first word stands, in lines of the script from 1.
        text: without its semicolon; with the comments before it, which may be hints.
        lines_before: lines of the script before ``text``.
        head: where in ``text`` its first word stands.
    """

    number: int
    line: int
    text: str
    lines_before: int
    head: int

    def line_of(self, offset: int) -> int:
        """The line of the script in which a character of the text stands."""
        return self.lines_before + self.text.count("\n", 0, offset) + 1


_STRING = r"'(?:[^']++|'')*+'?"
_ESCAPED = r"'(?:[^'\\]++|''|\\.)*+'?"
_POSTGRESQL = re.compile(
    rf"""(?P<blank>\s++|--[^\n]*+)
    | (?P<comment>/\*)
    | [eE]{_ESCAPED}(?:[^\S\n]*+\n\s*+{_ESCAPED})*+   # a literal goes on behind a line's end, with the same escapes
    | {_STRING}
    | "(?:[^"]++|"")*+"?
    | (?P<dollar>\$(?:[^\W\d][^\W]*+)?\$)
    | (?P<word>[^\W\d][\w$]*+)
    | \$?\d[\w.]*+
    | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_SQLITE = re.compile(
    rf"""(?P<blank>\s++|--[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/)?)
    | {_STRING}
    | "(?:[^"]++|"")*+"?
    | `(?:[^`]++|``)*+`?
    | \[[^\]]*+\]?
    | (?P<word>\w++)
    | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_ROUTINE = re.compile(r"create (or replace )?(function|procedure) ")


def statements(script: str, database: str) -> list[Statement]:
    """The statements of a script for ``postgresql`` or ``sqlite``; empty ones, and comments alone, are none."""
    found: list[Statement] = []
    lines = counted = 0
    for begin, head, end in _SPLITTERS[database](script):
        start = begin + len(script[begin:head]) - len(script[begin:head].lstrip())
        lines += script.count("\n", counted, start)
        counted = start
        line = lines + script.count("\n", start, head) + 1
        found.append(Statement(len(found) + 1, line, script[start:end].rstrip(), lines, head - start))
    return found


@dataclass
class _Depth:
    """What a semicolon is inside of, in one statement for PostgreSQL."""

    parentheses: int = 0
    blocks: int = 0
    words: list[str] = field(default_factory=list)

    @property
    def is_outside(self) -> bool:
        return self.parentheses == 0 and self.blocks == 0

    def sign(self, sign: str) -> None:
        if sign == "(":
            self.parentheses += 1
        elif sign == ")":
            self.parentheses = max(0, self.parentheses - 1)

    def word(self, word: str) -> None:
        """Count the blocks of a routine's body, as psql does; CASE ends with END too."""
        if len(self.words) < 4:
            self.words.append(word)
        if self.parentheses or word not in ("begin", "case", "end"):
            return
        if not _ROUTINE.match(" ".join(self.words) + " "):
            return
        if word == "begin" or (word == "case" and self.blocks):
            self.blocks += 1
        elif word == "end":
            self.blocks = max(0, self.blocks - 1)


_Parts = Iterator[tuple[int, int, int]]
"""Of each statement: where the one before it ended, where its first word stands, where its end is."""


def _postgresql(script: str) -> _Parts:
    begin, at, head, depth = 0, 0, -1, _Depth()
    while at < len(script):
        token = _POSTGRESQL.match(script, at)
        assert token is not None  # any character is a sign
        kind, start, at = token.lastgroup, at, token.end()
        if kind == "comment":
            at = _after_comment(script, at)
        elif kind == "dollar":
            closing = script.find(token[0], at)
            at = len(script) if closing < 0 else closing + len(token[0])
        elif kind == "word":
            depth.word(token[0].lower())
        elif kind == "sign":
            depth.sign(token[0])
            if token[0] == ";" and depth.is_outside:
                if head >= 0:
                    yield begin, head, start
                begin, head, depth = at, -1, _Depth()
                continue
        if kind not in ("blank", "comment") and head < 0:
            head = start
    if head >= 0:
        yield begin, head, len(script)


def _after_comment(script: str, at: int) -> int:
    """The end of a comment whose beginning was read; comments in it have ends of their own."""
    depth = 1
    while depth:
        mark = _COMMENT.search(script, at)
        if mark is None:
            return len(script)
        depth += 1 if mark[0] == "/*" else -1
        at = mark.end()
    return at


def _sqlite(script: str) -> _Parts:
    begin, at, head = 0, 0, -1
    while at < len(script):
        token = _SQLITE.match(script, at)
        assert token is not None
        kind, start, at = token.lastgroup, at, token.end()
        if kind == "sign" and token[0] == ";" and (head < 0 or sqlite3.complete_statement(script[head:at])):
            if head >= 0:
                yield begin, head, start
            begin, head = at, -1
        elif kind != "blank" and head < 0:
            head = start
    if head >= 0:
        yield begin, head, len(script)


_SPLITTERS: dict[str, Callable[[str], _Parts]] = {"postgresql": _postgresql, "sqlite": _sqlite}
