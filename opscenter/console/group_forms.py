"""Forms of resource groups. They look at shapes; what is allowed, the operation says."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from opscenter.operations.resource_groups import MOST_DESCRIPTION, MOST_SLOTS
from opscenter.production.models import ResourceGroup


class GroupForm(forms.Form):
    """A group; one that exists has no name, since nodes, workers and clients know it by that."""

    name = forms.CharField(
        label=_("Name"),
        max_length=63,
        help_text=_("Letters, digits, _ and -. Nodes and workers name it; it stays for good."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}),
    )
    slots = forms.IntegerField(
        label=_("Slots"),
        min_value=0,
        max_value=MOST_SLOTS,
        initial=16,
        help_text=_("How many instances run on it at a time, over all workspaces and workers."),
    )
    description = forms.CharField(label=_("Description"), max_length=MOST_DESCRIPTION, required=False)

    def __init__(self, *args: Any, group: ResourceGroup | None = None, **kwargs: Any) -> None:
        if group is not None:
            kwargs["initial"] = {"slots": group.slots, "description": group.description}
        super().__init__(*args, **kwargs)
        if group is not None:
            del self.fields["name"]
