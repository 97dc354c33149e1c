"""What lists may be narrowed by, all of it in the address; a wrong value is told at its field."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import Model, QuerySet
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from opscenter.production.listings import InstanceFilter, TaskFilter
from opscenter.production.models import ProductionWorkflow, Recurrence, Task
from opscenter.production.node_types import NODE_TYPES
from opscenter.production.rules.cron import Cycle
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Member, User, Workspace

MINE = "mine"
ALL_DATES = "all"
CHOICES_SHOWN = 200
"""People and workflows offered to choose from; others are found by the search."""

CYCLES: dict[Cycle, Promise] = {
    Cycle.MINUTE: gettext_lazy("Minutes"),
    Cycle.HOUR: gettext_lazy("Hourly"),
    Cycle.DAY: gettext_lazy("Daily"),
    Cycle.WEEK: gettext_lazy("Weekly"),
    Cycle.MONTH: gettext_lazy("Monthly"),
    Cycle.YEAR: gettext_lazy("Yearly"),
}
STATES = (
    State.FAILURE,
    State.RUNNING,
    State.WAIT_TRIGGER,
    State.WAIT_RESOURCE,
    State.WAIT_TIME,
    State.NOT_RUN,
    State.CHECKING,
    State.SUCCESS,
)
"""States as filters offer them, what needs somebody first. Both kinds of checking are one."""

M = TypeVar("M", bound=Model)

_BY_CODE = {state.code: [one for one in State if one.code == state.code] for state in STATES}
_BY_CODE[State.CHECKING.code].append(State.CHECKING_CONDITION)


class ListFilters(forms.Form):
    """What all filter strips have in common: labels for who cannot see, choices with one for "any"."""

    use_required_attribute = False

    def dress(self) -> None:
        """Finish the fields, when all of their choices are known."""
        for name, field in self.fields.items():
            field.widget.attrs["aria-label"] = field.label
            if isinstance(field, forms.ChoiceField):
                field.error_messages["invalid_choice"] = _("“%(value)s” cannot be chosen here. Choose one of the list.")
                field.widget.attrs["class"] = f"filter-{name}"

    def offer(self, name: str, nothing: str, choices: Iterable[tuple[Any, Any]]) -> None:
        """What a field offers beside ``nothing``, which narrows nothing."""
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", nothing), *((str(value), label) for value, label in choices)]


class DatedFilters(ListFilters):
    """Filters of what was done at a moment: the first and the last day, where the tenant is."""

    since = forms.DateField(label=gettext_lazy("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=gettext_lazy("Until"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, query: QueryDict, workspace: Workspace) -> None:
        super().__init__(query, auto_id="filter_%s")
        self.zone = ZoneInfo(workspace.tenant.time_zone)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("since") and data.get("until") and data["since"] > data["until"]:
            self.add_error("until", _("The end lies before the start. Exchange the two dates."))
        return data

    def between(self, found: "QuerySet[M]", moment: str) -> "QuerySet[M]":
        """Rows whose ``moment`` is within the days that are asked for; the form must be valid."""
        data = self.cleaned_data
        if data["since"]:
            found = found.filter(**{f"{moment}__gte": midnight(data["since"], self.zone)})
        if data["until"] and data["until"] < date.max:
            found = found.filter(**{f"{moment}__lt": midnight(data["until"] + timedelta(days=1), self.zone)})
        return found


class _Filters(ListFilters):
    """Fields that both lists have. ``kept`` are the names that a form carries along although it shows no field for them."""

    q = forms.CharField(label=gettext_lazy("Name or id"), max_length=255, required=False)
    type = forms.ChoiceField(label=gettext_lazy("Type"), required=False)
    owner = forms.ChoiceField(label=gettext_lazy("Owner"), required=False)
    workflow = forms.ChoiceField(label=gettext_lazy("Workflow"), required=False)

    def __init__(self, query: QueryDict, user: User, workspace: Workspace, environment: str) -> None:
        super().__init__(query, auto_id="filter_%s")
        self.user = user
        self.offer("type", _("Any type"), [(code, known.name) for code, known in NODE_TYPES.items()])
        self.offer("owner", _("Any owner"), [(MINE, _("Mine")), *people(workspace)])
        self.offer("workflow", _("Any workflow"), _workflows(workspace, environment))
        self.dress()

    @property
    def owner_uid(self) -> int | None:
        """The owner that is asked for."""
        owner = self.cleaned_data["owner"]
        return self.user.uid if owner == MINE else int(owner) if owner else None

    @property
    def workflow_number(self) -> int | None:
        """The workflow that is asked for."""
        return int(self.cleaned_data["workflow"]) if self.cleaned_data["workflow"] else None


class TaskFilters(_Filters):
    """Filters of the task list."""

    recurrence = forms.ChoiceField(label=gettext_lazy("Recurrence"), required=False)
    cycle = forms.ChoiceField(label=gettext_lazy("Cycle"), required=False)
    status = forms.ChoiceField(
        label=gettext_lazy("Status"),
        required=False,
        choices=[("", gettext_lazy("Online")), ("offline", gettext_lazy("Offline"))],
    )
    field_order = ("q", "type", "cycle", "recurrence", "owner", "workflow", "status")

    def __init__(
        self, query: QueryDict, user: User, workspace: Workspace, environment: str, trigger: Task.Trigger
    ) -> None:
        super().__init__(query, user, workspace, environment)
        self._trigger = trigger
        self.offer("recurrence", _("Any recurrence"), Recurrence.choices)
        self.offer("cycle", _("Any cycle"), [(cycle.value, name) for cycle, name in CYCLES.items()])

    def wanted(self) -> TaskFilter:
        """What is asked for; the form must be valid."""
        data = self.cleaned_data
        return TaskFilter(
            text=data["q"],
            node_type=data["type"],
            owner=self.owner_uid,
            recurrence=data["recurrence"],
            cycle=Cycle(data["cycle"]) if data["cycle"] else None,
            workflow=self.workflow_number,
            offline=data["status"] == "offline",
            trigger=self._trigger,
        )


class InstanceFilters(_Filters):
    """Filters of the instance lists.

    Without a business date the list shows ``default_bizdate``; ``bizdate=all`` shows all of them.
    """

    bizdate = forms.DateField(label=gettext_lazy("Business date"), required=False, input_formats=["%Y-%m-%d"])
    state = forms.MultipleChoiceField(required=False, choices=[(state.code, state.code) for state in STATES])
    frozen = forms.BooleanField(required=False)
    task = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    backfill = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    group = forms.CharField(label=gettext_lazy("Resource group"), max_length=63, required=False)
    held_by = forms.IntegerField(label=gettext_lazy("Waits for"), required=False, min_value=1, max_value=2**63 - 1)
    run = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    scheduled_from = forms.DateTimeField(label=gettext_lazy("Scheduled from"), required=False)
    scheduled_to = forms.DateTimeField(label=gettext_lazy("Scheduled until"), required=False)

    def __init__(
        self, query: QueryDict, user: User, workspace: Workspace, environment: str, default_bizdate: date | None
    ) -> None:
        query = query.copy()
        dates = query.getlist("bizdate")
        chosen = [
            text for text in dates if text not in ("", ALL_DATES)
        ]  # a date beats the "all" the form carries along
        self.is_all_dates = not chosen and (ALL_DATES in dates or default_bizdate is None)
        query.setlist("bizdate", chosen[:1])
        if not chosen and not self.is_all_dates and default_bizdate is not None:
            query["bizdate"] = default_bizdate.isoformat()
        super().__init__(query, user, workspace, environment)
        self.zone = ZoneInfo(workspace.tenant.time_zone)
        self.fields["bizdate"].widget = forms.DateInput(format="%Y-%m-%d", attrs=_input("date", _("Business date")))
        for name in ("scheduled_from", "scheduled_to"):
            attributes = {**_input("datetime-local", self.fields[name].label), "step": "1"}
            self.fields[name].widget = forms.DateTimeInput(format="%Y-%m-%dT%H:%M:%S", attrs=attributes)

    def clean(self) -> dict[str, Any]:
        """Times are local to the tenant."""
        data = super().clean() or self.cleaned_data
        for name in ("scheduled_from", "scheduled_to"):
            if isinstance(data.get(name), datetime):
                data[name] = data[name].replace(tzinfo=self.zone)
        start, end = data.get("scheduled_from"), data.get("scheduled_to")
        if start and end and start > end:
            self.add_error("scheduled_to", _("The end lies before the start. Exchange the two times."))
        return data

    def wanted(self) -> InstanceFilter:
        """What is asked for; the form must be valid."""
        data = self.cleaned_data
        return InstanceFilter(
            text=data["q"],
            task=data["task"],
            backfill=data["backfill"],
            run=data["run"],
            bizdate=data["bizdate"],
            states=[state for code in data["state"] for state in _BY_CODE[code]],
            frozen=data["frozen"],
            node_type=data["type"],
            owner=self.owner_uid,
            workflow=self.workflow_number,
            scheduled_from=data["scheduled_from"],
            scheduled_to=data["scheduled_to"],
            group=data["group"],
            held_by=data["held_by"],
        )


def _input(kind: str, label: Any) -> dict[str, Any]:
    return {"type": kind, "aria-label": label}


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The start of a local day; the first days of the calendar have none in UTC, which the second one then stands for."""
    return datetime.combine(min(max(day, date(2, 1, 1)), date(9998, 1, 1)), time(), zone)


def people(workspace: Workspace) -> list[tuple[int, str]]:
    """Members to choose from, by uid."""
    members = Member.objects.filter(workspace=workspace).select_related("user").order_by("user__username")
    return [(member.user.uid, str(member.user)) for member in members[:CHOICES_SHOWN]]


def _workflows(workspace: Workspace, environment: str) -> list[tuple[int, str]]:
    found = ProductionWorkflow.objects.filter(workspace=workspace, environment=environment).order_by("name")
    return list(found.values_list("number", "name")[:CHOICES_SHOWN])


def latest_bizdate(now: datetime, zone: str) -> date:
    """The business date of today's runs: yesterday, where the tenant is."""
    return now.astimezone(ZoneInfo(zone)).date() - timedelta(days=1)


def query_string(query: Mapping[str, Any]) -> str:
    """An address's query from names and values; a list gives its name several times."""
    made = QueryDict(mutable=True)
    for name, value in query.items():
        if isinstance(value, list | tuple):
            made.setlist(name, [str(one) for one in value])
        elif value not in (None, ""):
            made[name] = str(value)
    return "?" + made.urlencode()
