"""Form fields for the scheduling parameters of one run."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from opscenter.production.rules.parameters import ParameterError, parse_assignments

_OF_TASK = re.compile(r"\s*([0-9]{1,18})\s*[:：]\s*(.*)")


class AssignmentsField(forms.CharField):
    """``name=value``, several with spaces or in lines; its value is the expressions by name."""

    def __init__(self, help_text: Any, rows: int = 2) -> None:
        super().__init__(
            label=_("Parameters"),
            required=False,
            max_length=100_000,
            widget=forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "class": "mono"}),
            help_text=help_text,
        )

    def clean(self, value: Any) -> Any:
        try:
            return self.read(super().clean(value))
        except ParameterError as error:
            raise forms.ValidationError(str(error)) from error

    def read(self, text: str) -> dict[str, Any]:
        """What the text says."""
        return dict(parse_assignments(text))


class OverridesField(AssignmentsField):
    """The same for all tasks of a run; lines ``task id: name=value`` for one of them. Its value is
    ``rules.levels.Sources.overrides``."""

    def read(self, text: str) -> dict[str, Any]:
        for_all: list[str] = []
        tasks: dict[str, list[str]] = {}
        for line in text.splitlines():
            found = _OF_TASK.fullmatch(line)
            if found:
                tasks.setdefault(found[1], []).append(found[2])
            else:
                for_all.append(line)
        return {
            "workflow": dict(parse_assignments(" ".join(for_all))),
            "tasks": {task: dict(parse_assignments(" ".join(lines))) for task, lines in tasks.items()},
        }
