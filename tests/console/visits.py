"""Visiting the console as one of the cast."""

from typing import Any

from django.test import Client
from django.urls import reverse

from opscenter.workspaces.models import User
from tests.cast import Cast


def as_user(user: User | None, **options: Any) -> Client:
    """A browser in which the user is signed in; None for somebody who is not."""
    client = Client(**options)
    if user is not None:
        client.force_login(user)
    return client


def url(cast: Cast, view: str, env: str = "prod", **kwargs: Any) -> str:
    """The address of a page of the cast's workspace."""
    return reverse(f"console:{view}", kwargs={"workspace_id": cast.workspace.pk, "env": env} | kwargs)
