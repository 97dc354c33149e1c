"""Forms of parameters. They look at shapes; what is allowed, the operation says."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from opscenter.base import clock
from opscenter.console.filters import latest_bizdate
from opscenter.console.override_forms import AssignmentsField
from opscenter.console.run_forms import BizdateField
from opscenter.operations.parameters import MOST_EXPRESSION
from opscenter.production.models import SharedParameter
from opscenter.production.rules.parameters import LONGEST_NAME, parse_assignments, written
from opscenter.production.rules.preview import MOST_TEXT

_PLAIN = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off", "class": "mono"}


class ParameterForm(forms.Form):
    """A shared parameter; of one that exists the name stays."""

    name = forms.CharField(
        label=_("Name"),
        max_length=LONGEST_NAME,
        help_text=_(
            "Code names it as ${name}. A node's or a workflow's own parameter of the same name goes before it."
        ),
        widget=forms.TextInput(attrs=_PLAIN),
    )
    expression = forms.CharField(
        label=_("Expression"),
        max_length=MOST_EXPRESSION,
        required=False,
        help_text=_("Text, ${yyyymmdd-1} from the business date, $[hh24miss] from the scheduled time, or $bizdate."),
        widget=forms.TextInput(attrs=_PLAIN),
    )
    description = forms.CharField(label=_("Description"), max_length=200, required=False)

    def __init__(self, *args: Any, parameter: SharedParameter | None = None, **kwargs: Any) -> None:
        if parameter is not None:
            kwargs["initial"] = {"expression": parameter.expression, "description": parameter.description}
        super().__init__(*args, **kwargs)
        if parameter is not None:
            del self.fields["name"]


class WorkflowParametersForm(forms.Form):
    """The parameters of a draft workflow, one on each line, and what they were when the form was opened."""

    parameters = AssignmentsField(
        _(
            "One on each line: name=expression, with quotation marks around a value that has spaces or an equals sign in it."
        ),
        rows=6,
    )
    before = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)

    def __init__(self, data: Any, text: str) -> None:
        found = parse_assignments(text)
        lines = "\n".join(filter(None, (written(name, expression) for name, expression in found.items())))
        super().__init__(data, initial={"parameters": lines, "before": text})


class TryForm(forms.Form):
    """Expressions, and the run that they are evaluated for."""

    use_required_attribute = False

    text = forms.CharField(
        label=_("Expressions"),
        required=False,
        strip=False,
        max_length=MOST_TEXT,
        help_text=_("One on each line, or assignments: name=expression name2=expression"),
        widget=forms.Textarea(attrs=_PLAIN | {"rows": 6, "autofocus": True}),
    )
    task = forms.IntegerField(
        label=_("Task ID"),
        required=False,
        min_value=1,
        max_value=2**53,
        widget=forms.TextInput(attrs={"list": "tasks", "inputmode": "numeric", "autocomplete": "off"}),
    )
    bizdate = BizdateField()
    at = forms.TimeField(
        label=_("Scheduled time of day"),
        required=False,
        widget=forms.TimeInput(format="%H:%M:%S", attrs={"type": "time", "step": "1"}),
        help_text=_("On the day after the business date. By default when the task first runs, or midnight."),
    )

    @staticmethod
    def start(zone: str) -> dict[str, Any]:
        """What the page begins with."""
        text = "${yyyymmdd}\n$[yyyymmddhh24miss]\ndt=$bizdate hour=$[hh24-1/24]"
        return {"text": text, "bizdate": latest_bizdate(clock.now(), zone)}
