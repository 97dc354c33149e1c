"""Pages of lists, as both API versions have them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.db.models import F, Model, QuerySet
from django.db.models.expressions import OrderBy
from rest_framework import serializers

from opscenter.openapi.fields import Integer, Request

Row = TypeVar("Row", bound=Model)


class Paged(Request):
    """PageNumber and PageSize with their defaults."""

    PageNumber = Integer(32, low=1, default=1)
    PageSize = Integer(32, low=1, high=100, default=10)


class SortBy(serializers.Field[list[OrderBy], Any, str, Any]):
    """``Field``, ``Field Asc`` or ``Field Desc`` over a list of fields; equal rows are ordered by id."""

    default_error_messages = {"invalid": "It must be one of {names}, followed by Asc or Desc."}

    def __init__(self, fields: Mapping[str, str], default: str, **kwargs: Any) -> None:
        self._fields = {name.lower(): column for name, column in fields.items()}
        self._names = ", ".join(fields)
        super().__init__(default=lambda: self.to_internal_value(default), **kwargs)

    def to_internal_value(self, data: Any) -> list[OrderBy]:
        words = str(data).lower().split()
        if not words or words[0] not in self._fields or words[1:] not in ([], ["asc"], ["desc"]):
            self.fail("invalid", names=self._names)
        column = self._fields[words[0]]
        if words[-1] == "desc":
            return [F(column).desc(nulls_last=True), F("pk").desc()]
        return [F(column).asc(nulls_last=True), F("pk").asc()]


def page(
    found: QuerySet[Row], args: Mapping[str, Any], plural: str, shape: Callable[[list[Row]], list[dict[str, Any]]]
) -> dict[str, Any]:
    """PagingInfo (2024) or Data (2020): the page asked for, and how many rows there are."""
    first = (args["PageNumber"] - 1) * args["PageSize"]
    return {
        "PageNumber": args["PageNumber"],
        "PageSize": args["PageSize"],
        "TotalCount": found.order_by().count(),
        plural: shape(list(found[first : first + args["PageSize"]])),
    }
