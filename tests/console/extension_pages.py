"""Visiting the pages of extensions."""

from typing import Any

from tests.console.visits import as_user, url
from tests.operations.guards import Troupe

PARTIAL = {"HX-Request": "true"}
"""Headers of a request for a part of a page."""


def page(cast: Troupe, who: str, view: str, query: str = "", **kwargs: Any) -> str:
    """The text of a page that somebody of the troupe may open."""
    answer = as_user(getattr(cast, who)).get(url(cast, view, **kwargs) + query)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()
