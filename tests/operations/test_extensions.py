"""Who may do what to an extension, in which status: against tables written down here by hand."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from extensions import lifecycle
from extensions.models import Extension, ExtensionSecret
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused, say
from opscenter.operations import extension_messages, extension_secrets, extensions
from opscenter.operations.actions import ACTIONS
from opscenter.operations.actor import Actor
from opscenter.operations.extension_permits import STEPS, step_refusal, visible_to
from opscenter.operations.extensions import Facts
from opscenter.workspaces import access_keys
from opscenter.workspaces.models import AccessKey, AuditEntry, User, Workspace
from tests.cast import ROLES, Cast
from tests.operations.guards import Troupe, actor_of, facts_of, registered, with_status

pytestmark = pytest.mark.django_db
Status = Extension.Status
EVERYBODY = [*ROLES, "keeper", "chief", "stranger", "outsider"]
"""Beside the cast, those of the Troupe; ``keeper`` owns the extension."""

# status: what follows by which step; every other step is refused there
NEXT = {
    Status.TESTING: {"submit": Status.IN_REVIEW, "disable": Status.DISABLED},
    Status.IN_REVIEW: {
        "withdraw": Status.TESTING,
        "approve": Status.APPROVED,
        "refuse": Status.REFUSED,
        "disable": Status.DISABLED,
    },
    Status.REFUSED: {"submit": Status.IN_REVIEW, "disable": Status.DISABLED},
    Status.APPROVED: {"publish": Status.ONLINE, "reopen": Status.TESTING, "disable": Status.DISABLED},
    Status.ONLINE: {"disable": Status.DISABLED},
    Status.DISABLED: {"reopen": Status.TESTING},
}
# step: from where it is tried, and who may
WHO = {
    "submit": (Status.TESTING, {"keeper"}),
    "withdraw": (Status.IN_REVIEW, {"keeper"}),
    "approve": (Status.IN_REVIEW, {"chief"}),
    "refuse": (Status.IN_REVIEW, {"chief"}),
    "publish": (Status.APPROVED, {"keeper", "chief"}),
    "reopen": (Status.DISABLED, {"keeper", "chief"}),
    "disable": (Status.ONLINE, {"keeper", "chief"}),
}
CHANGES: dict[str, Callable[[Actor, Extension], Any]] = {
    "update": lambda actor, one: extensions.update(actor, one.code, replace(facts_of(one), description="x")),
    "rotate_secret": lambda actor, one: extension_secrets.rotate_secret(actor, one.code),
    "create_key": lambda actor, one: extension_secrets.create_key(actor, one.code),
    "revoke_key": lambda actor, one: extension_secrets.revoke_key(actor, one.code, one.keys.get().access_key_id),
    "test": lambda actor, one: extension_messages.send_test(actor, one.code, "freeze-node"),
}
"""What its owner and administrators of the tenant may do, and nobody else."""


@pytest.fixture
def cast() -> Troupe:
    return Troupe()


@pytest.fixture
def guard(cast: Troupe) -> Extension:
    """An extension in the status Testing, owned by ``keeper``."""
    return registered(cast, owner=cast.keeper)


def sees(who: str, status: Extension.Status) -> bool:
    """Whether somebody may see the details of an extension in a status, whose test workspace is theirs."""
    return who in ("keeper", "chief") or (who in ("owner", "admin") and status != Status.DISABLED)


def test_the_tables_name_every_step_and_status() -> None:
    assert set(WHO) == set(STEPS)
    assert set(NEXT) == set(Status)
    assert {
        status: {Status(after) for after in steps.values()} for status, steps in NEXT.items()
    } == lifecycle.NEXT_STATUS


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", list(Status))
def test_every_transition(cast: Troupe, guard: Extension, status: Extension.Status, step: str) -> None:
    with_status(guard, status)
    who = cast.keeper if "keeper" in WHO[step][1] else cast.chief
    button = step_refusal(STEPS[step], actor_of(who), guard)
    if step in NEXT[status]:
        assert button is None
        assert extensions.take(step, actor_of(who), guard.code, "looks right").status == NEXT[status][step]
        assert AuditEntry.objects.latest("pk").action == f"extension.{step}"
        return
    with pytest.raises(Refused) as error:
        extensions.take(step, actor_of(who), guard.code, "looks right")
    assert error.value.reason.code == "extension.step"
    assert button == error.value.reason
    assert str(STEPS[step].name) in str(error.value) and str(status.label) in str(error.value)
    guard.refresh_from_db()
    assert guard.status == status


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("step", WHO)
def test_who_may_take_which_step(cast: Troupe, guard: Extension, step: str, who: str) -> None:
    before, may = WHO[step]
    with_status(guard, before)
    AuditEntry.objects.all().delete()
    actor = actor_of(getattr(cast, who))
    if who in may:
        extensions.take(step, actor, guard.code, "because")
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action, entry.address) == (actor.user, f"extension.{step}", "10.1.2.3")
        assert (entry.workspace, entry.object_id) == (cast.workspace, guard.code)
        return
    with pytest.raises(Forbidden if sees(who, before) else NotFound) as error:
        extensions.take(step, actor, guard.code, "because")
    if not sees(who, before):
        assert error.value.reason.code == "extension.unknown"
    assert say(error.value.reason.code, error.value.reason.params) != error.value.reason.code
    assert not AuditEntry.objects.exists()
    guard.refresh_from_db()
    assert guard.status == before


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("change", CHANGES)
def test_who_may_change_it(cast: Troupe, guard: Extension, change: str, who: str) -> None:
    lifecycle.new_key(guard)
    AuditEntry.objects.all().delete()
    actor = actor_of(getattr(cast, who))
    if who in ("keeper", "chief"):
        CHANGES[change](actor, guard)
        assert AuditEntry.objects.get().action == f"extension.{change}"
        return
    expected = "extension.not_yours" if sees(who, Status.TESTING) else "extension.unknown"
    with pytest.raises((Forbidden, NotFound)) as error:
        CHANGES[change](actor, guard)
    assert error.value.reason.code == expected
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("status", list(Status))
def test_who_sees_it(cast: Troupe, guard: Extension, who: str, status: Extension.Status) -> None:
    with_status(guard, status)
    assert visible_to(actor_of(getattr(cast, who))).filter(pk=guard.pk).exists() is sees(who, status)


def test_managers_elsewhere_see_it_only_once_it_is_online(cast: Troupe, guard: Extension) -> None:
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    manager = cast.user("manager")
    elsewhere.members.create(user=manager, roles=["role_project_admin"])
    seen = {}
    for status in Status:
        with_status(guard, status)
        seen[status] = visible_to(actor_of(manager)).exists()
    assert [status for status in Status if seen[status]] == [Status.ONLINE]
    with_status(guard, Status.DISABLED)
    guard.enablements.create(workspace=elsewhere, is_enabled=True)
    assert visible_to(actor_of(manager)).get() == guard  # so that they find out why it is silent


@pytest.mark.parametrize("who", EVERYBODY)
def test_who_may_register(cast: Troupe, who: str) -> None:
    actor = actor_of(getattr(cast, who))
    facts = Facts("Guard", "https://guard.example.com/hook", ["freeze-node"], cast.workspace)
    if who in ("owner", "admin", "developer"):
        made, _secret = extensions.register(actor, facts)
        assert (made.owner, made.tenant, made.status) == (actor.user, cast.tenant, Status.TESTING)
        entry = AuditEntry.objects.get()
        assert (entry.action, entry.object_name) == ("extension.register", "Guard")
        assert "Before freezing tasks" in ACTIONS[entry.action].details(entry.params)
        return
    is_member = who in ROLES or who == "keeper"
    with pytest.raises(Forbidden if is_member else NotFound):
        extensions.register(actor, facts)
    assert not Extension.objects.exists()


WRONG: dict[str, tuple[str, Any, str, str]] = {
    "no name": ("name", "   ", "name", "extension.name"),
    "control character": ("name", "a\nb", "name", "extension.name"),
    "long name": ("name", "x" * 129, "name", "extension.too_long"),
    "long description": ("description", "x" * 1001, "description", "extension.too_long"),
    "no url": ("webhook_url", "", "webhook_url", "outbound.scheme"),
    "file url": ("webhook_url", "file:///etc/passwd", "webhook_url", "outbound.scheme"),
    "user in url": ("webhook_url", "https://a:b@guard.example.com/", "webhook_url", "outbound.userinfo"),
    "loopback": ("webhook_url", "http://127.0.0.1/", "webhook_url", "outbound.address"),
    "metadata": ("webhook_url", "http://169.254.169.254/", "webhook_url", "outbound.address"),
    "short loopback": ("webhook_url", "http://2130706433/", "webhook_url", "outbound.address"),
    "no points": ("points", [], "points", "extension.no_points"),
    "unknown point": ("points", ["freeze-node", "boil-node"], "points", "extension.point_unknown"),
    "script": ("detail_url", "javascript:alert(1)", "detail_url", "extension.link"),
    "data": ("help_url", "data:text/html,x", "help_url", "extension.link"),
    "relative": ("help_url", "//example.com/", "help_url", "extension.link"),
    "space": ("help_url", "https://example.com/a b", "help_url", "extension.link"),
    "quote": ("help_url", 'https://example.com/"onload=x', "help_url", "extension.link"),
    "broken": ("help_url", "https://[::1", "help_url", "extension.link"),
    "long link": ("help_url", "https://example.com/" + "x" * 2048, "help_url", "extension.link"),
}


@pytest.mark.parametrize("case", WRONG)
def test_facts_that_cannot_be(cast: Troupe, case: str) -> None:
    name, value, field, code = WRONG[case]
    facts = Facts("Guard", "https://guard.example.com/hook", ["freeze-node"], cast.workspace)
    with pytest.raises(Invalid) as error:
        extensions.register(actor_of(cast.owner), replace(facts, **{name: value}))
    assert (error.value.reason.params["field"], error.value.reason.code) == (field, code)
    assert str(error.value) != code
    assert not Extension.objects.exists() and not AuditEntry.objects.exists()


def test_a_name_is_taken_once_in_a_tenant(cast: Troupe, guard: Extension) -> None:
    with pytest.raises(Invalid) as error:
        registered(cast, owner=cast.owner)
    assert error.value.reason.code == "extension.name_taken"
    other = Cast("rivals")
    assert registered(other, owner=other.owner).name == guard.name


def test_owners_are_members_of_the_test_workspace(cast: Troupe, guard: Extension) -> None:
    for user in (cast.outsider, cast.stranger):
        with pytest.raises(Invalid) as error:
            extensions.update(actor_of(cast.keeper), guard.code, replace(facts_of(guard), owner=user))
        assert error.value.reason.code == "extension.owner"
    made = extensions.update(actor_of(cast.keeper), guard.code, replace(facts_of(guard), owner=cast.visitor))
    assert made.owner == cast.visitor
    with pytest.raises(NotFound):  # and it is theirs no more
        extensions.update(actor_of(cast.keeper), guard.code, facts_of(made))


def test_an_owner_who_left_does_not_keep_it_from_being_changed(cast: Troupe, guard: Extension) -> None:
    guard.owner.memberships.all().delete()
    assert extensions.update(actor_of(cast.chief), guard.code, replace(facts_of(guard), name="New")).name == "New"


def test_another_test_workspace_needs_the_right_to_register_there(cast: Troupe, guard: Extension) -> None:
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    facts = replace(facts_of(guard), test_workspace=elsewhere)
    with pytest.raises(NotFound):
        extensions.update(actor_of(guard.owner), guard.code, facts)
    member = elsewhere.members.create(user=guard.owner, roles=["role_project_guest"])
    with pytest.raises(Forbidden):
        extensions.update(actor_of(guard.owner), guard.code, facts)
    member.roles = ["role_project_dev"]
    member.save()
    assert extensions.update(actor_of(guard.owner), guard.code, facts).test_workspace == elsewhere


REVIEWED = {Status.IN_REVIEW, Status.APPROVED, Status.ONLINE}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize(
    ("field", "value"), [("webhook_url", "https://new.example.com/"), ("points", ["unfreeze-node"])]
)
def test_what_was_reviewed_is_changed_by_administrators_alone(
    cast: Troupe, guard: Extension, status: Extension.Status, field: str, value: Any
) -> None:
    with_status(guard, status)
    facts = replace(facts_of(guard), **{field: value})
    if status in REVIEWED:
        with pytest.raises(Forbidden) as error:
            extensions.update(actor_of(guard.owner), guard.code, facts)
        assert error.value.reason.code == "extension.reviewed"
        assert error.value.reason.params["field"] == field
        assert str(status.label) in str(error.value)
        extensions.update(actor_of(guard.owner), guard.code, replace(facts_of(guard), description="other"))
        extensions.update(actor_of(cast.chief), guard.code, facts)
    else:
        extensions.update(actor_of(guard.owner), guard.code, facts)
    guard.refresh_from_db()
    assert getattr(guard, field) == value


def test_a_saved_address_is_tried_again(cast: Troupe, guard: Extension) -> None:
    Extension.objects.filter(pk=guard.pk).update(gone_at=guard.created_at)
    extensions.update(actor_of(guard.owner), guard.code, facts_of(guard))
    guard.refresh_from_db()
    assert guard.gone_at is None and guard.modified_by == guard.owner


def test_refusing_asks_why_and_keeps_it(cast: Troupe, guard: Extension) -> None:
    chief = actor_of(cast.chief)
    with_status(guard, Status.IN_REVIEW)
    for comment, code in (("  ", "extension.comment_missing"), ("x" * 1001, "operation.comment")):
        with pytest.raises(Invalid) as error:
            extensions.take("refuse", chief, guard.code, comment)
        assert error.value.reason.code == code
    made = extensions.take("refuse", chief, guard.code, " no documentation ")
    assert (made.reviewer, made.review_comment) == (cast.chief, "no documentation")
    assert AuditEntry.objects.latest("pk").params == {"comment": "no documentation"}


def test_the_secret_is_told_once_and_kept_encrypted(cast: Troupe) -> None:
    facts = Facts("Guard", "https://guard.example.com/hook", ["freeze-node"], cast.workspace)
    guard, secret = extensions.register(actor_of(cast.owner), facts)
    assert secret.startswith("whsec_")
    row = ExtensionSecret.objects.get()
    assert secret not in row.secret and secret[6:] not in row.secret
    assert lifecycle.valid_secrets(guard) == [secret]
    assert secret not in str(list(AuditEntry.objects.values()))


def test_a_rotated_secret_stays_valid_for_a_day(cast: Troupe, guard: Extension) -> None:
    first = lifecycle.valid_secrets(guard)[0]
    _, second = extension_secrets.rotate_secret(actor_of(guard.owner), guard.code)
    assert lifecycle.valid_secrets(guard) == [second, first]
    old, new = guard.secrets.order_by("pk")
    assert new.expires_at is None and old.expires_at is not None
    assert abs((old.expires_at - new.created_at) - lifecycle.ROTATION).total_seconds() < 5
    guard.secrets.filter(pk=old.pk).update(expires_at=old.created_at)
    assert lifecycle.valid_secrets(guard) == [second]
    assert second not in str(list(AuditEntry.objects.values()))


def test_secrets_are_not_rotated_without_end(cast: Troupe, guard: Extension) -> None:
    for _ in range(extension_secrets.MOST_SECRETS - 1):
        extension_secrets.rotate_secret(actor_of(guard.owner), guard.code)
    with pytest.raises(Invalid) as error:
        extension_secrets.rotate_secret(actor_of(guard.owner), guard.code)
    assert error.value.reason.code == "extension.too_many_secrets"
    assert len(lifecycle.valid_secrets(guard)) == extension_secrets.MOST_SECRETS


def test_keys_answer_for_the_extension_and_may_do_nothing_else(cast: Troupe, guard: Extension) -> None:
    key, secret = extension_secrets.create_key(actor_of(cast.chief), guard.code)
    assert (key.scope, key.user) == (AccessKey.Scope.CALLBACK, guard.owner)
    assert secret not in key.secret and access_keys.secret_of(key) == secret
    assert lifecycle.speaks_for(guard, key.user, key.key_id)
    other = registered(cast, owner=guard.owner, name="Other")
    assert not lifecycle.speaks_for(other, key.user, key.key_id)  # although its owner is the key's user
    entry = AuditEntry.objects.get(action="extension.create_key")
    assert ACTIONS[entry.action].details(entry.params) == key.key_id and secret not in str(entry.params)


def test_keys_are_few_and_end_for_good(cast: Troupe, guard: Extension) -> None:
    keeper = actor_of(guard.owner)
    keys = [extension_secrets.create_key(keeper, guard.code)[0] for _ in range(extension_secrets.MOST_KEYS)]
    with pytest.raises(Invalid) as error:
        extension_secrets.create_key(keeper, guard.code)
    assert error.value.reason.code == "extension.too_many_keys"
    for _ in range(2):
        assert extension_secrets.revoke_key(keeper, guard.code, keys[0].pk).revoked_at is not None
    assert AuditEntry.objects.filter(action="extension.revoke_key").count() == 1
    extension_secrets.create_key(keeper, guard.code)
    foreign = registered(cast, owner=cast.owner, name="Other")
    for pk in (lifecycle.new_key(foreign)[0].pk, access_keys.create(guard.owner)[0].pk):
        with pytest.raises(NotFound) as unknown:
            extension_secrets.revoke_key(keeper, guard.code, pk)
        assert unknown.value.reason.code == "extension.key_unknown"


def test_keys_go_with_the_extension_to_its_new_owner(cast: Troupe, guard: Extension) -> None:
    key, _secret = extension_secrets.create_key(actor_of(guard.owner), guard.code)
    extensions.update(actor_of(guard.owner), guard.code, replace(facts_of(guard), owner=cast.visitor))
    User.objects.filter(pk=cast.keeper.pk).update(is_active=False)
    key = AccessKey.objects.select_related("user").get(pk=key.pk)
    assert key.user == cast.visitor and access_keys.is_active(key)


def test_commands_own_the_installation(cast: Troupe, guard: Extension) -> None:
    with_status(guard, Status.IN_REVIEW)
    actor = Actor(cast.visitor, AuditEntry.Face.COMMAND)
    assert extensions.take("approve", actor, guard.code).status == Status.APPROVED
    with pytest.raises(NotFound):  # of their own tenant
        extensions.take("publish", Actor(cast.stranger, AuditEntry.Face.COMMAND), guard.code)
