"""What the demo is: its addresses, accounts, access keys and ids, kept in a file that only we may read.

The file is the only place where the passwords can be read again: the database keeps hashes.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from opscenter.processes.demo.cast import Account, Party
from opscenter.processes.demo.make import Made
from opscenter.workspaces.models import AccessKey

Record = dict[str, Any]


def path() -> Path:
    """Where the record is kept."""
    return Path(settings.DATA_DIR) / "demo.json"


def describe(b: Made, a: Made) -> Record:
    """The record of a demo just made."""
    return {
        **_addresses(),
        "accounts": [_account(b.party, account) for account in b.party.accounts],
        "tenants": [_tenant(b), _tenant(a)],
    }


def _addresses() -> Record:
    return {"console": f"{settings.PUBLIC_URL}/", "endpoint": urlsplit(settings.PUBLIC_URL).netloc}


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


def write(record: Record) -> None:
    """Keep the record, whole or not at all."""
    draft = path().with_name(f"{path().name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(record, file, indent=2)
        file.write("\n")
    draft.replace(path())


def read() -> Record | None:
    """The record of the demo in this database, at today's addresses; None where it is not kept here."""
    try:
        record: Record = json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    keys = {tenant["access_key_id"] for tenant in record["tenants"]}
    if AccessKey.objects.filter(key_id__in=keys).count() < len(keys):
        return None  # of another database
    return record | _addresses()
