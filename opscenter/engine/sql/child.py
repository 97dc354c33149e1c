"""The program that a SQL node runs: connects to the data source and executes the script, statement by statement.

It is told the data source, credentials and all, through a pipe; what went wrong it writes into a file beside the script,
for the runner to make a reason of. A SIGTERM cancels the running statement on the server.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from opscenter.engine.sql.databases import CannotConnect, Database, OwnDatabase, Result, StatementFailed, connect, taken
from opscenter.engine.sql.preview import ROWS, table
from opscenter.engine.sql.splitter import Statement, statements
from opscenter.engine.sql.target import Target

NOT_TOLD = 125
"""Exit code of a program whose gate was never opened."""
_STOPPED = 143
_MOST_ERROR = 500
_HEAD = 160


def main(arguments: list[str]) -> int:
    """Run a script, or without one try to connect.

    Args:
        arguments: the pipe's descriptor, the file for what went wrong or came out, and the script if there is one.
    """
    descriptor, report, *script = arguments
    line = _told(int(descriptor))
    if not line:
        return NOT_TOLD
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    return _Job(Target.from_line(line), Path(report)).run(Path(script[0]) if script else None)


def _told(descriptor: int) -> bytes:
    """The line that opens the gate; empty when whoever should open it is gone."""
    with os.fdopen(descriptor, "rb") as pipe:
        return pipe.readline()


class _Job:
    def __init__(self, target: Target, report: Path) -> None:
        self._target = target
        self._report = report
        self._database: Database | None = None
        self._is_stopping = False
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=self._await_stop, daemon=True).start()

    def run(self, script: Path | None) -> int:
        """The exit code: 0 when all statements were executed, or when the connection was made."""
        try:
            self._database = connect(self._target, _say)
        except OwnDatabase:
            return self._failed("own")
        except CannotConnect as error:
            return self._failed("connect", error=str(error)[:_MOST_ERROR])
        if script is None:
            self._tell(server=self._database.server)
            return 0
        _note(self._database.server)
        return self._execute(script.read_bytes().decode())  # as it is: a line's end may be part of a literal

    def _execute(self, script: str) -> int:
        assert self._database is not None
        found = statements(script, self._target.type)
        if not found:
            _note("There is no statement in the script.")
        began = 0
        for statement in found:
            if self._is_stopping:
                self._stop(statement)
            place = f"Statement {statement.number} of {len(found)}, line {statement.line}"
            _note(f"{place}: {_head(statement)}")
            at = time.monotonic()
            try:
                result = self._database.run(statement.text)
            except StatementFailed as error:
                if self._is_stopping:
                    self._stop(statement)
                return self._refused(statement, error, at)
            _show(statement, result, at)
            began = (began or statement.line) if self._database.in_transaction else 0
        if began:
            return self._failed("open_transaction", line=began)
        return 0

    def _refused(self, statement: Statement, error: StatementFailed, at: float) -> int:
        line = statement.line if error.offset is None else statement.line_of(error.offset)
        _note(f"Statement {statement.number} failed in line {line} after {taken(at)}.")
        _say(str(error))
        if error.offset is not None:
            _point(statement.text, error.offset, line)
        for more in error.more:
            _say(more)
        return self._failed("statement", number=statement.number, line=line, error=str(error)[:_MOST_ERROR])

    def _failed(self, kind: str, **params: Any) -> int:
        self._tell(kind=kind, **params)
        return 1

    def _tell(self, **report: Any) -> None:
        self._report.write_text(json.dumps(report), encoding="utf-8")

    def _stop(self, statement: Statement) -> NoReturn:
        _note(f"Stopped in statement {statement.number}.")
        os._exit(_STOPPED)

    def _await_stop(self) -> None:
        """Cancel what runs when we are asked to stop; again and again, since a request that comes between two statements
        is for none of them."""
        signal.sigwait({signal.SIGTERM})
        self._is_stopping = True
        while self._database is not None:
            with contextlib.suppress(Exception):  # no server, no answer: the kill comes soon
                self._database.cancel()
            time.sleep(0.2)
        os._exit(_STOPPED)


def _note(text: str) -> None:
    print(f"[opscenter] {text}")


def _say(text: str) -> None:
    print(text)


def _head(statement: Statement) -> str:
    """The beginning of a statement, on one line."""
    text = " ".join(statement.text[statement.head : statement.head + 4 * _HEAD].split())
    return text if len(text) <= _HEAD else text[: _HEAD - 1] + "…"


def _show(statement: Statement, result: Result, at: float) -> None:
    parts = [result.tag or _head(statement).split(" ", 1)[0].upper()]
    if result.columns is not None:
        if result.rows:
            _say(table(result.columns, result.rows))
        more = f" (the first {ROWS} are shown)" if (result.count or 0) > ROWS else ""
        parts.append(_rows(result.count or 0) + more)
    elif result.count is not None:
        parts.append(_rows(result.count))
    _note(", ".join([*parts, taken(at)]))


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _point(text: str, offset: int, line: int) -> None:
    """The line that the database complains of, and a mark under the place."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    shown = text[start : end if end >= 0 else len(text)].replace("\t", " ").rstrip("\r")
    begin = max(0, offset - start - 60)
    label = f"LINE {line}: "
    _say(label + shown[begin : begin + 120])
    _say(" " * (len(label) + offset - start - begin) + "^")
