"""Forms of data sources, one a type of database. They look at shapes; what is allowed, the operation says."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from opscenter.operations.data_sources import MOST_PASSWORD
from opscenter.production.models import DataSource

_PLAIN = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}


def _text(label: Any, most: int, help_text: Any = "") -> forms.CharField:
    return forms.CharField(label=label, max_length=most, help_text=help_text, widget=forms.TextInput(attrs=_PLAIN))


class DataSourceForm(forms.Form):
    """What all have. A form for one that exists has no name: nodes know it by that.

    Attributes:
        keys: the fields that are the data source's settings.
    """

    keys: tuple[str, ...] = ()

    name = _text(_("Name"), 128, _("Nodes name it in their document. It stays for good."))
    description = forms.CharField(label=_("Description"), max_length=200, required=False)

    def __init__(self, *args: Any, source: DataSource | None = None, **kwargs: Any) -> None:
        if source is not None:
            kwargs["initial"] = {"description": source.description, **source.settings}
        super().__init__(*args, **kwargs)
        if source is not None:
            del self.fields["name"]
            if "password" in self.fields and source.password:
                self.fields["password"].help_text = _(
                    "One is stored. Leave this empty to keep it, unless host, port or user name change."
                )

    def values(self) -> dict[str, Any]:
        """What the operation takes."""
        values = dict(self.cleaned_data)
        values["settings"] = {key: values.pop(key) for key in self.keys}
        return values


class PostgresqlForm(DataSourceForm):
    keys = ("host", "port", "database", "username", "sslmode")

    host = _text(_("Host"), 255, _("As the workers reach it; private addresses are fine."))
    port = forms.IntegerField(label=_("Port"), min_value=1, max_value=65535, initial=5432)
    database = _text(_("Database"), 63)
    username = _text(_("User name"), 63, _("A role of its own, which may do what the nodes need and no more."))
    password = forms.CharField(
        label=_("Password"),
        max_length=MOST_PASSWORD,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Stored encrypted, and never shown again."),
    )
    sslmode = forms.ChoiceField(label=_("Encryption"), choices=DataSource.SslMode.choices, initial="prefer")
    field_order = ("name", *keys[:4], "password", "sslmode", "description")


class SqliteForm(DataSourceForm):
    keys = ("file",)

    file = _text(_("File"), 100, _("Its name alone. It is made when a node first writes to it."))
    field_order = ("name", "file", "description")


FORMS: dict[str, type[DataSourceForm]] = {
    DataSource.Type.POSTGRESQL: PostgresqlForm,
    DataSource.Type.SQLITE: SqliteForm,
}
