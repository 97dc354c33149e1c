"""Fields that read names with values, one on each line, and JSON."""

import json
from typing import Any, NoReturn

from django import forms
from django.utils.translation import gettext as _

_PLAIN = {"autocapitalize": "none", "spellcheck": "false", "class": "mono"}
MOST_BODY = 100_000


def joined(pairs: Any, separator: str) -> str:
    """Pairs as their field shows them; nothing for what are none."""
    if not isinstance(pairs, dict):
        return ""
    return "\n".join(f"{name}{separator}{value}" for name, value in pairs.items())


class PairsField(forms.CharField):
    """``Name: value`` or ``name=value`` on each line, as a dictionary."""

    def __init__(self, *, separator: str, **kwargs: Any) -> None:
        self.separator = separator
        widget = forms.Textarea(attrs=_PLAIN | {"rows": 2})
        super().__init__(required=False, strip=False, max_length=20_000, widget=widget, **kwargs)

    def clean(self, value: Any) -> Any:
        found: dict[str, str] = {}
        for number, line in enumerate(str(super().clean(value)).splitlines(), 1):
            if not line.strip():
                continue
            name, separator, text = line.partition(self.separator)
            name = name.strip()
            if not separator or not name:
                told = {
                    "line": number,
                    "form": f"name{self.separator} value" if self.separator == ":" else "name=value",
                }
                raise forms.ValidationError(_("Line %(line)s: write %(form)s.") % told)
            if name in found:
                raise forms.ValidationError(
                    _("Line %(line)s: “%(name)s” is there already.") % {"line": number, "name": name}
                )
            found[name] = text.strip()
        return found


class JsonField(forms.CharField):
    """Any JSON value; None for nothing. Text that is JSON only once its parameters are put in stays text."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs=_PLAIN | {"rows": 5})
        super().__init__(required=False, strip=True, max_length=MOST_BODY, widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)

    def clean(self, value: Any) -> Any:
        text = str(super().clean(value))
        if not text:
            return None
        try:
            found = json.loads(text, parse_constant=_no_constant)
            json.dumps(found, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            if "$" in text:
                return text
            told = {"line": error.lineno, "column": error.colno, "detail": error.msg}
            raise forms.ValidationError(
                _("This is not JSON: line %(line)s, column %(column)s: %(detail)s.") % told
            ) from error
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_("This JSON has a value that cannot be sent.")) from error
        return text if isinstance(found, str) else found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
