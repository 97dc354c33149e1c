"""``manage.py create_tenant``: a tenant and its first user."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from opscenter.base.reasons import Refused
from opscenter.operations.workspaces import create_tenant


class Command(BaseCommand):
    help = "Make a tenant with one user, who administers it and may create workspaces."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--time-zone", required=True, metavar="ZONE", help="IANA name, such as Asia/Shanghai")
        parser.add_argument("--admin", required=True, metavar="USERNAME")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input instead of asking"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        password = _password(options["password_stdin"])
        try:
            tenant, user = create_tenant(options["name"], options["time_zone"], options["admin"], password)
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Made tenant {tenant.name} ({tenant.pk}) with administrator {user.username} ({user.uid}).")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password of the administrator: ")
    if getpass.getpass("The same again: ") != first:
        raise CommandError("The two passwords differ. Nothing was made.")
    return first
