"""The dialog of a backfill: every field of it, and the request they make. Its values are the address of a preview."""

from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from opscenter.console.override_forms import OverridesField
from opscenter.console.task_picking import Chosen, Scope, TasksField
from opscenter.engine import backfill_mail
from opscenter.operations.backfill_request import LONGEST_NAME, PRIORITIES, BackfillRequest
from opscenter.production.models import ResourceGroup
from opscenter.production.rules.backfill import MOST_GROUPS, MOST_RANGES, DateRange, Mode, OnFailure, Order
from opscenter.workspaces.models import User, Workspace

MODES = {
    Mode.CURRENT: (gettext_lazy("These tasks"), gettext_lazy("Current node")),
    Mode.DESCENDANTS: (gettext_lazy("These and what comes after them"), gettext_lazy("Current and descendent nodes")),
    Mode.MASSIVE: (gettext_lazy("By workspace"), gettext_lazy("Massive nodes")),
    Mode.ADVANCED: (gettext_lazy("Any set of tasks"), gettext_lazy("Advanced, manual selection")),
    Mode.LINK: (gettext_lazy("Every task on the way to another"), gettext_lazy("Select by link")),
}
"""What each mode is called, and what DataWorks calls it."""
ALERTS = {
    "Success": gettext_lazy("Tell me if all succeeded"),
    "Failure": gettext_lazy("Tell me if something failed and nothing goes on"),
    "SuccessFailure": gettext_lazy("Tell me either way"),
}
"""At which ends who asked is told; by the API's names."""
ON_FAILURE = {
    OnFailure.WAIT: gettext_lazy("Later dates wait until somebody repairs it"),
    OnFailure.GO_ON: gettext_lazy("Go on with the next date"),
    OnFailure.STOP: gettext_lazy("Stop the whole backfill"),
}
ORDERS = {Order.ASC: gettext_lazy("Oldest first"), Order.DESC: gettext_lazy("Newest first")}
PICKED = ("tasks", "include", "exclude")
"""Fields that name tasks."""
_DAY = {"type": "date"}
_LAST = time(23, 59, 59)
_TIME = {"type": "time", "step": "1"}


class DataSourcesField(forms.CharField):
    """``old=new``, several with commas or in lines; its value is the new names by the old ones."""

    def __init__(self) -> None:
        super().__init__(
            label=gettext_lazy("Other data sources"),
            required=False,
            max_length=20_000,
            widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
            help_text=gettext_lazy("old=new, for SQL tasks; with commas between several."),
        )

    def clean(self, value: Any) -> Any:
        pairs = [part.partition("=") for part in super().clean(value).replace("，", ",").split(",") if part.strip()]
        return {old.strip(): new.strip() for old, _is, new in pairs}


def _hours(label: Any, initial: str) -> forms.TimeField:
    return forms.TimeField(
        label=label, initial=initial, required=False, widget=forms.TimeInput(format="%H:%M:%S", attrs=_TIME)
    )


class BackfillForm(forms.Form):
    """Groups of fields stand in ``GROUPS``, in the order of the page."""

    use_required_attribute = False

    mode = forms.ChoiceField(
        label=gettext_lazy("Which tasks"),
        choices=[(mode.value, name) for mode, (name, _old) in MODES.items()],
        widget=forms.RadioSelect,
    )
    tasks = TasksField(label=gettext_lazy("Tasks"))
    depth = forms.IntegerField(
        label=gettext_lazy("Levels"),
        required=False,
        min_value=1,
        max_value=1000,
        help_text=gettext_lazy("How far below the tasks; empty: all of them."),
    )
    workspaces = forms.MultipleChoiceField(
        label=gettext_lazy("Workspaces"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Only what comes after the tasks in these workspaces; without tasks, all of theirs."),
    )
    include = TasksField(label=gettext_lazy("These tasks too"))
    exclude = TasksField(
        label=gettext_lazy("Leave out"),
        help_text=gettext_lazy("They become dry runs, so that what comes after them keeps its order."),
    )
    start = _hours(gettext_lazy("Hours from"), "00:00:00")
    end = _hours(gettext_lazy("until"), "23:59:59")
    order = forms.ChoiceField(label=gettext_lazy("Order"), choices=[(one.value, name) for one, name in ORDERS.items()])
    groups = forms.TypedChoiceField(label=gettext_lazy("Side by side"), coerce=int)
    on_failure = forms.ChoiceField(
        label=gettext_lazy("After a failure"), choices=[(one.value, name) for one, name in ON_FAILURE.items()]
    )
    alert = forms.ChoiceField(
        label=gettext_lazy("When it ends"),
        required=False,
        choices=[("", gettext_lazy("Say nothing")), *ALERTS.items()],
        help_text=gettext_lazy("In your top bar, until you look at the backfill."),
    )
    mail = forms.BooleanField(label=gettext_lazy("By mail too"), required=False)
    immediately = forms.BooleanField(label=gettext_lazy("Run dates that are still to come at once"), required=False)
    later = forms.BooleanField(label=gettext_lazy("Do not start it yet"), required=False)
    window_from = _hours(gettext_lazy("Start only from"), "")
    window_to = _hours(gettext_lazy("until"), "")
    weekend = forms.BooleanField(label=gettext_lazy("On Saturdays and Sundays only"), required=False)
    priority = forms.TypedChoiceField(label=gettext_lazy("Priority"), coerce=int, required=False, empty_value=None)
    resource_group = forms.ChoiceField(label=gettext_lazy("Resource group"), required=False)
    data_sources = DataSourcesField()
    parameters = OverridesField(
        gettext_lazy("name=value for all tasks; on a line of its own “task id: name=value” for one of them."), rows=3
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=LONGEST_NAME,
        help_text=gettext_lazy("Empty: P_, the task that it begins with, the date and the time."),
    )
    comment = forms.CharField(
        label=gettext_lazy("Comment"), required=False, max_length=1000, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, query: QueryDict | None, scope: Scope, initial: Mapping[str, Any]) -> None:
        super().__init__(query, initial=dict(initial), auto_id="backfill_%s")
        user, workspace = scope.user, scope.workspace
        for name in PICKED:
            self._picker(name).scope = scope
            self.fields[name].widget.attrs["data-narrow"] = f"#backfill_{name}_found [data-pick]"
        spaces = Workspace.objects.visible_to(user).filter(tenant=workspace.tenant_id).order_by("display_name", "name")
        groups = ResourceGroup.objects.usable_in(workspace).order_by("name")
        self.fields["mail"].help_text, self.fields["mail"].disabled = _by_mail(user)
        self._offer("workspaces", [(one.pk, str(one)) for one in spaces[:500]])
        self._offer("groups", [(1, _("One after the other")), *_side_by_side()])
        self._offer("priority", [("", _("As each task has it")), *((n, n) for n in PRIORITIES)])
        self._offer("resource_group", [("", _("As each task has it")), *((one.name, one.name) for one in groups)])
        for n in range(1, MOST_RANGES + 1):
            for name, label in (("first", _("From")), ("last", _("Until"))):
                widget = forms.DateInput(format="%Y-%m-%d", attrs=_DAY)
                self.fields[f"{name}_{n}"] = forms.DateField(
                    label=label, required=n == 1, input_formats=["%Y-%m-%d"], widget=widget
                )

    def _picker(self, name: str) -> TasksField:
        field = self.fields[name]
        assert isinstance(field, TasksField)
        return field

    @property
    def chosen(self) -> dict[str, Chosen]:
        """The tasks that each field names, for the page."""
        return {name: self._picker(name).chosen(self[name].value()) for name in PICKED}

    def _offer(self, name: str, choices: list[tuple[Any, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def ranges(self) -> Iterator[tuple[Any, Any]]:
        """The pairs of fields of the ranges, for the page."""
        for n in range(1, MOST_RANGES + 1):
            yield self[f"first_{n}"], self[f"last_{n}"]

    @property
    def has_settings(self) -> bool:
        """Whether any of the fields that are folded away says something."""
        untouched: tuple[Any, ...] = ("", None, False, [], "00:00:00", "23:59:59", time.min, _LAST)
        return any(self[name].errors or self[name].value() not in untouched for name in _FOLDED)

    @property
    def has_more_ranges(self) -> bool:
        """Whether more than one is filled in."""
        return any(first.value() or last.value() for first, last in list(self.ranges())[1:])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for name, modes in _ONLY_FOR.items():  # what the page does not show now counts for nothing
            if "mode" in data and data["mode"] not in modes:
                data[name] = None
                self.errors.pop(name, None)
        for n in range(1, MOST_RANGES + 1):
            first, last = data.get(f"first_{n}"), data.get(f"last_{n}")
            if (first is None) is not (last is None) and not {f"first_{n}", f"last_{n}"} & self.errors.keys():
                self.add_error(f"last_{n}" if last is None else f"first_{n}", _("A range has two ends."))
        if (data.get("window_from") is None) is not (data.get("window_to") is None):
            self.add_error("window_to", _("A run window has a beginning and an end."))
        if data.get("mail") and not data.get("alert"):
            self.add_error("alert", _("Say at which end you want the mail."))
        return data

    def request(self) -> BackfillRequest:
        """What is asked for; the form must be valid."""
        data = self.cleaned_data
        mode = Mode(data["mode"])
        window: tuple[time, time, bool] | None = None
        if data["window_from"] is not None or data["weekend"]:
            window = (data["window_from"] or time.min, data["window_to"] or _LAST, data["weekend"])
        return BackfillRequest(
            mode=mode,
            ranges=tuple(self._ranges(data)),
            name=data["name"],
            roots=() if mode is Mode.ADVANCED else data["tasks"],  # of a free choice none begins it more than others do
            include=data["tasks"] if mode is Mode.ADVANCED else data["include"] or (),
            exclude=data["exclude"] or (),
            depth=data["depth"],
            workspaces=tuple(int(one) for one in data["workspaces"] or ()),
            start=data["start"] or time.min,
            end=data["end"] or _LAST,
            order=Order(data["order"]),
            groups=data["groups"],
            on_failure=OnFailure(data["on_failure"]),
            immediately=data["immediately"],
            run_window=window,
            priority=data["priority"],
            resource_group=data["resource_group"],
            parameters=data["parameters"],
            data_sources=data["data_sources"],
            alert=self._alert(data),
            autostart=not data["later"],
        )

    @staticmethod
    def _alert(data: Mapping[str, Any]) -> dict[str, str] | None:
        """A mail is written in the language that its reader has now."""
        if not data["alert"]:
            return None
        told = {"type": data["alert"]}
        return told | {"notice": "Mail", "language": get_language() or "en"} if data["mail"] else told

    def _ranges(self, data: Mapping[str, date | None]) -> Iterator[DateRange]:
        for n in range(1, MOST_RANGES + 1):
            first, last = data[f"first_{n}"], data[f"last_{n}"]
            if first is not None and last is not None:
                yield DateRange(first, last)


_ONLY_FOR: dict[str, tuple[Mode, ...]] = {
    "depth": (Mode.DESCENDANTS,),
    "workspaces": (Mode.MASSIVE,),
    "include": (Mode.MASSIVE, Mode.LINK),
    "exclude": (Mode.DESCENDANTS, Mode.MASSIVE, Mode.ADVANCED, Mode.LINK),
}
_FOLDED = (
    "start",
    "end",
    "window_from",
    "window_to",
    "weekend",
    "immediately",
    "later",
    "priority",
    "resource_group",
    "data_sources",
    "parameters",
    "alert",
    "mail",
    "name",
    "comment",
)


def _by_mail(user: User) -> tuple[str, bool]:
    """What the form says of mails, and whether there are none."""
    if not backfill_mail.is_on():
        return _("This installation has no mail server."), True
    if not user.email:
        return _("You have no mail address yet; your profile is where you enter it."), True
    return _("To %(email)s.") % {"email": user.email}, False


def _side_by_side() -> list[tuple[int, str]]:
    return [(n, _("%(n)s dates") % {"n": n}) for n in range(2, MOST_GROUPS + 1)]
