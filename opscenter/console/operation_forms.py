"""What operations ask for beside a comment; the arguments that the door reads."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from opscenter.console.access import ConsoleRequest
from opscenter.console.questions import CommentForm
from opscenter.production.models import ResourceGroup
from opscenter.workspaces.models import Member
from workflows.flowspec.settings import PRIORITIES


class OperationForm(CommentForm):
    """The form of an operation; those that are told more add fields, and answer with them in ``arguments``.

    Attributes:
        of: for each such field, what a target has at present.
    """

    of: ClassVar[dict[str, Callable[[Any], Any]]] = {}

    def __init__(self, request: ConsoleRequest) -> None:
        super().__init__(request.POST if request.method == "POST" else None)
        self.prepare(request)

    def prepare(self, request: ConsoleRequest) -> None:
        """Fill in choices."""

    def start_from(self, targets: Sequence[Any]) -> None:
        """Choose what the targets have at present, where all have the same."""
        for name, value in self.of.items():
            present = {value(target) for target in targets}
            if len(present) == 1:
                self.initial[name] = present.pop()

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
        groups = ResourceGroup.objects.filter(tenant=request.workspace.tenant_id).order_by("name")
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


FORMS: dict[str, type[OperationForm]] = {
    "set_priority": PriorityForm,
    "set_resource_group": ResourceGroupForm,
    "set_owner_task": OwnerForm,
    "set_priority_task": PriorityForm,
    "set_resource_group_task": ResourceGroupForm,
}
"""By the operation's code; the others ask for a comment alone."""
