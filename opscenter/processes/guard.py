"""The program of the demo's extension (examples/guard_extension), run as everybody's would be: it knows its files alone."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings

from opscenter.base.files import write_private

HOST = "127.0.0.1"
_PROGRAM = Path("examples") / "guard_extension" / "guard.py"
_RULES = {"most_tasks_at_once": 2, "protected_tasks": []}


def config_path() -> Path:
    """What the program is told: its port, secrets, access key."""
    return Path(settings.DATA_DIR) / "guard.json"


def rules_path() -> Path:
    """The rule it decides by, for people to change."""
    return Path(settings.DATA_DIR) / "guard_rules.json"


def allow(url: str) -> None:
    """From now on this process, and what it forks, may send to the guard although its address is private."""
    settings.OUTBOUND_ALLOW = [*settings.OUTBOUND_ALLOW, urlsplit(url).netloc]


@contextmanager
def allowed(url: str) -> Iterator[None]:
    """The same, for a block."""
    before = settings.OUTBOUND_ALLOW
    allow(url)
    try:
        yield
    finally:
        settings.OUTBOUND_ALLOW = before


def write_files(extension: Mapping[str, Any]) -> None:
    """Write the program's two files where they are missing or of another demo, and today's address into its config.

    Whatever people have changed in them stays.

    Args:
        extension: as the demo's record has it.
    """
    config = _read(config_path())
    if config.get("extension_code") != extension["code"]:
        config = {
            "extension_code": extension["code"],
            "port": urlsplit(extension["webhook_url"]).port,
            "secrets": [extension["secret"]],
            "access_key_id": extension["access_key_id"],
            "access_key_secret": extension["access_key_secret"],
            "rules_file": rules_path().name,
        }
        write_private(rules_path(), _RULES)
    elif not rules_path().exists():
        write_private(rules_path(), _RULES)
    write_private(config_path(), config | {"endpoint": _endpoint(), "protocol": "http"})


def _endpoint() -> str:
    """Where the product answers on this machine, whatever it is called outside."""
    host = {"0.0.0.0": HOST, "::": "[::1]"}.get(settings.BIND, settings.BIND)  # noqa: S104
    return f"{host}:{settings.PORT}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def run() -> NoReturn:
    """Become the program, with nothing of our own environment: no secret of ours reaches it that way."""
    program = settings.BASE_DIR / _PROGRAM
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    os.execve(sys.executable, [sys.executable, str(program), "--config", str(config_path())], environment)  # noqa: S606
