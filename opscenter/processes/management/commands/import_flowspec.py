"""manage.py import_flowspec: drafts from a FlowSpec document, and tasks from the drafts if wanted."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from opscenter.base.reasons import Refused
from opscenter.operations.actor import Actor
from opscenter.operations.drafts import ImportReport, import_document
from opscenter.operations.publish import PublishRefused, PublishReport, publish
from opscenter.workspaces.models import AuditEntry, User, Workspace
from opscenter.workspaces.roles import OWNER
from workflows.flowspec import BadDocument


class Command(BaseCommand):
    help = "Import a FlowSpec document (JSON) as drafts, and publish them if wanted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the document; - reads standard input")
        parser.add_argument("--workspace", required=True, metavar="W", help="id or name of the workspace")
        parser.add_argument("--user", metavar="NAME", help="who does it (default: the workspace's owner)")
        parser.add_argument("--publish", action="store_true", help="publish the imported nodes")
        parser.add_argument("--message", default="", metavar="TEXT", help="what changes; needed with --publish")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["publish"] and not options["message"].strip():
            raise CommandError("--publish needs --message: say what changes.")
        text = _text(options["file"])
        workspace = _workspace(options["workspace"])
        actor = Actor(_user(workspace, options["user"]), AuditEntry.Face.COMMAND)
        try:
            report = import_document(actor, workspace, text)
        except BadDocument as error:
            raise CommandError("\n".join(["Nothing was imported.", *map(str, error.problems)])) from error
        except Refused as error:
            raise CommandError(f"Nothing was imported. {error}") from error
        self._tell_import(workspace, report)
        if not options["publish"]:
            return
        try:
            published = publish(actor, workspace, report.nodes, options["message"])
        except PublishRefused as error:
            lines = ["The drafts were imported, but nothing was published.", *map(str, error.problems)]
            raise CommandError("\n".join(lines)) from error
        except Refused as error:
            raise CommandError(f"The drafts were imported, but nothing was published. {error}") from error
        self._tell_publication(published)

    def _tell_import(self, workspace: Workspace, report: ImportReport) -> None:
        name = f"workflow {report.workflow.name}" if report.workflow else "nodes without a workflow"
        self.stdout.write(
            f"Imported {name} into {workspace.name}: {len(report.created)} nodes created, "
            f"{len(report.updated)} updated, {len(report.unchanged)} unchanged."
        )
        for warning in report.warnings:
            self.stdout.write(f"Warning: {warning}")

    def _tell_publication(self, report: PublishReport) -> None:
        for task in report.tasks:
            state = "new" if task.pk in report.new else f"version {task.version.number if task.version else 0}"
            self.stdout.write(f"Published {task.name}: task {task.number} ({state}).")
        for workflow in report.workflows:
            self.stdout.write(f"Published the parameters of {workflow.name}: {workflow.parameters or 'none'}.")
        for node in report.unchanged:
            self.stdout.write(f"Left {node.name} as it is in production: task {node.number}.")
        for warning in report.warnings:
            self.stdout.write(f"Warning: {warning}")
        if report.instances:
            self.stdout.write(f"{report.instances} instances of today were made.")


def _text(name: str) -> str:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is not UTF-8 text (byte {error.start}).") from error


def _workspace(wanted: str) -> Workspace:
    """The workspace by its id or its name; names are unique within a tenant only."""
    if wanted.isdecimal():
        found = list(Workspace.objects.filter(pk=int(wanted)))
    else:
        found = list(Workspace.objects.filter(name=wanted).order_by("pk"))
    if not found:
        raise CommandError(f"There is no workspace {wanted}.")
    if len(found) > 1:
        ids = ", ".join(str(workspace.pk) for workspace in found)
        raise CommandError(f"Several tenants have a workspace {wanted}. Give its id: {ids}.")
    return found[0]


def _user(workspace: Workspace, name: str | None) -> User:
    if name:
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {name}.")
        return user
    owner = workspace.members.filter(roles__contains=[OWNER], user__is_active=True).select_related("user").first()
    if owner is None:
        raise CommandError(f"The workspace {workspace.name} has no owner. Name a user with --user.")
    return owner.user
