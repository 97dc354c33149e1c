"""Keyset pages: a page starts after (or ends before) a row, so rows that come and go shift nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, sentence

SIZE = 50
"""Rows of a page."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Page(Generic[M]):
    """Rows, the latest first, and the cursors of the neighbouring pages; None where there is none."""

    rows: list[M]
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Order:
    """Descending order by a moment (if ``moment`` is given) and a unique number.

    Attributes:
        moment: name of a datetime field.
        number: name of a unique integer field.
    """

    number: str = "pk"
    moment: str | None = None

    def cursor(self, row: Model) -> str:
        """The place of a row, as a part of an address."""
        number = str(getattr(row, self.number))
        return f"{_microseconds(getattr(row, self.moment))}.{number}" if self.moment else number

    def read(self, text: str) -> list[Any]:
        """The values a cursor stands for.

        Raises:
            Invalid: the text is no cursor of this order.
        """
        parts = text.split(".")
        expected = 2 if self.moment else 1
        try:
            numbers = [
                int(part) for part in parts if part.isascii() and part.removeprefix("-").isdigit() and len(part) < 21
            ]
            if len(parts) != expected or len(numbers) != expected or any(abs(number) > _LARGEST for number in numbers):
                raise ValueError
            return [_EPOCH + timedelta(microseconds=numbers[0]), numbers[1]] if self.moment else numbers
        except (ValueError, OverflowError):
            raise Invalid("paging.cursor", cursor=text[:60]) from None

    @property
    def fields(self) -> list[str]:
        """The fields, the most significant first."""
        return [self.moment, self.number] if self.moment else [self.number]


def page(rows: "QuerySet[M]", order: Order, query: QueryDict | Mapping[str, str], size: int = SIZE) -> Page[M]:
    """The page that the address asks for by ``after`` or ``before``; without either the first one.

    Reads one row more than it shows, and never counts.

    Raises:
        Invalid: the cursor is not one.
    """
    after, before = query.get("after") or "", query.get("before") or ""
    if before:
        found = list(rows.filter(_beyond(order, before, "gt")).order_by(*order.fields)[: size + 1])
        shown = found[:size][::-1]
        return Page(shown, order.cursor(shown[0]) if len(found) > size else None, _last(order, shown, before))
    limited = rows.filter(_beyond(order, after, "lt")) if after else rows
    found = list(limited.order_by(*(f"-{name}" for name in order.fields))[: size + 1])
    shown = found[:size]
    first = (order.cursor(shown[0]) if shown else after) if after else None
    return Page(shown, first, order.cursor(shown[-1]) if len(found) > size else None)


def _last(order: Order, shown: Sequence[Model], before: str) -> str:
    return order.cursor(shown[-1]) if shown else before


def _beyond(order: Order, cursor: str, side: str) -> Q:
    """Rows on one side of a place; the first field is bounded by itself too, so that the index is entered there."""
    values = order.read(cursor)
    if order.moment is None:
        return Q(**{f"{order.number}__{side}": values[0]})
    further = Q(**{f"{order.moment}__{side}": values[0]}) | Q(**{f"{order.number}__{side}": values[1]})
    return Q(**{f"{order.moment}__{side}e": values[0]}) & further


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


@sentence("paging.cursor")
def _cursor(params: Mapping[str, Any]) -> str:
    return _("The page mark “%(cursor)s” in the address is not valid. Open the list without it.") % params
