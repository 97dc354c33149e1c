"""Importing a FlowSpec document: all of it becomes drafts, or nothing does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base import clock
from opscenter.base.reasons import Invalid, Refused, sentence
from opscenter.operations.actor import Actor
from opscenter.operations.permits import require
from opscenter.production import http_settings
from opscenter.production.models import DataSource, ResourceGroup, SharedParameter
from opscenter.production.node_types import HTTP
from opscenter.workspaces import audit
from opscenter.workspaces.models import User, Workspace
from opscenter.workspaces.roles import Permission
from workflows import flowspec
from workflows.definitions import NodeDefinition
from workflows.flowspec import Document, DocumentWorkflow, Problem, Severity
from workflows.models import Node, NodeVersion, Workflow

_BATCH = 500


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        workflow: None when the document's nodes stand on their own.
        nodes: all nodes of the document, in its order; the other three are parts of it.
        warnings: what was read otherwise than written, each with its place.
    """

    workflow: Workflow | None
    nodes: tuple[Node, ...]
    created: tuple[Node, ...]
    updated: tuple[Node, ...]
    unchanged: tuple[Node, ...]
    warnings: tuple[Problem, ...]


@transaction.atomic
def import_document(actor: Actor, workspace: Workspace, text: str) -> ImportReport:
    """Make drafts of a FlowSpec document, or update those of an earlier import of it.

    Nodes are recognised by their id in the document, the workflow by its id or else its name. A node that is as it was
    gets no new version; one whose owner the document does not name, or names wrongly, keeps the owner it had.

    Raises:
        NotFound, Forbidden: the actor may not develop in the workspace.
        BadDocument: the document was refused; the error names every place and reason.
        Refused: the workspace has another workflow of this name.
    """
    member = require(actor, workspace, Permission.DEVELOP)
    sources = DataSource.objects.filter(workspace=workspace).values_list("name", flat=True)
    shared = SharedParameter.objects.filter(workspace=workspace).values_list("name", flat=True)
    document = flowspec.read(text, frozenset(sources), frozenset(shared))
    workspace = member.workspace
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)  # one import at a time
    resolver = _Resolver(workspace, actor.user, document)
    workflow = _workflow(workspace, document.workflow, resolver, actor.user)
    report = _Import(actor.user, workspace, workflow, document, resolver, clock.now()).run()
    audit.record(
        actor.user,
        actor.face,
        "workflow.import",
        workspace=workspace,
        obj=("workflow", workflow.pk, workflow.name) if workflow else ("workspace", workspace.pk, workspace.name),
        params={
            "created": [node.name for node in report.created],
            "updated": [node.name for node in report.updated],
            "unchanged": len(report.unchanged),
            "warnings": len(report.warnings),
        },
        address=actor.address,
    )
    return report


class _Resolver:
    """Finds what a document names in the workspace, and warns where it has to take something else."""

    def __init__(self, workspace: Workspace, importer: User, document: Document) -> None:
        self.importer = importer
        self.warnings: list[Problem] = []
        self._owners = self._known_owners(workspace, document.owners)
        groups = ResourceGroup.objects.filter(tenant=workspace.tenant, name__in=document.resource_groups)
        self._groups = set(groups.values_list("name", flat=True))
        for owner, path in document.owners.items():
            if owner not in self._owners:
                self.warn(path, "import.owner_unknown", owner=owner, importer=importer.username)
        for group, path in document.resource_groups.items():
            if group not in self._groups:
                self.warn(path, "import.resource_group_unknown", group=group, default=ResourceGroup.DEFAULT)
        for zone, path in document.time_zones.items():
            if zone != workspace.tenant.time_zone:
                self.warn(path, "import.time_zone", zone=zone, tenant=workspace.tenant.time_zone)

    @staticmethod
    def _known_owners(workspace: Workspace, owners: Mapping[str, str]) -> dict[str, User]:
        """Members of the workspace by the name or the number that the document gives."""
        members = User.objects.filter(memberships__workspace=workspace, is_active=True)
        by_uid = {str(user.uid): user for user in members if str(user.uid) in owners}
        return by_uid | {user.username: user for user in members if user.username in owners}

    def warn(self, path: str, code: str, **params: Any) -> None:
        """Note a warning at a place of the document."""
        self.warnings.append(Problem(Severity.WARNING, path, code, params))

    def owner(self, written: str, before: User | None) -> User:
        """The member who is meant; else who owned it ``before``, or whoever imports."""
        return self._owners.get(written) or before or self.importer

    def settle(self, definition: NodeDefinition, owner: User) -> NodeDefinition:
        """The definition with this owner, and with a resource group that exists here."""
        group = definition.resource_group if definition.resource_group in self._groups else ""
        return replace(definition, owner=owner.username, resource_group=group)


def _workflow(
    workspace: Workspace, described: DocumentWorkflow | None, resolver: _Resolver, importer: User
) -> Workflow | None:
    """The draft workflow of a document, made or brought up to date."""
    if described is None:
        return None
    of_workspace = Workflow.objects.filter(workspace=workspace)
    named = of_workspace.filter(name=described.name).first()
    found = of_workspace.filter(source_id=described.source_id).first() if described.source_id else named
    if found is None and named is not None and not named.source_id:
        found = named
    if named is not None and named != found:
        raise Refused("import.workflow_name_taken", name=described.name, source_id=named.source_id)
    values = {
        "name": described.name,
        "description": described.description,
        "parameters": described.parameters,
        "source_id": described.source_id or (found.source_id if found else ""),
        "owner": resolver.owner(described.owner, found.owner if found else None),
    }
    if found is None:
        return Workflow.objects.create(workspace=workspace, modified_by=importer, **values)
    if any(getattr(found, name) != value for name, value in values.items()):
        values |= {"modified_at": clock.now(), "modified_by": importer}
        for name, value in values.items():
            setattr(found, name, value)
        found.save(update_fields=list(values))
    return found


@dataclass
class _Import:
    """Compares a document's nodes with the drafts, and writes what differs."""

    importer: User
    workspace: Workspace
    workflow: Workflow | None
    document: Document
    resolver: _Resolver
    now: datetime

    def run(self) -> ImportReport:
        known = self._known()
        created: list[Node] = []
        updated: list[Node] = []
        unchanged: list[Node] = []
        for written in self.document.nodes:
            node = known.get(written.source_id)
            owner = self.resolver.owner(written.owner, node.owner if node else None)
            definition = _sealed(self.resolver.settle(written, owner), node)
            if node is None:
                created.append(self._filled(Node(workspace=self.workspace, version=1), definition, owner))
            elif NodeDefinition.from_json(node.definition) == definition and node.workflow == self.workflow:
                unchanged.append(node)
            else:
                self._warn_if_moved(node)
                node.version += 1
                updated.append(self._filled(node, definition, owner))
        self._save(created, updated)
        self._warn_of_left()
        by_source = {node.source_id: node for node in (*created, *updated, *unchanged)}
        return ImportReport(
            workflow=self.workflow,
            nodes=tuple(by_source[definition.source_id] for definition in self.document.nodes),
            created=tuple(created),
            updated=tuple(updated),
            unchanged=tuple(unchanged),
            warnings=(*self.document.warnings, *self.resolver.warnings),
        )

    def _known(self) -> dict[str, Node]:
        ids = [definition.source_id for definition in self.document.nodes]
        nodes = Node.objects.filter(workspace=self.workspace, source_id__in=ids).select_related(
            "workflow", "workspace", "owner"
        )
        return {node.source_id: node for node in nodes.select_for_update(of=("self",), no_key=True).order_by("pk")}

    def _filled(self, node: Node, definition: NodeDefinition, owner: User) -> Node:
        node.workflow = self.workflow
        node.name = definition.name
        node.node_type = definition.type
        node.source_id = definition.source_id
        node.owner = owner
        node.definition = definition.as_json()
        node.modified_at = self.now
        node.modified_by = self.importer
        return node

    def _save(self, created: Sequence[Node], updated: Sequence[Node]) -> None:
        Node.objects.bulk_create(created, batch_size=_BATCH)
        fields = ("workflow", "name", "node_type", "owner", "definition", "version", "modified_at", "modified_by")
        Node.objects.bulk_update(updated, fields, batch_size=_BATCH)
        NodeVersion.objects.bulk_create(
            [
                NodeVersion(node=node, number=node.version, definition=node.definition, saved_by=self.importer)
                for node in (*created, *updated)
            ],
            batch_size=_BATCH,
        )

    def _warn_if_moved(self, node: Node) -> None:
        if node.workflow is not None and node.workflow != self.workflow:
            path = self.document.paths[node.source_id]
            self.resolver.warn(path, "import.node_moved", node=node.name, workflow=node.workflow.name)

    def _warn_of_left(self) -> None:
        """Nodes of the workflow that the document no longer has stay as they are."""
        if self.workflow is None:
            return
        ids = [definition.source_id for definition in self.document.nodes]
        left = Node.objects.filter(workflow=self.workflow).exclude(source_id__in=ids).order_by("name")
        for name in left.values_list("name", flat=True):
            self.resolver.warn("", "import.node_left", node=name)


@transaction.atomic
def save_node(
    actor: Actor,
    workspace: Workspace,
    definition: NodeDefinition,
    *,
    workflow: Workflow | None = None,
    node: Node | None = None,
    message: str = "",
) -> Node:
    """Save one draft node as somebody wrote it: a new one of the workflow, or the next version of ``node``.

    A draft that is as it was gets no new version. Production stays as it is until the node is published.

    Args:
        node: as it was read when the writing began.

    Raises:
        NotFound, Forbidden: the actor may not develop in the workspace.
        Refused: somebody else has saved the node since.
        Invalid: a stored secret would be sent elsewhere; ``setting`` names which.
    """
    member = require(actor, workspace, Permission.DEVELOP)
    now = clock.now()
    if node is None:
        definition = _sealed(replace(definition, owner=actor.user.username), None)
        found = Node(workspace=member.workspace, workflow=workflow, version=1, owner=actor.user)
    else:
        found = Node.objects.select_for_update(no_key=True).get(pk=node.pk, workspace=member.workspace)
        if found.version != node.version:
            raise Refused("draft.saved_since", node=found.name)
        definition = _sealed(definition, found)
        if NodeDefinition.from_json(found.definition) == definition:
            return found
        found.version += 1
    found.name, found.node_type, found.source_id = definition.name, definition.type, definition.source_id
    found.definition, found.modified_at, found.modified_by = definition.as_json(), now, actor.user
    found.save()
    NodeVersion.objects.create(
        node=found, number=found.version, definition=found.definition, saved_by=actor.user, message=message
    )
    audit.record(
        actor.user,
        actor.face,
        "node.save",
        workspace=member.workspace,
        obj=("node", found.pk, found.name),
        params={"version": found.version},
        address=actor.address,
    )
    return found


def _sealed(definition: NodeDefinition, node: Node | None) -> NodeDefinition:
    """The definition as it may be stored: an HTTP node's secrets encrypted, those that have not changed as they were.

    Raises:
        Invalid: a stored secret would be sent elsewhere.
    """
    if definition.type != HTTP.code:
        return definition
    before = str(node.definition.get("content", "")) if node is not None else ""
    if moved := http_settings.moved_secrets(definition.content, before):
        raise Invalid("http.secret_again", node=definition.name, setting=", ".join(moved))
    return replace(definition, content=http_settings.seal(definition.content, before))


def _sentence(code: str, text: Callable[[], str]) -> None:
    sentence(code)(lambda params: text() % params)


_sentence(
    "import.owner_unknown",
    lambda: _("The owner “%(owner)s” is no member of this workspace; new nodes get “%(importer)s”."),
)
_sentence(
    "import.resource_group_unknown",
    lambda: _("There is no resource group “%(group)s”; “%(default)s” is used."),
)
_sentence(
    "import.time_zone",
    lambda: _("The document's times are of the zone %(zone)s; here they are read as times of %(tenant)s."),
)
_sentence(
    "import.node_moved",
    lambda: _("The node “%(node)s” was in the workflow “%(workflow)s” and was moved, since its id is the same."),
)
_sentence(
    "import.node_left",
    lambda: _("The node “%(node)s” of this workflow is not in the document; it stays as it is."),
)
_sentence(
    "draft.saved_since",
    lambda: _("Somebody else has saved “%(node)s” since this form was opened. Open it again to see what changed."),
)
_sentence(
    "import.workflow_name_taken",
    lambda: _("The workspace has another workflow “%(name)s” already (id %(source_id)s). Rename one of them."),
)
