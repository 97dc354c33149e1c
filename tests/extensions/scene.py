"""Extensions that are asked: registered, enabled, with a secret; and messages to them."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from extensions import checks, lifecycle
from extensions.envelope import nodes
from extensions.models import Enablement, Event, Extension
from opscenter.workspaces.models import User, Workspace
from tests.cast import Cast

POINT = "freeze-node"


class Scene:
    """A workspace with extensions.

    Attributes:
        secrets: of each extension the newest, by its primary key.
    """

    def __init__(self, name: str = "acme") -> None:
        self.cast = Cast(name)
        self.secrets: dict[int, str] = {}

    def extension(self, url: str, name: str = "guard", **enabled: Any) -> Extension:
        """An extension that is online and enabled in the workspace, as ``enabled`` says."""
        made, secret = online(self.cast.workspace, self.cast.developer, url, name, **enabled)
        self.secrets[made.pk] = secret
        return made

    def event(self, *extensions: Extension, numbers: Sequence[int] = (), words: str = "freeze") -> Event:
        """A message to these extensions, or to all, that no operation waits for."""
        listeners = lifecycle.listeners(self.cast.workspace, POINT)
        if extensions:
            listeners = [one for one in listeners if one.extension in extensions]
        return open_event(self.cast.workspace, self.cast.operator, listeners, numbers, words)


def online(workspace: Workspace, owner: User, url: str, name: str, **enabled: Any) -> tuple[Extension, str]:
    """An extension that is enabled in a workspace, and its secret."""
    made = Extension.objects.create(
        tenant=workspace.tenant,
        owner=owner,
        name=name,
        webhook_url=url,
        points=[POINT],
        test_workspace=workspace,
        status=Extension.Status.ONLINE,
    )
    Enablement.objects.create(extension=made, workspace=workspace, is_enabled=True, **enabled)
    return made, lifecycle.new_secret(made)


@transaction.atomic
def open_event(
    workspace: Workspace,
    operator: User,
    listeners: Sequence[Enablement],
    numbers: Sequence[int] = (),
    words: str = "freeze",
) -> Event:
    """A message to these, that no operation waits for."""
    return checks.open_event(POINT, workspace, "Prod", operator, listeners, nodes(numbers), operation=None, about=words)
