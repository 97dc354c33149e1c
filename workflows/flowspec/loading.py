"""From text to JSON that the database can hold, or a refusal with line and column."""

import json
import math
from typing import Any

from workflows.flowspec.place import Place, index_path, key_path
from workflows.flowspec.problems import Findings

MOST_BYTES = 5 * 1024 * 1024
MOST_DEPTH = 100


def load(text: str, findings: Findings) -> Place:
    """Parse a document.

    Raises:
        BadDocument: too large, no JSON, or with values that cannot be stored.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        findings.error("", "flowspec.too_large", size=size, most=MOST_BYTES)
        findings.raise_errors()
    value = _parse(text.removeprefix("\ufeff"), findings)
    findings.raise_errors()
    _check(value, findings)
    findings.raise_errors()
    return Place(value, "", findings)


def _parse(text: str, findings: Findings) -> Any:
    if not text.strip():
        findings.error("", "flowspec.empty")
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        findings.error("", "flowspec.json", line=error.lineno, column=error.colno, detail=error.msg)
    except RecursionError:
        findings.error("", "flowspec.too_deep", most=MOST_DEPTH)
    except ValueError:  # a number of thousands of digits, which Python refuses to read
        findings.error("", "flowspec.number")
    return None


def _check(root: Any, findings: Findings) -> None:
    """Refuse what PostgreSQL cannot store: NUL, halves of surrogate pairs, infinite numbers, deep nesting."""
    waiting: list[tuple[Any, str, int]] = [(root, "", 1)]
    while waiting:
        value, path, depth = waiting.pop()
        if isinstance(value, str):
            _check_text(value, path, findings)
        elif isinstance(value, float) and not math.isfinite(value):
            findings.error(path, "flowspec.number")
        elif isinstance(value, dict | list):
            if depth > MOST_DEPTH:
                findings.error(path, "flowspec.too_deep", most=MOST_DEPTH)
                return
            if isinstance(value, dict):
                for key, item in value.items():
                    _check_text(key, path, findings)
                    waiting.append((item, key_path(path, key), depth + 1))
            else:
                waiting.extend((item, index_path(path, at), depth + 1) for at, item in enumerate(value))


def _check_text(value: str, path: str, findings: Findings) -> None:
    if "\x00" in value:
        findings.error(path, "flowspec.nul")
    elif any("\ud800" <= character <= "\udfff" for character in value):
        findings.error(path, "flowspec.surrogate")
