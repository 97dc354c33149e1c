"""Forms of the administration and authoring pages. They look at shapes; whether something is allowed, the operation says."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from opscenter.base.reasons import Invalid
from opscenter.workspaces.models import AuditEntry, Member, Workspace, WorkspaceRole, name_validator
from opscenter.workspaces.roles import OWNABLE, PERMISSION_NAMES, ROLES, Permission

DOCUMENT_LIMIT = 5 * 1024 * 1024
EXAMPLE = """{
  "version": "1.1.0",
  "kind": "CycleWorkflow",
  "spec": {
    "workflows": [{
      "name": "daily_report",
      "nodes": [{
        "id": "1", "name": "report",
        "script": {"runtime": {"command": "DIDE_SHELL"}, "content": "echo hello"},
        "trigger": {"type": "Scheduler", "cron": "00 30 02 * * ?"}
      }]
    }]
  }
}"""
"""Shown where a document is pasted; it is a whole one, so that somebody can start from it."""


def refuse(form: forms.Form, error: Invalid) -> None:
    """Put an operation's complaint at the field that it names, or over the form."""
    field = error.reason.params.get("field")
    form.add_error(field if field in form.fields else None, str(error))


class SignInForm(forms.Form):
    username = forms.CharField(
        label=_("User name"),
        max_length=63,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class PasswordForm(forms.Form):
    current = forms.CharField(
        label=_("Current password"),
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label=_("New password"),
        strip=False,
        max_length=1000,
        help_text=_("At least 10 characters; not a common one, not like your name."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    again = forms.CharField(
        label=_("New password again"),
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if "new" in values and "again" in values and values["new"] != values["again"]:
            self.add_error("again", _("The two new passwords differ."))
        return values


class EmailForm(forms.Form):
    email = forms.EmailField(
        label=_("Mail address"),
        required=False,
        help_text=_("Where you are told when a backfill of yours has ended, if you asked for that. Empty: nowhere."),
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True}),
    )


class AccessKeyForm(forms.Form):
    description = forms.CharField(
        label=_("Description"),
        max_length=200,
        required=False,
        help_text=_("Which program will use it, so that you know later what breaks when it is revoked."),
    )


class WorkspaceSettingsForm(forms.Form):
    display_name = forms.CharField(label=_("Display name"), max_length=128, required=False)
    description = forms.CharField(
        label=_("Description"), max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    periodic_scheduling = forms.BooleanField(
        label=_("Periodic scheduling"),
        required=False,
        help_text=_("Generates instances every night. Without it no new ones are made; those that exist still run."),
    )
    keep_instances = forms.IntegerField(
        label=_("Keep instances (days)"),
        min_value=1,
        max_value=36500,
        help_text=_(
            "Counted from the business date. A day stays as long as one of its instances has not ended or is needed."
        ),
    )
    keep_logs = forms.IntegerField(label=_("Keep logs of instances (days)"), min_value=1, max_value=36500)
    keep_events = forms.IntegerField(label=_("Keep messages to extensions (days)"), min_value=1, max_value=36500)
    keep_receipts = forms.IntegerField(label=_("Keep receipts of trigger calls (days)"), min_value=1, max_value=36500)


class NewWorkspaceForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=63,
        validators=[name_validator],
        help_text=_("Letters, digits, _ and -. Stays for good: outputs of nodes carry it."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    display_name = forms.CharField(label=_("Display name"), max_length=128, required=False)
    mode = forms.ChoiceField(
        label=_("Mode"),
        choices=Workspace.Mode.choices,
        initial=Workspace.Mode.STANDARD,
        help_text=_("Standard: a development and a production environment. Basic: production alone."),
    )
    description = forms.CharField(
        label=_("Description"), max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )


class CheckboxSelectMultiple(forms.CheckboxSelectMultiple):
    """Checkboxes of which some are disabled, each with the reason. Named as its parent: parts choose by that name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.why_not: Mapping[Any, str] = {}

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        if reason := self.why_not.get(str(value)):
            option["attrs"] |= {"disabled": True, "title": reason}
        return option


class RolesForm(forms.Form):
    """``by`` is who gives the roles: none that allows more than they may do."""

    roles = forms.MultipleChoiceField(label=_("Roles"), widget=CheckboxSelectMultiple, required=False)

    def __init__(self, *args: Any, by: Member, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assignable = [role for role in (*ROLES.values(), *by.custom_roles.values()) if role.assignable]
        field = self.fields["roles"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(role.code, role.name) for role in assignable]
        why = str(_("It allows what you may not do yourself."))
        field.widget.why_not = {role.code: why for role in assignable if by.lacks(role)}


class RoleForm(forms.Form):
    """A role of the workspace's own; ``by`` is who makes it."""

    is_wide = True

    name = forms.CharField(label=_("Name"), max_length=63)
    description = forms.CharField(label=_("Description"), max_length=200, required=False)
    grants = forms.MultipleChoiceField(
        label=_("Everywhere in the workspace"), widget=CheckboxSelectMultiple, required=False
    )
    own_only = forms.MultipleChoiceField(
        label=_("For tasks whose owner the member is"),
        widget=CheckboxSelectMultiple,
        required=False,
        help_text=_("What is allowed everywhere need not be chosen here."),
    )

    def __init__(self, *args: Any, by: Member, role: WorkspaceRole | None = None, **kwargs: Any) -> None:
        if role is not None:
            names = ("name", "description", "grants", "own_only")
            kwargs["initial"] = {name: getattr(role, name) for name in names}
        super().__init__(*args, **kwargs)
        lack = str(_("You may not do it yourself."))
        for name, own in (("grants", False), ("own_only", True)):
            offered = [one for one in Permission if not own or one in OWNABLE]
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)
            field.choices = [(one.value, PERMISSION_NAMES[one]) for one in offered]
            field.widget.why_not = {one.value: lack for one in offered if not by.may(one, own=own)}
        everybody = str(_("Every member may."))
        self.fields["grants"].widget.why_not[Permission.VIEW.value] = everybody
        self.initial["grants"] = [Permission.VIEW.value, *self.initial.get("grants", ())]


class AddMemberForm(RolesForm):
    username = forms.CharField(
        label=_("User name"),
        max_length=63,
        help_text=_("Of somebody who has an account in this tenant."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    field_order = ("username", "roles")

    def __init__(self, *args: Any, usernames: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.usernames = list(usernames)
        if self.usernames:
            self.fields["username"].widget.attrs["list"] = "usernames"


class NewUserForm(RolesForm):
    username = forms.CharField(
        label=_("User name"),
        max_length=63,
        validators=[name_validator],
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )
    display_name = forms.CharField(label=_("Display name"), max_length=128, required=False)
    email = forms.EmailField(label=_("Email"), required=False)
    field_order = ("username", "display_name", "email", "roles")


class ImportForm(forms.Form):
    file = forms.FileField(label=_("A file"), required=False, widget=forms.FileInput(attrs={"accept": ".json"}))
    document = forms.CharField(
        label=_("Or the document itself"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"spellcheck": "false", "class": "mono", "placeholder": EXAMPLE}),
    )

    def clean(self) -> dict[str, Any]:
        """The text of the document is ``text``, whichever way it came; an uploaded file goes before pasted text."""
        values = self.cleaned_data
        upload = values.get("file")
        if upload is not None:
            values["text"] = self._decoded(upload)
        else:
            values["text"] = values.get("document", "")
            if not values["text"].strip() and not self.errors:
                self.add_error("document", _("Paste a FlowSpec document here, or choose a file."))
        return values

    def _decoded(self, upload: Any) -> str:
        if upload.size > DOCUMENT_LIMIT:
            self.add_error("file", _("The file is larger than 5 MB; no FlowSpec document is."))
            return ""
        try:
            return str(upload.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            self.add_error("file", _("The file is not text in UTF-8."))
            return ""


class PublishForm(forms.Form):
    message = forms.CharField(
        label=_("What changes"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Kept with the versions and in the audit trail."),
    )


class ResourceForm(forms.Form):
    file = forms.FileField(label=_("File"), max_length=1000, allow_empty_file=True, help_text=_("At most 50 MB."))
    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=1000,
        help_text=_("By default the name of the file. An existing name gets a new version."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if not values.get("name") and values.get("file") is not None:
            values["name"] = values["file"].name
        return values


class AuditFilterForm(forms.Form):
    """Filters of the audit trail; all of them are in the address."""

    action = forms.ChoiceField(label=_("Action"), required=False)
    face = forms.ChoiceField(
        label=_("Through"), required=False, choices=lambda: [("", _("Any way")), *AuditEntry.Face.choices]
    )
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label=_("Until"), required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, actions: Iterable[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["action"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("Any action")), *actions]
