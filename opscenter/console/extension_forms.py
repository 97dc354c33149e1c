"""Forms of the extensions' pages. They look at shapes; whether something is allowed, the operation says."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from extensions import options
from extensions.models import Enablement, Extension
from extensions.options import CHECKBOXES, LONGEST_VALUE, RADIO, SELECT, TEXT_AREA, Option
from extensions.options import LONGEST as LONGEST_OPTIONS
from extensions.parameters import LONGEST as LONGEST_PARAMETERS
from extensions.points import POINTS
from extensions.rules import DEFAULT_LIMIT, LONGEST_LIMIT, SHORTEST_LIMIT
from opscenter.base.reasons import Invalid
from opscenter.operations.enablements import Settings
from opscenter.operations.extensions import Facts
from opscenter.workspaces.models import Tenant, User, Workspace

_BLOCKS, _PASSES = "block", "pass"
_MANDATORY, _ADVISORY = "mandatory", "advisory"
EXAMPLE = """{"type": "object", "properties": {
  "limit": {"type": "string", "title": "Most tasks at once", "x-component": "Input", "default": "10"}}}"""
_OPTION = "option."
"""What the names of the fields begin with that an extension defines."""


def point_choices() -> list[tuple[str, Any]]:
    """Extension points to choose from."""
    return [(point.code, point.name) for point in POINTS.values() if not point.is_regular]


def event_choices() -> list[tuple[str, Any]]:
    """Regular events to choose from."""
    return [(point.code, point.name) for point in POINTS.values() if point.is_regular]


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
        label=_("Extension points"),
        choices=point_choices,
        required=False,
        help_text=_("It is asked, and may stop the operation."),
        widget=forms.CheckboxSelectMultiple,
    )
    events = forms.MultipleChoiceField(
        label=_("Regular events"),
        choices=event_choices,
        required=False,
        help_text=_("It is told, once it has happened."),
        widget=forms.CheckboxSelectMultiple,
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

    parameters = forms.CharField(
        label=_("Parameters"),
        max_length=LONGEST_PARAMETERS,
        required=False,
        help_text=_(
            "A line “key=value” each. Those that begin with “extension.” change when it is asked; others are your own."
        ),
        widget=forms.Textarea(
            attrs={
                "rows": 3,
                "class": "mono",
                "spellcheck": "false",
                "placeholder": "extension.fileType.99.freeze-node.enabled=false",
            }
        ),
    )
    options = forms.CharField(
        label=_("Options"),
        max_length=LONGEST_OPTIONS,
        required=False,
        help_text=_("JSON schema of a form that each workspace fills in when it enables the extension."),
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false", "placeholder": EXAMPLE}),
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
            for name in ("webhook_url", "points", "events"):
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
        values = {name: value for name, value in data.items() if name not in ("owner", "test_workspace", "events")}
        values["points"] = data["points"] + data["events"]
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
        "parameters",
        "options",
    )
    values: dict[str, Any] = {name: getattr(extension, name) for name in names}
    regular = [code for code, _name in event_choices()]
    values["events"] = [code for code in extension.points if code in regular]
    values["points"] = [code for code in extension.points if code not in regular]
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


class Preview(forms.Widget):
    """A text that only says something."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        return format_html('<p class="soft">{}</p>', value or "")

    def value_from_datadict(self, data: Any, files: Any, name: str) -> None:
        return None


def option_field(option: Option, value: Any) -> forms.Field:
    """The field of an option that an extension defines."""
    facts: dict[str, Any] = {
        "label": option.title,
        "help_text": option.tooltip,
        "required": option.is_required and not option.is_text,
        "initial": value,
    }
    if option.is_text:
        said = {"widget": Preview(), "initial": option.default, "disabled": True, "required": bool(option.default)}
        return forms.Field(**{**facts, **said})
    if option.takes_several:
        widget = forms.CheckboxSelectMultiple() if option.component == CHECKBOXES else forms.SelectMultiple()
        return forms.MultipleChoiceField(**facts, choices=option.choices, widget=widget)
    if option.component == SELECT:
        return forms.ChoiceField(**facts, choices=[("", "–"), *option.choices])
    if option.component == RADIO:
        return forms.ChoiceField(**facts, choices=option.choices, widget=forms.RadioSelect())
    area = forms.Textarea(attrs={"rows": 3}) if option.component == TEXT_AREA else forms.TextInput()
    return forms.CharField(**facts, max_length=LONGEST_VALUE, widget=area)


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

    def __init__(
        self, *args: Any, extension: Extension, values: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """``values``: the options as the workspace has them; without, the defaults."""
        super().__init__(*args, **kwargs)
        if all(POINTS[code].is_regular for code in extension.points if code in POINTS):
            for name in ("verdict", "answer_limit", "silence"):
                del self.fields[name]  # nobody waits for its answer
        self.defined = options.read(extension.options)
        current = options.current(self.defined, values or {})
        for option in self.defined:
            self.fields[_OPTION + option.name] = option_field(option, current.get(option.name))
        last = [name for name in ("agrees",) if name in self.fields]
        self.order_fields([name for name in self.fields if name not in last] + last)

    def settings(self) -> Settings:
        """What was chosen; the form must be valid."""
        data = self.cleaned_data
        chosen = {one.name: data.get(_OPTION + one.name) for one in self.defined if not one.is_text}
        if "verdict" not in self.fields:
            return Settings(option_values=chosen)
        return Settings(
            is_mandatory=data["verdict"] == _MANDATORY,
            answer_limit=data["answer_limit"],
            silence_blocks=data["silence"] == _BLOCKS,
            option_values=chosen,
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


class SendAgainForm(forms.Form):
    """From when on messages are sent again."""

    since_at = forms.DateTimeField(
        label=_("First sent since"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    only_undelivered = forms.BooleanField(label=_("Only those that never arrived"), required=False, initial=True)

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._zone = ZoneInfo(zone)
        self.fields["since_at"].help_text = zone
        self.fields["since_at"].initial = (
            (timezone.now() - timedelta(days=1)).astimezone(self._zone).strftime("%Y-%m-%dT%H:%M")
        )

    def since(self) -> datetime:
        """The moment, read in the tenant's zone; the form must be valid."""
        given: datetime = self.cleaned_data["since_at"]
        return given.replace(tzinfo=self._zone)
