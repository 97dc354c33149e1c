"""manage.py demo: makes the demo if it is missing, and says how to get in."""

import json
import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, transaction

from opscenter.base import clock
from opscenter.base.locks import advisory_xact_lock
from opscenter.processes.demo import cast, record
from opscenter.processes.demo.make import make
from opscenter.workspaces.models import Tenant


class Command(BaseCommand):
    help = "Make the demo if it is missing, and print its addresses, accounts, access keys and ids."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print everything, as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verbosity"] < 2:  # a line for each generated day is of no interest here
            logging.getLogger("opscenter.engine").setLevel(logging.WARNING)
        try:
            found = _found_or_made()
        except Error as error:
            raise CommandError(f"Cannot use the database: {str(error).strip()} Is Opscenter running?") from error
        self.stdout.write(json.dumps(found, indent=2) if options["json"] else _for_people(found))


@transaction.atomic
def _found_or_made() -> record.Record:
    advisory_xact_lock("demo")
    if not Tenant.objects.filter(name__in=[cast.TENANT_A, cast.TENANT_B]).exists():
        made = record.describe(*make(clock.now()))
        record.write(made)  # before the commit: a file without its demo is made anew, a demo without its file is not
        return made
    found = record.read()
    if found is None:
        raise CommandError(
            f"The demo was made already, but {record.path()}, where its passwords are kept, is not of this database. "
            "Run the command where the demo was made."
        )
    return found


def _for_people(found: record.Record) -> str:
    lines = [f"Console   {found['console']}", f"Endpoint  {found['endpoint']}  (for the SDKs)", ""]
    for tenant in found["tenants"]:
        accounts = {account["username"]: account for account in [*found["accounts"], tenant["account"]]}
        lines += [
            f"{tenant['name']}, workspace {tenant['workspace_id']}",
            f"  access key  {tenant['access_key_id']}  {tenant['access_key_secret']}",
            *(f"  task        {number}  {name}" for name, number in tenant["tasks"].items()),
            *(
                f"  account     {account['username']:<16}  {account['password']}  ({account['role']})"
                for account in accounts.values()
                if account["workspace_id"] == tenant["workspace_id"]
            ),
            "",
        ]
    if guard := found.get("extension"):
        lines += [
            f"Extension {guard['name']}, {guard['code']}; `manage.py up` runs it",
            f"  access key  {guard['access_key_id']}  {guard['access_key_secret']}",
            f"  rules       {guard['rules_file']}",
            f"  owner       {guard['account']['username']:<16}  {guard['account']['password']}",
            "",
        ]
    return "\n".join(lines)
