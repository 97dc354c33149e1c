"""What operations ask for beside a comment; the arguments that the door reads."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from opscenter.console import descendants
from opscenter.console.access import ConsoleRequest
from opscenter.console.questions import CommentForm
from opscenter.operations import force_rerun
from opscenter.operations.arguments import arguments_of
from opscenter.operations.models import Operation
from opscenter.production.models import ResourceGroup
from opscenter.workspaces.models import Member, Workspace
from workflows.flowspec.settings import PRIORITIES

STARTS_SHOWN = 20
"""Chosen instances whose descendants are offered."""


class OperationForm(CommentForm):
    """The form of an operation; those that are told more add fields, and answer with them in ``arguments``.

    Attributes:
        of: for each such field, what a target has at present.
    """

    of: ClassVar[dict[str, Callable[[Any], Any]]] = {}

    def __init__(self, request: ConsoleRequest) -> None:
        super().__init__(request.POST if request.method == "POST" else None)
        self.prepare(request)

    part = ""
    """A template above the fields, for what fields cannot show; it finds ``part`` with what ``shown`` returns."""

    def prepare(self, request: ConsoleRequest) -> None:
        """Fill in choices."""

    def start_from(self, targets: Sequence[Any]) -> None:
        """Choose what the targets have at present, where all have the same."""
        for name, value in self.of.items():
            present = {value(target) for target in targets}
            if len(present) == 1:
                self.initial[name] = present.pop()

    def repeat(self, earlier: Operation) -> None:
        """Start from what an earlier operation was told, of which the rest is asked for once more."""
        known = {**arguments_of(earlier), "comment": earlier.comment}
        self.initial.update({name: value for name, value in known.items() if name in self.fields})

    def objects(self, ids: list[int]) -> list[int]:
        """What it is done to, of those that were asked about; more, where more can be chosen."""
        return ids

    def shown(self, request: ConsoleRequest, targets: Sequence[Any]) -> Any:
        """For the template, by the objects that allow the operation."""

    def arguments(self) -> dict[str, Any]:
        """What the door is told, of a valid form: every field that is not the comment."""
        return {name: value for name, value in self.cleaned_data.items() if name != "comment"}


class PriorityForm(OperationForm):
    of: ClassVar = {"priority": lambda target: target.priority}
    priority = forms.TypedChoiceField(
        label=_("Priority"),
        coerce=int,
        choices=[(number, number) for number in PRIORITIES],
        help_text=_("Among those that wait for a slot of their resource group, the larger comes sooner."),
    )
    field_order = ("priority", "comment")


class ResourceGroupForm(OperationForm):
    of: ClassVar = {"resource_group": lambda target: target.resource_group.name}
    resource_group = forms.ChoiceField(label=_("Resource group"))
    field_order = ("resource_group", "comment")

    def prepare(self, request: ConsoleRequest) -> None:
        groups = ResourceGroup.objects.usable_in(request.workspace).order_by("name")
        choices = self.fields["resource_group"]
        assert isinstance(choices, forms.ChoiceField)
        choices.choices = [(group.name, group.name) for group in groups]


class OwnerForm(OperationForm):
    of: ClassVar = {"owner": lambda target: target.owner.username}
    owner = forms.ChoiceField(label=_("Owner"), help_text=_("A member of this workspace."))
    field_order = ("owner", "comment")

    def prepare(self, request: ConsoleRequest) -> None:
        members = Member.objects.filter(workspace=request.workspace, user__is_active=True).select_related("user")
        choices = self.fields["owner"]
        assert isinstance(choices, forms.ChoiceField)
        choices.choices = [(one.user.username, _label(one)) for one in members.order_by("user__username")]


def _label(member: Member) -> str:
    name, shown = member.user.username, str(member.user)
    return name if name == shown else f"{name} ({shown})"


class _Ids(forms.Field):
    """Ids that were ticked in the form's part."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Any) -> list[int]:
        texts = value or []
        if not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts):
            raise forms.ValidationError(_("These are no ids. Ask for the operation once more."))
        return [int(text) for text in texts]


class DownstreamForm(OperationForm):
    """What of the descendants is rerun as well."""

    part = "console/operations/descendants.html"
    downstream = _Ids(required=False)

    def prepare(self, request: ConsoleRequest) -> None:
        self._start: list[int] = []

    def objects(self, ids: list[int]) -> list[int]:
        self._start = ids
        return list(dict.fromkeys([*ids, *self.cleaned_data["downstream"]]))

    def shown(self, request: ConsoleRequest, targets: Sequence[Any]) -> Any:
        return {"levels": [(target, descendants.level(request, target)) for target in targets[:STARTS_SHOWN]]}

    def arguments(self) -> dict[str, Any]:
        return {"start": self._start}


class DependenciesForm(OperationForm):
    """Which of the upstream instances are no longer waited for."""

    part = "console/operations/upstream.html"
    upstream = _Ids(
        error_messages={"required": _("Choose at least one of the instances that are waited for.")},
    )

    def shown(self, request: ConsoleRequest, targets: Sequence[Any]) -> Any:
        return {
            "rows": descendants.upstream(request, targets),
            "chosen": request.POST.getlist("upstream") or [str(pk) for pk in self.initial.get("upstream", ())],
        }


class ForceForm(OperationForm):
    start = forms.ChoiceField(
        label=_("Start from"),
        choices=[
            (force_rerun.SELF, _("the instance itself")),
            (force_rerun.CHILDREN, _("its direct downstream instances")),
        ],
        initial=force_rerun.SELF,
        widget=forms.RadioSelect,
    )
    workspaces = forms.TypedMultipleChoiceField(
        label=_("In the workspaces"),
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Those that you administer. What is downstream in others stays as it is."),
    )
    cross_day = forms.BooleanField(label=_("Instances of later days, too"), required=False)
    field_order = ("start", "workspaces", "cross_day", "comment")

    def prepare(self, request: ConsoleRequest) -> None:
        found = Workspace.objects.filter(
            tenant=request.workspace.tenant_id, pk__in=force_rerun.administered(request.user)
        ).order_by("name")
        field = self.fields["workspaces"]
        assert isinstance(field, forms.TypedMultipleChoiceField)
        field.choices = [(one.pk, str(one)) for one in found]
        field.initial = [request.workspace.pk]


FORMS: dict[str, type[OperationForm]] = {
    "set_priority": PriorityForm,
    "set_resource_group": ResourceGroupForm,
    "rerun_downstream": DownstreamForm,
    "remove_dependencies": DependenciesForm,
    "force_rerun": ForceForm,
    "set_owner_task": OwnerForm,
    "set_priority_task": PriorityForm,
    "set_resource_group_task": ResourceGroupForm,
}
"""By the operation's code; the others ask for a comment alone."""
