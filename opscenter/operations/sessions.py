"""Signing in and the password, as far as they are remembered. Whether a password is right is Django's to say."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, sentence
from opscenter.operations.actor import Actor
from opscenter.workspaces import audit
from opscenter.workspaces.models import AuditEntry, User


def record_sign_in(actor: Actor) -> None:
    """The user came in by a password."""
    _record(actor.user, actor.face, "session.sign_in", actor.user, actor.address)


def record_sign_out(actor: Actor) -> None:
    """The user left."""
    _record(actor.user, actor.face, "session.sign_out", actor.user, actor.address)


def record_failed_sign_in(username: str, address: str | None) -> None:
    """Somebody gave a wrong password for a user; a name that nobody has belongs to no tenant and leaves no entry."""
    user = User.objects.select_related("tenant").filter(username=username).first()
    if user is not None:
        _record(None, AuditEntry.Face.CONSOLE, "session.sign_in_failed", user, address)


@transaction.atomic
def change_password(actor: Actor, current: str, new: str) -> User:
    """Give the actor another password. Their other sessions end with it.

    Raises:
        Invalid: the current password is wrong, or the new one is too weak; ``field`` names which.
    """
    user = User.objects.select_for_update(no_key=True).select_related("tenant").get(pk=actor.user.pk)
    if not user.check_password(current):
        raise Invalid("password.wrong", field="current")
    check_password_strength(new, user)
    user.set_password(new)
    user.save(update_fields=["password"])
    _record(user, actor.face, "user.change_password", user, actor.address)
    return user


@transaction.atomic
def change_email(actor: Actor, email: str) -> None:
    """Where the actor gets mail; empty: nowhere.

    Raises:
        Invalid: it is no address.
    """
    if email:
        try:
            validate_email(email)
            User._meta.get_field("email").run_validators(email)
        except ValidationError as error:
            raise Invalid("user.no_email", field="email", email=email[:100]) from error
    User.objects.filter(pk=actor.user.pk).update(email=email)
    _record(actor.user, actor.face, "user.change_email", actor.user, actor.address)


def check_password_strength(password: str, user: User) -> None:
    """Raises Invalid with all that is wrong with a new password."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid("password.weak", field="new", problems=error.messages) from error


def _record(actor: User | None, face: AuditEntry.Face, action: str, user: User, address: str | None) -> None:
    audit.record(actor, face, action, tenant=user.tenant, obj=("user", user.uid, user.username), address=address)


@sentence("password.wrong")
def _wrong(params: Mapping[str, Any]) -> str:
    return _("This is not your current password.")


@sentence("user.no_email")
def _no_email(params: Mapping[str, Any]) -> str:
    return _("“%(email)s” is no mail address.") % params


@sentence("password.weak")
def _weak(params: Mapping[str, Any]) -> str:
    return " ".join(params["problems"])
