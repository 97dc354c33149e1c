"""What the demo is: its addresses, accounts, access keys and ids, kept in a file that only we may read.

The file is the only place where the passwords can be read again: the database keeps hashes.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from opscenter.base import heartbeat
from opscenter.base.files import write_private
from opscenter.base.models import Process
from opscenter.processes import guard
from opscenter.processes.demo.cast import Account, Party
from opscenter.processes.demo.guard import Guard
from opscenter.processes.demo.make import Made
from opscenter.workspaces.models import AccessKey

Record = dict[str, Any]


def path() -> Path:
    """Where the record is kept."""
    return Path(settings.DATA_DIR) / "demo.json"


def describe(b: Made, a: Made) -> Record:
    """The record of a demo just made."""
    assert b.guard is not None
    return {
        **_addresses(),
        "accounts": [_account(b.party, account) for account in b.party.accounts],
        "tenants": [_tenant(b), _tenant(a)],
        "extension": _extension(b.party, b.guard),
    }


def _addresses() -> Record:
    """Where the product is reached that runs on this database; where none does, where one of these settings would be."""
    running = heartbeat.alive(Process.Kind.WEB).exclude(details__url=None).order_by("-started_at", "-pk").first()
    url = running.details["url"] if running is not None else settings.PUBLIC_URL
    return {"console": f"{url}/", "endpoint": urlsplit(url).netloc}


def _account(party: Party, account: Account) -> Record:
    return {
        "username": account.user.username,
        "password": account.password,
        "workspace_id": party.workspace.pk,
        "role": account.role,
    }


def _tenant(made: Made) -> Record:
    return {
        "name": made.party.workspace.tenant.name,
        "workspace_id": made.party.workspace.pk,
        "access_key_id": made.party.access_key_id,
        "access_key_secret": made.party.access_key_secret,
        "tasks": made.tasks,
        "account": _account(made.party, made.party.admin),
    }


def _extension(party: Party, made: Guard) -> Record:
    return {
        "code": made.extension.code,
        "name": made.extension.name,
        "access_key_id": made.access_key_id,
        "access_key_secret": made.access_key_secret,
        "secret": made.secret,
        "webhook_url": made.extension.webhook_url,
        "rules_file": str(guard.rules_path()),
        "account": _account(party, made.owner),
    }


def write(record: Record) -> None:
    """Keep the record, and give the guard's program what it needs of it."""
    write_private(path(), record)
    if "extension" in record:
        guard.write_files(record["extension"])


def read() -> Record | None:
    """The record of the demo in this database, at today's addresses; None where it is not kept here."""
    try:
        record: Record = json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    keys = {tenant["access_key_id"] for tenant in record["tenants"]}
    if AccessKey.objects.filter(key_id__in=keys).count() < len(keys):
        return None  # of another database
    if "extension" in record:
        record["extension"]["rules_file"] = str(guard.rules_path())
    return record | _addresses()
