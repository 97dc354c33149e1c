"""The left navigation, listed once; the menu, the command palette and the workspace switcher are made from it."""

from dataclasses import dataclass
from typing import Any

from django.urls import NoReverseMatch, ResolverMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


@dataclass(frozen=True)
class Item:
    """A page.

    Attributes:
        view: url name; an item whose name does not exist is left out.
        family: prefix of the url names of pages that belong to it, such as the details of what it lists.
        key: keys pressed one after the other that lead to it.
    """

    view: str
    family: str
    name: Promise
    icon: str
    key: str


@dataclass(frozen=True)
class Group:
    """Items under a heading."""

    name: Promise
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Link:
    """An item as shown on a page: with its address, and whether the page belongs to it."""

    item: Item
    url: str
    current: bool


GROUPS: tuple[Group, ...] = (
    Group(
        pgettext_lazy("navigation", "Auto triggered"),
        (
            Item(
                "console:instance_list",
                "console:instance",
                pgettext_lazy("navigation", "Instances"),
                "list-checks",
                "g i",
            ),
            Item("console:task_list", "console:task", pgettext_lazy("navigation", "Tasks"), "calendar-clock", "g t"),
            Item("console:backfill_list", "console:backfill", _("Backfills"), "rewind", "g b"),
            Item("console:test_instance_list", "console:test_instance", _("Test instances"), "flask-conical", "g e"),
        ),
    ),
    Group(
        _("Manually triggered"),
        (
            Item(
                "console:manual_instance_list", "console:manual_instance", _("Manual instances"), "list-checks", "g n"
            ),
            Item("console:manual_task_list", "console:manual_task", _("Manual tasks"), "play", "g l"),
        ),
    ),
    Group(
        _("Authoring"),
        (
            Item("console:workflow_list", "console:workflow", _("Workflows"), "workflow", "g w"),
            Item("console:resource_list", "console:resource", _("Resources"), "package", "g r"),
            Item("console:data_source_list", "console:data_source", _("Data sources"), "database", "g d"),
            Item("console:parameter_list", "console:parameter", _("Parameters"), "code", "g v"),
            Item("console:extension_list", "console:extension", _("My extensions"), "puzzle", "g x"),
        ),
    ),
    Group(
        _("Administration"),
        (
            Item("console:workspace", "console:workspace", _("Workspace"), "settings", "g s"),
            Item("console:member_list", "console:member", _("Members & roles"), "users", "g m"),
            Item("console:group_list", "console:group", _("Resource groups"), "layers", "g o"),
            Item("console:enablement_list", "console:enablement", _("Extensions"), "shield", "g c"),
        ),
    ),
    Group(
        _("History"),
        (
            Item("console:operation_list", "console:operation", _("Operation history"), "history", "g h"),
            Item("console:trigger_call_list", "console:trigger_call", _("Trigger calls"), "plug", "g k"),
            Item("console:audit_list", "console:audit", _("Audit trail"), "scroll-text", "g a"),
        ),
    ),
)


def address(view: str, workspace_id: int, env: str) -> str | None:
    """The address of a page of a workspace, with the environment if the page has one; None if there is no such page."""
    for kwargs in ({"workspace_id": workspace_id, "env": env}, {"workspace_id": workspace_id}):
        try:
            return reverse(view, kwargs=kwargs)
        except NoReverseMatch:
            continue
    return None


def belongs(item: Item, match: ResolverMatch | None, listed_in: str = "") -> bool:
    """Whether the page shown is the item's own or of its family.

    Args:
        listed_in: the list that the object shown is in, where the page's own address does not tell.
    """
    if listed_in:
        return item.view == listed_in
    if match is None:
        return False
    return match.view_name in (item.view, item.family) or match.view_name.startswith(f"{item.family}_")


def links(
    workspace_id: int, env: str, match: ResolverMatch | None, listed_in: str = ""
) -> list[tuple[Promise, list[Link]]]:
    """The groups with the items that exist; a group without any is left out."""
    groups: list[tuple[Promise, list[Link]]] = []
    for group in GROUPS:
        found = [(item, address(item.view, workspace_id, env)) for item in group.items]
        shown = [Link(item, url, belongs(item, match, listed_in)) for item, url in found if url is not None]
        if shown:
            groups.append((group.name, shown))
    return groups


def home(workspace_id: int, env: str) -> str | None:
    """The first page of a workspace."""
    found = (address(item.view, workspace_id, env) for group in GROUPS for item in group.items)
    return next((url for url in found if url is not None), None)


def elsewhere(match: ResolverMatch | None, workspace_id: int, env: str, listed_in: str = "") -> str | None:
    """The same page in another environment; for one object, which may not exist there, the list it belongs to."""
    if match is not None:
        kwargs: dict[str, Any] = match.kwargs
        if set(kwargs) == {"workspace_id", "env"}:
            return address(match.view_name, workspace_id, env)
        for group in GROUPS:
            for item in group.items:
                if belongs(item, match, listed_in) and (url := address(item.view, workspace_id, env)):
                    return url
    return home(workspace_id, env)
