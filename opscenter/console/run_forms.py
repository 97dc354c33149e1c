"""Forms of runs by hand: for which business date, and of tests also for which time."""

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from opscenter.console.override_forms import AssignmentsField, OverridesField
from opscenter.console.questions import CommentForm


class BizdateField(forms.DateField):
    """A business date: a plain date, as the browser's own field sends it."""

    def __init__(self, help_text: Any = "") -> None:
        super().__init__(
            label=_("Business date"),
            input_formats=["%Y-%m-%d"],
            validators=[MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(2199, 12, 31))],
            widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
            help_text=help_text,
        )


class BizdateForm(CommentForm):
    """For which day to run."""

    bizdate = BizdateField(_("The day whose data the run is for; the scheduled day is the day after."))


class ManualRunForm(BizdateForm):
    """A run of manually triggered tasks."""

    parameters = OverridesField(
        _("Of this run alone: name=value for all tasks; on a line of its own “task id: name=value” for one of them.")
    )
    field_order = ("bizdate", "parameters", "comment")


class SmokeTestForm(BizdateForm):
    """For when to pretend that the tasks run."""

    at = forms.TimeField(
        label=_("Scheduled time of day"),
        widget=forms.TimeInput(format="%H:%M:%S", attrs={"type": "time", "step": "1"}),
        help_text=_("It is not waited for."),
    )
    parameters = AssignmentsField(_("Of this run alone, before those that are deployed: name=value other='two words'"))
    field_order = ("bizdate", "at", "parameters", "comment")
