"""The form of an HTTP node: its settings as fields, and back. What is allowed, http_settings says; here are the shapes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from opscenter.base import outbound
from opscenter.base.reasons import Invalid, Refused
from opscenter.console.http_fields import JsonField, PairsField, joined
from opscenter.production import http_settings
from opscenter.production.http_settings import MASK, SUCCESS
from opscenter.production.node_types import HTTP
from opscenter.production.rules import cron
from opscenter.production.rules.parameters import parse_assignments
from workflows.definitions import HTTP_RERUNS, Dependency, NodeDefinition
from workflows.flowspec.settings import MOST_RERUNS, RERUN_INTERVALS

POLL = "callback_"
"""Prefix of the fields of the request that polls."""

_FIELDS = {"apiKey": "api_key", "apiKey.header": "api_key_header", "runStatus": "run_status"} | {
    "requestTimeout": "request_timeout",
    "safeToRepeat": "safe_to_repeat",
    "callback": "polls",
    "callback.interval": "interval",
    "callback.success": "statuses",
}
_OFFERED = (SUCCESS, "FINISHED")
_PLAIN = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}


def field_of(setting: str) -> str:
    """The field for a setting as http_settings names it."""
    if setting in _FIELDS:
        return _FIELDS[setting]
    inner = setting.removeprefix("callback.")
    return (POLL if inner != setting else "") + _FIELDS.get(inner, inner)


def _request_fields(prefix: str, required: bool) -> dict[str, forms.Field]:
    secret = {"autocomplete": "new-password"}
    return {
        f"{prefix}method": forms.ChoiceField(
            label=gettext_lazy("Method"), choices=[("GET", "GET"), ("POST", "POST")], initial="GET"
        ),
        f"{prefix}url": forms.CharField(
            label=gettext_lazy("Callback URL") if prefix else gettext_lazy("Request URL"),
            max_length=outbound.LONGEST_URL,
            required=required,
            help_text=gettext_lazy("The task id is appended to its path.") if prefix else "",
            widget=forms.TextInput(attrs=_PLAIN | {"inputmode": "url", "placeholder": "https://"}),
        ),
        f"{prefix}headers": PairsField(
            label=gettext_lazy("Request headers"), separator=":", help_text=gettext_lazy("One on each line: Name: value")
        ),
        f"{prefix}params": PairsField(
            label=gettext_lazy("Request parameters"),
            separator="=",
            help_text=gettext_lazy("One on each line: name=value. They are put behind those of the URL."),
        ),
        f"{prefix}api_key_header": forms.CharField(
            label=gettext_lazy("API key header"), max_length=128, required=False, initial="X-API-Key",
            widget=forms.TextInput(attrs=_PLAIN),
        ),
        f"{prefix}api_key": forms.CharField(
            label=gettext_lazy("API key"), max_length=4000, required=False, widget=forms.PasswordInput(attrs=secret)
        ),
        f"{prefix}drop_api_key": forms.BooleanField(label=gettext_lazy("Remove the stored API key"), required=False),
        f"{prefix}token": forms.CharField(
            label=gettext_lazy("Token"), max_length=4000, required=False, widget=forms.PasswordInput(attrs=secret),
            help_text=gettext_lazy("Sent as Authorization: Bearer."),
        ),
        f"{prefix}drop_token": forms.BooleanField(label=gettext_lazy("Remove the stored token"), required=False),
        f"{prefix}body": JsonField(label=gettext_lazy("Request body (JSON)")),
    }  # fmt: skip


class HttpNodeForm(forms.Form):
    """All of an HTTP node. Secrets go in and never come out: an empty field keeps the one that is stored."""

    use_required_attribute = False

    name = forms.CharField(label=gettext_lazy("Node name"), max_length=255)
    description = forms.CharField(
        label=gettext_lazy("Description"), max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    success = forms.CharField(
        label=gettext_lazy("Validation rule: status codes that succeed"),
        max_length=200,
        initial="2xx",
        help_text=gettext_lazy(
            "2xx, 200, 200-204; several with commas between. With polling also of the first answer."
        ),
        widget=forms.TextInput(attrs=_PLAIN),
    )
    polls = forms.BooleanField(label=gettext_lazy("Poll a callback URL until the task has ended"), required=False)
    interval = forms.IntegerField(
        label=gettext_lazy("Polling interval (seconds)"), min_value=1, max_value=86400, initial=30
    )
    statuses = forms.MultipleChoiceField(
        label=gettext_lazy("Statuses that succeed"),
        choices=[(word, word) for word in _OFFERED],
        initial=[SUCCESS],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("PROCESSING goes on; every status that is not named here fails."),
    )
    other_statuses = forms.CharField(
        label=gettext_lazy("Other statuses that succeed"),
        max_length=500,
        required=False,
        help_text=gettext_lazy("Several with commas between."),
        widget=forms.TextInput(attrs=_PLAIN),
    )
    run_status = forms.ChoiceField(
        label=gettext_lazy("Run status"),
        choices=[("Normal", gettext_lazy("Normal")), ("DoNotExecute", gettext_lazy("Do Not Execute"))],
        help_text=gettext_lazy("Do Not Execute: nothing is sent; the instance succeeds as a dry run."),
    )
    rerun_times = forms.IntegerField(
        label=gettext_lazy("Retry count"), min_value=0, max_value=MOST_RERUNS, initial=HTTP_RERUNS["rerun_times"]
    )
    rerun_interval = forms.IntegerField(
        label=gettext_lazy("Retry interval (minutes)"),
        min_value=RERUN_INTERVALS[0] // 60,
        max_value=RERUN_INTERVALS[1] // 60,
        initial=HTTP_RERUNS["rerun_interval"] // 60,
    )
    timeout = forms.IntegerField(
        label=gettext_lazy("Timeout (minutes)"),
        min_value=0,
        max_value=7 * 24 * 60,
        initial=0,
        help_text=gettext_lazy("Of the whole run; 0 = none. The node fails when it ends."),
    )
    request_timeout = forms.IntegerField(
        label=gettext_lazy("Timeout of one request (seconds)"), min_value=1, max_value=300, initial=30
    )
    safe_to_repeat = forms.ChoiceField(
        label=gettext_lazy("If it is not known whether a request arrived"),
        choices=[
            ("default", gettext_lazy("Repeat only a GET without polling")),
            ("no", gettext_lazy("Never repeat it: the run fails and says so")),
            ("yes", gettext_lazy("Repeat it: the service knows it by its Idempotency-Key")),
        ],
    )
    cron = forms.CharField(
        label=gettext_lazy("Schedule (cron)"),
        max_length=255,
        initial="00 00 00 * * ?",
        help_text=gettext_lazy("Second, minute, hour, day, month, day of the week; in the tenant's time zone."),
        widget=forms.TextInput(attrs=_PLAIN | {"class": "mono"}),
    )
    parameters = forms.CharField(
        label=gettext_lazy("Parameters"),
        max_length=4000,
        required=False,
        help_text=gettext_lazy(
            "name=expression name2=expression; used as ${name} in URL, headers, parameters and body."
        ),
        widget=forms.TextInput(attrs=_PLAIN | {"class": "mono"}),
    )
    upstream = forms.MultipleChoiceField(
        label=gettext_lazy("Runs after"),
        required=False,
        help_text=gettext_lazy("Nodes of this workflow; none: the workspace root."),
    )

    def __init__(
        self, *args: Any, before: NodeDefinition | None = None, upstream: Sequence[tuple[str, str]] = (), **kwargs: Any
    ) -> None:
        self.before = before
        stored = _object(before)
        if before is not None:
            kwargs["initial"] = _initial(before, stored)
        super().__init__(*args, **kwargs)
        self.fields |= _request_fields("", required=True) | _request_fields(POLL, required=True)
        for prefix, part in (("", stored), (POLL, stored.get("callback") or {})):
            key = part.get("apiKey")
            stored_key = key.get("value") if isinstance(key, dict) else None
            self._tell_of_secret(f"{prefix}api_key", f"{prefix}drop_api_key", stored_key)
            self._tell_of_secret(f"{prefix}token", f"{prefix}drop_token", part.get("token"))
        if self.is_bound and not self.data.get("polls"):
            for name in ("interval", f"{POLL}url"):
                self.fields[name].required = False
        if before is not None or not upstream:
            del self.fields["upstream"]
        else:
            chosen = self.fields["upstream"]
            assert isinstance(chosen, forms.MultipleChoiceField)
            chosen.choices = list(upstream)

    def _tell_of_secret(self, name: str, drop: str, stored: Any) -> None:
        if stored:
            field = self.fields[name]
            kept = _("One is stored. Leave this empty to keep it.")
            field.help_text = f"{kept} {field.help_text}".strip()
        else:
            del self.fields[drop]

    def clean_cron(self) -> str:
        try:
            return cron.parse(self.cleaned_data["cron"]).text
        except Invalid as error:
            raise forms.ValidationError(str(error)) from error

    def clean_parameters(self) -> str:
        text = str(self.cleaned_data["parameters"]).strip()
        try:
            parse_assignments(text)
        except Invalid as error:
            raise forms.ValidationError(str(error)) from error
        return text

    def clean(self) -> dict[str, Any]:
        """The node is read back as a run would read it; what http_settings refuses is told at its field."""
        if not self.errors:
            try:
                settings = http_settings.read(self._content())
            except Invalid as error:
                self.refuse(error)
            else:
                self._check_url("url", settings.ask.url)
                if settings.polling is not None:
                    self._check_url(f"{POLL}url", settings.polling.ask.url)
        return self.cleaned_data

    def refuse(self, error: Invalid) -> None:
        """Put a complaint at the fields of the settings that it names."""
        for setting in str(error.reason.params.get("setting", "")).split(", "):
            field = field_of(setting)
            self.add_error(field if field in self.fields else None, str(error))

    def _check_url(self, field: str, url: str) -> None:
        if "$" in url:  # known once its parameters are put in
            return
        try:
            outbound.check_url(url)
        except Refused as error:
            self.add_error(field, str(error))

    def definition(self) -> NodeDefinition:
        """The node as the form says."""
        data = self.cleaned_data
        base = self.before or NodeDefinition(source_id=f"http-{uuid4().hex[:16]}", name="", type=HTTP.code)
        upstream = tuple(Dependency(node=source_id) for source_id in data.get("upstream", ()))
        return replace(
            base,
            name=data["name"],
            description=data["description"],
            content=self._content(),
            parameters=data["parameters"],
            cron=data["cron"],
            rerun_times=data["rerun_times"],
            rerun_interval=data["rerun_interval"] * 60,
            timeout=data["timeout"] * 60,
            dependencies=base.dependencies if self.before is not None else upstream,
        )

    def _content(self) -> str:
        data = self.cleaned_data
        document: dict[str, Any] = self._request("") | {"success": data["success"]}
        if data["polls"]:
            others = [word.strip() for word in data["other_statuses"].split(",") if word.strip()]
            document["callback"] = {
                "interval": data["interval"],
                **self._request(POLL),
                "success": [*data["statuses"], *others],
            }
        document |= {"runStatus": data["run_status"], "requestTimeout": data["request_timeout"]}
        if data["safe_to_repeat"] != "default":
            document["safeToRepeat"] = data["safe_to_repeat"] == "yes"
        return json.dumps(document, ensure_ascii=False, indent=2)

    def _request(self, prefix: str) -> dict[str, Any]:
        data = self.cleaned_data
        asked: dict[str, Any] = {"url": data[f"{prefix}url"], "method": data[f"{prefix}method"]}
        for name in ("headers", "params"):
            if data[f"{prefix}{name}"]:
                asked[name] = data[f"{prefix}{name}"]
        if key := self._secret(f"{prefix}api_key", f"{prefix}drop_api_key"):
            asked["apiKey"] = {"header": data[f"{prefix}api_key_header"] or "X-API-Key", "value": key}
        if token := self._secret(f"{prefix}token", f"{prefix}drop_token"):
            asked["token"] = token
        if data[f"{prefix}body"] is not None:
            asked["body"] = data[f"{prefix}body"]
        return asked

    def _secret(self, name: str, drop: str) -> str:
        """What was typed; else the mark that keeps the stored one, unless it is to be removed."""
        if self.cleaned_data[name]:
            return str(self.cleaned_data[name])
        return MASK if drop in self.fields and not self.cleaned_data[drop] else ""


def _object(before: NodeDefinition | None) -> dict[str, Any]:
    """The stored document; empty where it cannot be read."""
    try:
        found = json.loads(before.content) if before is not None else {}
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return found | {"callback": found["callback"] if isinstance(found.get("callback"), dict) else None}


def _initial(before: NodeDefinition, stored: Mapping[str, Any]) -> dict[str, Any]:
    callback = stored.get("callback") or {}
    statuses = callback.get("success", [SUCCESS])
    words = [str(word) for word in statuses] if isinstance(statuses, list) else []
    safe = stored.get("safeToRepeat")
    return {
        **_initial_request("", stored),
        **_initial_request(POLL, callback),
        "name": before.name,
        "description": before.description,
        "success": stored.get("success", "2xx"),
        "polls": bool(callback),
        "interval": callback.get("interval", 30),
        "statuses": [word for word in words if word in _OFFERED],
        "other_statuses": ", ".join(word for word in words if word not in _OFFERED),
        "run_status": stored.get("runStatus", "Normal"),
        "rerun_times": before.rerun_times,
        "rerun_interval": -(-before.rerun_interval // 60),
        "timeout": -(-before.timeout // 60),
        "request_timeout": stored.get("requestTimeout", 30),
        "safe_to_repeat": {True: "yes", False: "no"}[safe] if isinstance(safe, bool) else "default",
        "cron": before.cron,
        "parameters": before.parameters,
    }


def _initial_request(prefix: str, part: Mapping[str, Any]) -> dict[str, Any]:
    key = part.get("apiKey")
    found = {
        "url": part.get("url", ""),
        "method": part.get("method", "GET"),
        "headers": joined(part.get("headers"), ": "),
        "params": joined(part.get("params"), "="),
        "api_key_header": key.get("header", "X-API-Key") if isinstance(key, dict) else "X-API-Key",
        "body": part.get("body"),
    }
    return {f"{prefix}{name}": value for name, value in found.items()}
