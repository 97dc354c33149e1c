"""Data sources: the databases that SQL nodes name, each of one environment. Their passwords go in and never come out."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base import clock, secrets
from opscenter.base.reasons import Invalid, NotFound, Refused, sentence
from opscenter.engine import data_sources as engine
from opscenter.operations.actor import Actor
from opscenter.operations.permits import require
from opscenter.production.models import DataSource, Environment, Task
from opscenter.workspaces import audit
from opscenter.workspaces.models import Tenant, Workspace
from opscenter.workspaces.roles import Permission

MOST_PASSWORD = 1000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,255}|/[^\x00-\x1f,]{1,90}")
"""A name, an address, or the folder of a unix socket; nothing that libpq would read as several."""
_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,63}")
_GOES_TO = ("host", "port", "username")
"""Where a password is sent, and whose it is: who changes this must know it."""


@transaction.atomic
def create(
    actor: Actor,
    workspace: Workspace,
    environment: str,
    *,
    name: str,
    type: str,
    settings: Mapping[str, Any],
    password: str = "",
    description: str = "",
) -> DataSource:
    """A new data source of one environment.

    Args:
        settings: of PostgreSQL ``host``, ``port``, ``database``, ``username`` and ``sslmode``; of SQLite ``file``.

    Raises:
        NotFound, Forbidden: the actor may not manage data sources.
        Invalid: a value that cannot be, a name that is taken, Opscenter's own database; ``field`` names which.
    """
    workspace = require(actor, workspace, Permission.MANAGE_DATA_SOURCES).workspace
    if not _NAME.fullmatch(name):
        raise Invalid("data_source.name", field="name")
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)  # two at once cannot take one name
    if DataSource.objects.filter(workspace=workspace, environment=environment, name=name).exists():
        raise Invalid("data_source.name_taken", field="name", name=name)
    source = DataSource.objects.create(
        workspace=workspace,
        environment=Environment(environment),
        name=name,
        type=DataSource.Type(type),
        settings=_checked(type, settings),
        password=_encrypted(password),
        description=description,
        modified_by=actor.user,
    )
    _record(actor, "data_source.create", source)
    return source


@transaction.atomic
def update(
    actor: Actor,
    workspace: Workspace,
    environment: str,
    pk: int,
    *,
    settings: Mapping[str, Any],
    password: str = "",
    description: str = "",
) -> DataSource:
    """Change where a data source leads; its name and type stay, since nodes are written for them.

    Args:
        password: empty to keep the one that is stored.

    Raises:
        NotFound, Forbidden: the actor may not manage data sources, or there is no such data source.
        Invalid: a value that cannot be; or the stored password would be sent elsewhere: it must be entered again.
    """
    require(actor, workspace, Permission.MANAGE_DATA_SOURCES)
    source = find(workspace, environment, pk, lock=True)
    after = _checked(source.type, settings)
    changed = [name for name, value in after.items() if source.settings.get(name) != value]
    if source.password and not password and set(changed) & set(_GOES_TO):
        raise Invalid("data_source.password_again", field="password")
    source.settings = after
    if password:
        source.password = _encrypted(password)
        changed.append("password")
    if source.description != description:
        source.description = description
        changed.append("description")
    if changed:
        source.modified_at, source.modified_by = clock.now(), actor.user
        source.save(update_fields=["settings", "password", "description", "modified_at", "modified_by"])
        _record(actor, "data_source.update", source, changed=changed)
    return source


@transaction.atomic
def delete(actor: Actor, workspace: Workspace, environment: str, pk: int) -> DataSource:
    """Forget a data source, with its password.

    Raises:
        NotFound, Forbidden: the actor may not manage data sources, or there is no such data source.
        Refused: tasks run on it.
    """
    require(actor, workspace, Permission.MANAGE_DATA_SOURCES)
    Tenant.objects.select_for_update(no_key=True).get(pk=workspace.tenant_id)  # publishing holds it: no task joins now
    source = find(workspace, environment, pk, lock=True)
    tasks = users(workspace, environment).get(source.name, [])
    if tasks:
        raise Refused("data_source.in_use", **in_use(source, tasks))
    _record(actor, "data_source.delete", source)
    source.delete()
    return source


def test(actor: Actor, workspace: Workspace, environment: str, pk: int) -> tuple[DataSource, str]:
    """Try to connect from the host that this process runs on, with the stored password.

    Returns:
        The data source, and its server's product and version.

    Raises:
        NotFound, Forbidden: the actor may not manage data sources, or there is no such data source.
        Refused: no connection; the reason has the words of the database.
    """
    require(actor, workspace, Permission.MANAGE_DATA_SOURCES)
    source = find(workspace, environment, pk)
    try:
        server = engine.check(source)
    except Refused:
        _record(actor, "data_source.test", source, answered=False)
        raise
    _record(actor, "data_source.test", source, answered=True)
    return source, server


def find(workspace: Workspace, environment: str, pk: int, *, lock: bool = False) -> DataSource:
    """A data source of an environment of a workspace; raises NotFound."""
    found = DataSource.objects.select_related("workspace__tenant").filter(
        workspace=workspace, environment=environment, pk=pk
    )
    source = (found.select_for_update(of=("self",)) if lock else found).first()
    if source is None:
        raise NotFound("data_source.unknown")
    return source


def users(workspace: Workspace, environment: str) -> dict[str, list[Task]]:
    """For each data source that is named: the online tasks of the environment that run on it."""
    tasks = (
        Task.objects.filter(workspace=workspace, environment=environment, status=Task.Status.ONLINE)
        .exclude(version__data_source="")
        .exclude(version=None)
        .select_related("version")
        .defer("version__content")
        .order_by("name")
    )
    found: dict[str, list[Task]] = {}
    for task in tasks:
        assert task.version is not None  # the filter looked into it
        found.setdefault(task.version.data_source, []).append(task)
    return found


def in_use(source: DataSource, tasks: Sequence[Task]) -> dict[str, Any]:
    """The parameters of the reason "data_source.in_use"."""
    return {"name": source.name, "tasks": [task.name for task in tasks]}


def _checked(type: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a type, all of them and no others."""
    if type == DataSource.Type.SQLITE:
        if not _FILE.fullmatch(str(settings.get("file", ""))):
            raise Invalid("data_source.file", field="file")
        return {"file": str(settings["file"])}
    host, port = str(settings.get("host", "")), settings.get("port")
    if not _HOST.fullmatch(host):
        raise Invalid("data_source.host", field="host")
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise Invalid("data_source.port", field="port")
    texts = {name: str(settings.get(name, "")) for name in ("database", "username")}
    for name, text in texts.items():
        if not _TEXT.fullmatch(text):
            raise Invalid("data_source.text", field=name, most=63)
    if settings.get("sslmode") not in DataSource.SslMode:
        raise Invalid("data_source.sslmode", field="sslmode", known=", ".join(DataSource.SslMode))
    if engine.is_own_place(host, port, texts["database"]):
        raise Invalid("data_source.own", field="host", name=texts["database"])
    return {"host": host, "port": port, **texts, "sslmode": str(settings["sslmode"])}


def _encrypted(password: str) -> str:
    if len(password) > MOST_PASSWORD or "\0" in password:
        raise Invalid("data_source.password", field="password", most=MOST_PASSWORD)
    return secrets.encrypt(password) if password else ""


def _record(actor: Actor, action: str, source: DataSource, **params: Any) -> None:
    audit.record(
        actor.user,
        actor.face,
        action,
        workspace=source.workspace,
        obj=("data_source", source.pk, source.name),
        params={"environment": source.environment, "place": source.place, **params},
        address=actor.address,
    )


def _sentence(code: str, text: Callable[[], str]) -> None:
    sentence(code)(lambda params: text() % params)


_sentence("data_source.unknown", lambda: _("There is no such data source. Somebody may have deleted it just now."))
_sentence("data_source.name", lambda: _("Use letters, digits, _, . and -, a letter first; at most 128 characters."))
_sentence("data_source.name_taken", lambda: _("This environment has a data source “%(name)s” already."))
_sentence("data_source.host", lambda: _("This is no host name, no address, and no folder of a socket."))
_sentence("data_source.port", lambda: _("A port is a number from 1 to 65535."))
_sentence("data_source.text", lambda: _("Enter 1 to %(most)s characters on one line."))
_sentence("data_source.sslmode", lambda: _("Choose one of %(known)s."))
_sentence("data_source.file", lambda: _("Use the name of a file alone: letters, digits, _, . and -, without a folder."))
_sentence("data_source.password", lambda: _("A password has at most %(most)s characters."))
_sentence(
    "data_source.password_again",
    lambda: _("Enter the password too: the stored one is not sent to another host or as another user's."),
)


@sentence("data_source.in_use")
def _in_use(params: Mapping[str, Any]) -> str:
    return _(
        "Tasks run on “%(name)s”: %(tasks)s. Publish them with another data source, or undeploy them, then delete it."
    ) % {"name": params["name"], "tasks": ", ".join(params["tasks"])}
