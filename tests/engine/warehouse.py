"""A database that is not Opscenter's, on the server that the tests run on, with a role of its own."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql

from opscenter.base import secrets as stored
from opscenter.production.models import DataSource
from opscenter.workspaces.models import User, Workspace


@dataclass
class Warehouse:
    """The database ``name``, entered as ``role`` with ``password``."""

    name: str = field(default_factory=lambda: f"warehouse_{secrets.token_hex(4)}")
    password: str = field(default_factory=lambda: f"pw-{secrets.token_hex(12)}")

    @property
    def role(self) -> str:
        return f"{self.name}_etl"

    def admin(self, database: str = "") -> "psycopg.Connection[Any]":
        """A connection as the owner of the server."""
        own = settings.DATABASES["default"]
        return psycopg.connect(
            host=own["HOST"], port=own.get("PORT") or None, user=own["USER"], password=own.get("PASSWORD") or None,
            dbname=database or self.name, autocommit=True,
        )  # fmt: skip

    def settings(self, **changed: Any) -> dict[str, Any]:
        """Of a data source that leads here."""
        own = settings.DATABASES["default"]
        return {
            "host": own["HOST"],
            "port": int(own.get("PORT") or 5432),
            "database": self.name,
            "username": self.role,
            "sslmode": "prefer",
        } | changed

    def source(self, workspace: Workspace, user: User, name: str = "warehouse", **changed: Any) -> DataSource:
        """A data source of the workspace's production that leads here."""
        fields = {name: changed.pop(name) for name in ("environment",) if name in changed}
        return DataSource.objects.create(
            workspace=workspace, name=name, type="postgresql", settings=self.settings(**changed),
            password=stored.encrypt(self.password), modified_by=user, **({"environment": "Prod"} | fields),
        )  # fmt: skip


@contextmanager
def warehouse() -> Iterator[Warehouse]:
    """Made, and dropped in the end."""
    made = Warehouse()
    name, role = sql.Identifier(made.name), sql.Identifier(made.role)
    with made.admin("postgres") as server:
        server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(made.password)))
        server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, role))
    try:
        yield made
    finally:
        with made.admin("postgres") as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            server.execute(sql.SQL("DROP ROLE {}").format(role))
