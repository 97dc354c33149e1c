"""Forms of the extensions' pages. They look at shapes; whether something is allowed, the operation says."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from extensions.models import Enablement, Extension
from extensions.points import POINTS
from extensions.rules import DEFAULT_LIMIT, LONGEST_LIMIT, SHORTEST_LIMIT
from opscenter.base.reasons import Invalid
from opscenter.operations.enablements import Settings
from opscenter.operations.extensions import Facts
from opscenter.workspaces.models import Tenant, User, Workspace

_BLOCKS, _PASSES = "block", "pass"
_MANDATORY, _ADVISORY = "mandatory", "advisory"


def point_choices() -> list[tuple[str, Any]]:
    """Extension points to choose from."""
    return [(point.code, point.name) for point in POINTS.values()]


class ExtensionForm(forms.Form):
    """What is said of an extension."""

    is_wide = True

    name = forms.CharField(label=_("Name"), max_length=128)
    description = forms.CharField(
        label=_("Description"), max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    webhook_url = forms.CharField(
        label=_("Webhook address"),
        max_length=2048,
        help_text=_("Messages are sent to it by POST. A private address only where this installation allows it."),
        widget=forms.TextInput(
            attrs={"inputmode": "url", "spellcheck": "false", "placeholder": "https://guard.example.com/opscenter"}
        ),
    )
    points = forms.MultipleChoiceField(
        label=_("Extension points"), choices=point_choices, widget=forms.CheckboxSelectMultiple
    )
    test_workspace = forms.TypedChoiceField(
        label=_("Test workspace"), coerce=int, help_text=_("The only one where it is in effect until it is published.")
    )
    owner = forms.CharField(
        label=_("Owner"),
        max_length=63,
        help_text=_("User name of a member of the test workspace."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false", "list": "usernames"}),
    )
    detail_url = forms.CharField(
        label=_("Details page"),
        max_length=2048,
        required=False,
        help_text=_("Shown to whoever asked for an operation that it blocks."),
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
    )
    help_url = forms.CharField(
        label=_("Documentation"),
        max_length=2048,
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
    )
    allows_mark_passed = forms.BooleanField(
        label=_("Its checks may be marked as passed"),
        required=False,
        help_text=_("By who manages extensions in a workspace; the audit trail says who did."),
    )

    def __init__(
        self,
        *args: Any,
        workspaces: Iterable[Workspace],
        usernames: Iterable[str] = (),
        locked: str = "",
        **kwargs: Any,
    ) -> None:
        """``locked``: why the facts that a review looks at cannot be changed now."""
        super().__init__(*args, **kwargs)
        self.workspaces = {workspace.pk: workspace for workspace in workspaces}
        self.usernames = list(usernames)
        place = self.fields["test_workspace"]
        assert isinstance(place, forms.ChoiceField)
        place.choices = [(workspace.pk, str(workspace)) for workspace in self.workspaces.values()]
        if locked:
            for name in ("webhook_url", "points"):
                self.fields[name].disabled = True
                self.fields[name].help_text = locked

    def facts(self, tenant: Tenant) -> Facts:
        """What was entered; the form must be valid.

        Raises:
            Invalid: there is no user with the owner's name.
        """
        data = self.cleaned_data
        owner = User.objects.filter(tenant=tenant, username=data["owner"], is_active=True).first()
        if owner is None:
            raise Invalid("member.user_unknown", field="owner", username=data["owner"])
        values = {name: value for name, value in data.items() if name not in ("owner", "test_workspace")}
        return Facts(owner=owner, test_workspace=self.workspaces[data["test_workspace"]], **values)


def facts_of(extension: Extension) -> dict[str, Any]:
    """What a form starts from."""
    names = (
        "name",
        "description",
        "webhook_url",
        "points",
        "detail_url",
        "help_url",
        "allows_mark_passed",
    )
    values: dict[str, Any] = {name: getattr(extension, name) for name in names}
    return values | {"test_workspace": extension.test_workspace_id, "owner": extension.owner.username}


class CommentForm(forms.Form):
    """The word with which something is decided."""

    comment = forms.CharField(label=_("Comment"), max_length=1000, required=False, widget=forms.Textarea({"rows": 3}))

    def __init__(self, *args: Any, is_required: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["comment"].required = is_required


class TestMessageForm(forms.Form):
    """Which message is sent to try an extension."""

    point = forms.ChoiceField(label=_("Extension point"))

    def __init__(self, *args: Any, points: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["point"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(code, POINTS[code].name) for code in points if code in POINTS]


class SettingsForm(forms.Form):
    """What a workspace decides about an extension."""

    verdict = forms.ChoiceField(
        label=_("Its verdict"),
        choices=[
            (_MANDATORY, _("Mandatory: a FAIL blocks the operation")),
            (_ADVISORY, _("Advisory: shown, blocks and delays nothing")),
        ],
    )
    answer_limit = forms.IntegerField(
        label=_("Answer limit in seconds"),
        min_value=SHORTEST_LIMIT,
        max_value=LONGEST_LIMIT,
        initial=DEFAULT_LIMIT,
        help_text=_("Progress reports extend it, up to an hour in all."),
    )
    silence = forms.ChoiceField(
        label=_("No answer within the limit"),
        choices=[(_BLOCKS, _("Blocks the operation")), (_PASSES, _("Counts as passed"))],
        help_text=_("Also when its endpoint cannot be reached. Matters for a mandatory extension alone."),
    )

    def settings(self) -> Settings:
        """What was chosen; the form must be valid."""
        data = self.cleaned_data
        return Settings(
            is_mandatory=data["verdict"] == _MANDATORY,
            answer_limit=data["answer_limit"],
            silence_blocks=data["silence"] == _BLOCKS,
        )


def initial_of(settings: Settings | Enablement) -> dict[str, Any]:
    """What a settings form starts from."""
    return {
        "verdict": _MANDATORY if settings.is_mandatory else _ADVISORY,
        "answer_limit": settings.answer_limit,
        "silence": _BLOCKS if settings.silence_blocks else _PASSES,
    }


class EnableForm(SettingsForm):
    """The same, with the data authorization."""

    is_wide = True

    agrees = forms.BooleanField(
        label=_("I have read this, and agree that the extension gets this data"), required=False
    )
