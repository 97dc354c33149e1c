"""Extensions for tests, made by the operations themselves."""

from dataclasses import dataclass, field
from typing import Any

from extensions.models import Extension
from opscenter.operations import enablements, extensions
from opscenter.operations.actor import Actor
from opscenter.operations.enablements import Settings
from opscenter.operations.extensions import Facts
from opscenter.workspaces.models import AuditEntry, User
from tests.cast import Cast


@dataclass
class Troupe(Cast):
    """The cast, and who else has to do with extensions.

    Attributes:
        keeper: a Visitor of the workspace; owns extensions here.
        chief: administers the tenant and is a member of nothing.
        outsider: of the tenant, and a member of nothing.
    """

    keeper: User = field(init=False)
    chief: User = field(init=False)
    outsider: User = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.keeper = self.user("keeper", "role_project_guest")
        self.outsider = self.user("outsider")
        self.chief = self.user("chief")
        self.chief.is_tenant_admin = True
        self.chief.save()


def actor_of(user: User) -> Actor:
    """The user at the console."""
    return Actor(user=user, face=AuditEntry.Face.CONSOLE, address="10.1.2.3")


def registered(cast: Cast, owner: User, name: str = "Guard", **facts: Any) -> Extension:
    """An extension that is registered in the cast's workspace and listens to freezing."""
    values = {"webhook_url": "https://guard.example.com/hook", "points": ["freeze-node"]} | facts
    wanted = Facts(name=name, test_workspace=cast.workspace, owner=owner, **values)
    return extensions.register(actor_of(cast.owner), wanted)[0]


def facts_of(extension: Extension) -> Facts:
    """What is said of an extension now."""
    return Facts(
        name=extension.name,
        webhook_url=extension.webhook_url,
        points=extension.points,
        test_workspace=extension.test_workspace,
        owner=extension.owner,
        description=extension.description,
        detail_url=extension.detail_url,
        help_url=extension.help_url,
        allows_mark_passed=extension.allows_mark_passed,
    )


def with_status(extension: Extension, status: Extension.Status) -> Extension:
    """The extension, put into a status without the steps that lead there."""
    Extension.objects.filter(pk=extension.pk).update(status=status)
    extension.refresh_from_db()
    return extension


def enabled(cast: Cast, extension: Extension, **settings: Any) -> Extension:
    """The extension, enabled in the cast's workspace."""
    enablements.enable(actor_of(cast.admin), cast.workspace, extension.code, Settings(**settings), has_agreed=True)
    return extension
