"""The demo's extension: a guard of freezing, registered, reviewed and enabled as anybody's, with an owner of its own."""

import socket
from dataclasses import dataclass

from django.conf import settings

from extensions.models import Extension
from opscenter.operations import enablements, extension_secrets, extensions, members
from opscenter.operations.actor import Actor
from opscenter.processes import guard
from opscenter.processes.demo.cast import Account, Party, actor_of
from opscenter.workspaces.roles import OWNER

NAME = "Freeze guard"
_OWNER, _ROLE = "b-guard", "role_project_guest"
_ANSWER_LIMIT = 60
_PORTS_TO_TRY = 20


@dataclass(frozen=True)
class Guard:
    """The extension, and what its program needs to know.

    Attributes:
        owner: a visitor who asks for nothing, so that its key may answer whoever else asks.
        secret: what its messages are signed with.
    """

    extension: Extension
    owner: Account
    secret: str
    access_key_id: str
    access_key_secret: str


def make(party: Party) -> Guard:
    """Register the guard and see it through to being asked in the party's workspace. Must run in a transaction."""
    workspace = party.workspace
    manager = actor_of(next(account.user for account in party.accounts if account.role == OWNER))
    member, password = members.create_user(manager, workspace, _OWNER, [_ROLE], display_name="Freeze guard (B)")
    owner = actor_of(member.user)
    url = f"http://{guard.HOST}:{_free_port()}/"
    with guard.allowed(url):
        extension, secret = extensions.register(manager, _facts(party, owner, url))
    key, key_secret = extension_secrets.create_key(owner, extension.code)
    for step, actor in (("submit", owner), ("approve", manager), ("publish", owner)):
        extension = extensions.take(step, actor, extension.code)
    limits = enablements.Settings(is_mandatory=True, answer_limit=_ANSWER_LIMIT, silence_blocks=True)
    enablements.enable(party.actor, workspace, extension.code, limits, has_agreed=True)
    return Guard(extension, Account(member.user, password, _ROLE), secret, key.key_id, key_secret)


def _facts(party: Party, owner: Actor, url: str) -> extensions.Facts:
    return extensions.Facts(
        name=NAME,
        webhook_url=url,
        points=["freeze-node", "unfreeze-node"],
        test_workspace=party.workspace,
        owner=owner.user,
        description="Refuses to freeze many tasks at once, and protected ones at all. Its rules are a file; see the tour.",
        allows_mark_passed=True,
    )


def _free_port() -> int:
    """A port for its program, close to the product's own, or any."""
    for port in (*range(settings.PORT + 1, settings.PORT + 1 + _PORTS_TO_TRY), 0):
        with socket.socket() as probe:
            try:
                probe.bind((guard.HOST, port))
            except (OSError, OverflowError):
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")
