"""What operations ask for beside a comment; the arguments that the door reads."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from opscenter.console.access import ConsoleRequest
from opscenter.console.questions import CommentForm
from opscenter.production.models import ResourceGroup
from workflows.flowspec.settings import PRIORITIES


class OperationForm(CommentForm):
    """The form of an operation; those that are told more add fields, and answer with them in ``arguments``."""

    def __init__(self, request: ConsoleRequest) -> None:
        super().__init__(request.POST if request.method == "POST" else None)
        self.prepare(request)

    def prepare(self, request: ConsoleRequest) -> None:
        """Fill in choices."""

    def arguments(self) -> dict[str, Any]:
        """What the door is told, of a valid form: every field that is not the comment."""
        return {name: value for name, value in self.cleaned_data.items() if name != "comment"}


class PriorityForm(OperationForm):
    priority = forms.TypedChoiceField(
        label=_("Priority"),
        coerce=int,
        choices=[(number, number) for number in PRIORITIES],
        help_text=_("Among those that wait for a slot of their resource group, the larger comes sooner."),
    )
    field_order = ("priority", "comment")


class ResourceGroupForm(OperationForm):
    resource_group = forms.ChoiceField(label=_("Resource group"))
    field_order = ("resource_group", "comment")

    def prepare(self, request: ConsoleRequest) -> None:
        groups = ResourceGroup.objects.filter(tenant=request.workspace.tenant_id).order_by("name")
        choices = self.fields["resource_group"]
        assert isinstance(choices, forms.ChoiceField)
        choices.choices = [(group.name, group.name) for group in groups]


FORMS: dict[str, type[OperationForm]] = {"set_priority": PriorityForm, "set_resource_group": ResourceGroupForm}
"""By the operation's code; the others ask for a comment alone."""
