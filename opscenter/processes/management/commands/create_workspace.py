"""``manage.py create_workspace``: a workspace of a tenant, owned by one of its users."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from opscenter.base.reasons import Refused
from opscenter.operations.actor import Actor
from opscenter.operations.workspaces import create
from opscenter.workspaces.models import AuditEntry, User, Workspace


class Command(BaseCommand):
    help = "Make a workspace with its root tasks; the given user becomes its owner."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--owner", required=True, metavar="USERNAME", help="the workspace is of this user's tenant")
        parser.add_argument("--mode", choices=Workspace.Mode.values, default=Workspace.Mode.STANDARD.value)
        parser.add_argument("--display-name", default="", metavar="TEXT")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = User.objects.select_related("tenant").filter(username=options["owner"], is_active=True).first()
        if owner is None:
            raise CommandError(f"There is no active user {options['owner']}. Make a tenant first: create_tenant.")
        actor = Actor(user=owner, face=AuditEntry.Face.COMMAND)
        try:
            workspace = create(actor, options["name"], display_name=options["display_name"], mode=options["mode"])
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Made workspace {workspace.name} ({workspace.pk}) of tenant {owner.tenant.name}.")
