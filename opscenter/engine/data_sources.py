"""Data sources as the engine uses them: with their credentials, for the programs that connect to them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

import opscenter
from opscenter.base import secrets
from opscenter.base.reasons import Refused, sentence
from opscenter.engine.gate import Gate
from opscenter.engine.sql.target import SQLITE, Own, Target
from opscenter.production.models import DataSource
from opscenter.workspaces.models import Workspace

TEST_WITHIN = 20
"""Seconds that a try to connect may take in all."""
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from opscenter.engine.sql.child import main; sys.exit(main(sys.argv[2:]))"
)


def command(gate: Gate, report: Path, script: Path | None = None) -> list[str]:
    """The command that connects to a data source, and executes a script there if one is given; no secret is in it.

    Args:
        report: the file where it says how that went.
    """
    root = str(Path(opscenter.__file__).parent.parent)
    files = [str(report)] + ([] if script is None else [str(script)])
    # -I: nothing that lies in the working folder is taken for a module of ours
    return [sys.executable, "-I", "-c", _START, root, str(gate.descriptor), *files]


def target_of(source: DataSource, program: str) -> Target:
    """Where a data source's statements go, credentials and all.

    Args:
        program: the name that its server shows for the connection.

    Raises:
        Refused: its file lies outside of the workspace's folder, or no key opens its password.
    """
    if source.type == SQLITE:
        return Target(SQLITE, path=str(_sqlite_file(source)), program=program)
    return Target(
        source.type,
        host=source.settings["host"],
        port=source.settings["port"],
        database=source.settings["database"],
        username=source.settings["username"],
        password=_password(source),
        sslmode=source.settings["sslmode"],
        program=program,
        own=own(),
    )


def _password(source: DataSource) -> str:
    try:
        return secrets.decrypt(source.password) if source.password else ""
    except secrets.SecretUnreadable as error:
        raise Refused("data_source.key_gone", name=source.name) from error


def sqlite_folder(workspace: Workspace) -> Path:
    """Where a workspace's SQLite files lie; others have folders of their own."""
    return Path(settings.SQLITE_DIR) / workspace.tenant.name / workspace.name


def _sqlite_file(source: DataSource) -> Path:
    folder = sqlite_folder(source.workspace)
    for part in (Path(settings.SQLITE_DIR), folder.parent, folder):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = (folder / source.settings["file"]).resolve()
    if path.parent != folder.resolve():
        raise Refused("data_source.file_outside", file=source.settings["file"])
    return path


def own() -> Own:
    """Opscenter's own database, as its server knows it."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT system_identifier::text, d.oid::bigint, session_user::text
               FROM pg_control_system(), pg_database d WHERE d.datname = current_database()"""
        )
        return Own(*cursor.fetchone())


def check(source: DataSource) -> str:
    """Connect to a data source, from this host, and leave again.

    Returns:
        The server's product and version.

    Raises:
        Refused: it cannot be connected to, or must not; the reason says why.
    """
    target = target_of(source, "opscenter test")
    with tempfile.TemporaryDirectory(prefix="opscenter-test-") as folder, Gate() as gate:
        report = Path(folder) / "report.json"
        process = subprocess.Popen(
            command(gate, report),
            cwd=folder,
            env={"PATH": os.defpath, "HOME": folder, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
            pass_fds=[gate.descriptor],
        )
        gate.passed()
        gate.open(target.as_line())
        try:
            process.wait(TEST_WITHIN)
        except subprocess.TimeoutExpired:
            raise Refused("data_source.silent", name=source.name, seconds=TEST_WITHIN) from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not report.exists():
            raise Refused("data_source.no_connection", name=source.name, error=f"exit code {process.returncode}")
        return _told(source, json.loads(report.read_text()))


def is_own_place(host: str, port: int, database: str) -> bool:
    """Whether an address is the one that Opscenter itself uses. Another name of the same server is found out when it is
    connected to."""
    own = settings.DATABASES["default"]
    hosts = {_host(host), _host(own["HOST"])}
    return len(hosts) == 1 and port == int(own.get("PORT") or 5432) and database == connection.settings_dict["NAME"]


def _host(name: str) -> str:
    return "localhost" if name.lower() in ("", "localhost", "127.0.0.1", "::1") else name.lower().rstrip("/.")


def _told(source: DataSource, report: dict[str, str]) -> str:
    if "server" in report:
        return report["server"]
    if report["kind"] == "own":
        raise Refused("data_source.own", name=source.name)
    raise Refused("data_source.no_connection", name=source.name, error=report["error"])


@sentence("data_source.key_gone")
def _key_gone(params: Mapping[str, Any]) -> str:
    return (
        _("The password of “%(name)s” was encrypted with a key that this installation no longer has. Enter it again.")
        % params
    )


@sentence("data_source.file_outside")
def _file_outside(params: Mapping[str, Any]) -> str:
    return _("“%(file)s” leads out of the folder of this workspace's SQLite files.") % params


@sentence("data_source.own")
def _own(params: Mapping[str, Any]) -> str:
    return (
        _(
            "“%(name)s” is Opscenter's own database, or enters its server as somebody who could get at it. "
            "Use another database, and a role that is no superuser."
        )
        % params
    )


@sentence("data_source.no_connection")
def _no_connection(params: Mapping[str, Any]) -> str:
    return _("“%(name)s” cannot be connected to: %(error)s") % params


@sentence("data_source.silent")
def _silent(params: Mapping[str, Any]) -> str:
    return _("“%(name)s” did not answer within %(seconds)s seconds.") % params
