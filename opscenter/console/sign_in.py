"""Signing in with a password, a limited number of times. The answer never tells whether a name exists."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base import clock
from opscenter.base.reasons import Invalid, sentence
from opscenter.console.models import SignInAttempt
from opscenter.operations import sessions
from opscenter.workspaces.models import User

WINDOW = timedelta(minutes=10)
PER_ACCOUNT = 10
"""Failures of one name from one address within the window."""

PER_ADDRESS = 100
"""Failures from one address within the window, whatever the names: many people may share an address."""


def check(request: HttpRequest, username: str, password: str) -> User:
    """The user whose name and password these are.

    The attempt is counted before the password is looked at, so that many at once do not slip through.

    Raises:
        Invalid: wrong, the same for a name that nobody has; or too many attempts, then the password is not looked at.
    """
    address = request.META.get("REMOTE_ADDR") or ""
    name = username[:63]
    attempt = SignInAttempt.objects.create(username=name, address=address)
    since = clock.now() - WINDOW
    recent = SignInAttempt.objects.filter(address=address, at__gt=since)
    of_account = recent.filter(username=name)
    if of_account.count() > PER_ACCOUNT or recent.count() > PER_ADDRESS:
        attempt.delete()  # waiting is not made longer by trying
        raise Invalid("sign_in.wait", minutes=int(WINDOW.total_seconds() // 60))
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        sessions.record_failed_sign_in(name, address or None)
        SignInAttempt.objects.filter(at__lte=since).delete()
        raise Invalid("sign_in.wrong")
    of_account.delete()
    return user


@sentence("sign_in.wrong")
def _wrong(params: Mapping[str, Any]) -> str:
    return _("The user name or the password is wrong.")


@sentence("sign_in.wait")
def _wait(params: Mapping[str, Any]) -> str:
    return ngettext(
        "Too many attempts. Wait %(minutes)s minute and try again.",
        "Too many attempts. Wait %(minutes)s minutes and try again.",
        params["minutes"],
    ) % {"minutes": params["minutes"]}
