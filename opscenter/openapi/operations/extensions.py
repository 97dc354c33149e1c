"""Extensions by the 2020 API: their verdicts, and which there are."""

import json
from typing import Any

from django.db.models import Q, QuerySet

from extensions import lifecycle, options, parameters
from extensions.models import Check, Enablement, Extension
from extensions.points import POINTS
from opscenter.base.reasons import NotFound
from opscenter.openapi import finding
from opscenter.openapi.errors import missing
from opscenter.openapi.fields import Integer, Request, Text, Word
from opscenter.openapi.paging import Paged, page
from opscenter.openapi.registry import Args, operation
from opscenter.openapi.wording import given
from opscenter.operations import checked
from opscenter.operations.actor import Actor
from opscenter.workspaces.models import AccessKey, Workspace
from opscenter.workspaces.roles import Permission

Verdict = Check.Verdict
_LONGEST_TIP = 100_000
"""Characters of a reason that are read; what is kept of them is the checks' matter. A long one must not cost a verdict."""


class CheckResult(Word):
    """OK or FAIL: WARN is a word of the other call."""

    default_error_messages = {
        "invalid": "It must be one of: {words}.",
        "warn": "It must be one of: OK, FAIL. This call knows no WARN; CallbackExtension and the callback URL do.",
    }

    def to_internal_value(self, data: Any) -> str:
        if str(data).upper() == Verdict.WARN:
            self.fail("warn")
        return super().to_internal_value(data)


class UpdateWorkbenchEventResult(Request):
    MessageId = Text()
    ExtensionCode = Text()
    CheckResult = CheckResult(Verdict.OK.value, Verdict.FAIL.value)
    CheckResultTip = Text(_LONGEST_TIP, required=False)


class CallbackExtension(Request):
    MessageId = Text()
    ExtensionCode = Text()
    CheckResult = Word(*Verdict.values)
    CheckMessage = Text(_LONGEST_TIP, required=False)


class GetExtension(Request):
    ExtensionCode = Text()


class ListEnabledExtensionsForProject(Request):
    ProjectId = Integer()
    EventCode = Text()
    FileType = Text(required=False)


class GetOptionValueForProject(Request):
    ExtensionCode = Text()
    ProjectId = Integer()


@operation("2020-05-18", "UpdateWorkbenchEventResult", UpdateWorkbenchEventResult, None, answers_checks=True)
def update_workbench_event_result(actor: Actor, args: Args) -> Args:
    """An extension's verdict; the caller's key must speak for the extension."""
    _answer(actor, args, args["CheckResultTip"])
    return {"Success": True}


@operation("2020-05-18", "CallbackExtension", CallbackExtension, None, answers_checks=True)
def callback_extension(actor: Actor, args: Args) -> Args:
    """The same with WARN: passed, with a warning. ``Success`` is text here."""
    if args["CheckResult"] == Verdict.FAIL and not args["CheckMessage"]:
        raise missing("CheckMessage")
    _answer(actor, args, args["CheckMessage"])
    return {"Success": "true"}


def _answer(actor: Actor, args: Args, words: str | None) -> None:
    checked.answer_by_key(actor, args["MessageId"], args["ExtensionCode"], Verdict(args["CheckResult"]), words or "")


@operation("2020-05-18", "GetExtension", GetExtension, None, answers_checks=True)
def get_extension(actor: Actor, args: Args) -> Args:
    return {"Extension": _details(_found(actor, args["ExtensionCode"]))}


def _found(actor: Actor, code: str) -> Extension:
    found = _visible_to(actor).filter(code=code).first()
    if found is None:
        raise NotFound("verdict.unknown_extension", extension=code[:64])
    return found


@operation("2020-05-18", "ListExtensions", Paged, None)
def list_extensions(actor: Actor, args: Args) -> Args:
    """The caller's own extensions, and those that may be asked in the caller's workspaces."""
    return {"PagingInfo": page(_visible_to(actor).order_by("-pk"), args, "Extensions", _listed)}


@operation("2020-05-18", "ListEnabledExtensionsForProject", ListEnabledExtensionsForProject, Permission.VIEW)
def list_enabled_extensions_for_project(actor: Actor, args: Args) -> Args:
    """Who will be asked in a workspace about one kind of event; of the kinds that do not exist here, nobody."""
    workspace = finding.workspace(actor, args["ProjectId"])
    types = _types(args["FileType"])
    asked = lifecycle.listeners(workspace, args["EventCode"], None if types is None else lambda: types)
    return {"Extensions": [_enabled(listener.extension) for listener in asked]}


def _types(file_type: str | None) -> list[str] | None:
    """Our code of a node type; one that is not run here has no parameters of its own."""
    code = parameters.type_of(file_type) if file_type else None
    return None if code is None else [code]


@operation("2020-05-18", "GetOptionValueForProject", GetOptionValueForProject, None, answers_checks=True)
def get_option_value_for_project(actor: Actor, args: Args) -> Args:
    """What a workspace has filled in for an extension, as JSON text; the defaults where it has not.

    For the extension's own keys in every workspace of its tenant; for others in the workspaces that they are members of.
    """
    extension = _found(actor, args["ExtensionCode"])
    key = AccessKey.objects.get(key_id=actor.access_key_id)
    if lifecycle.speaks_for(extension, actor.user, actor.access_key_id) or key.scope != AccessKey.Scope.ALL:
        known = Workspace.objects.filter(tenant=extension.tenant_id, pk=args["ProjectId"]).first()
        if known is None:
            raise NotFound("workspace.unknown", workspace=args["ProjectId"])
        workspace = known
    else:
        workspace = finding.workspace(actor, args["ProjectId"])
    enablement = Enablement.objects.filter(extension=extension, workspace=workspace).first()
    values = options.current(options.read(extension.options), enablement.option_values if enablement else {})
    return {"OptionValue": json.dumps(values, ensure_ascii=False, separators=(",", ":"))}


def _visible_to(actor: Actor) -> QuerySet[Extension]:
    """Those that the caller may know of; with a key that was made for an extension, that one alone."""
    shown = Extension.objects.select_related("owner", "created_by", "modified_by")
    key = AccessKey.objects.get(key_id=actor.access_key_id)
    if key.scope != AccessKey.Scope.ALL:
        return shown.filter(keys__access_key=key)
    theirs = actor.user.memberships.values("workspace")
    visible = (
        Q(owner=actor.user)
        | Q(status=Extension.Status.ONLINE, tenant__workspaces__in=theirs)
        | Q(status__in=lifecycle.IN_TEST, test_workspace__in=theirs)
    )
    if actor.user.is_tenant_admin:
        visible |= Q(tenant=actor.user.tenant_id)
    return shown.filter(visible).distinct()


def _listed(extensions: list[Extension]) -> list[Args]:
    return [_extension(one) | {"Owner": str(one.owner.uid)} for one in extensions]


def _extension(extension: Extension) -> Args:
    return {
        "ExtensionCode": extension.code,
        "ExtensionName": extension.name,
        "ExtensionDesc": extension.description,
        "Status": extension.status,
        "BindEventList": [{"EventCode": code, "EventName": str(POINTS[code].name)} for code in extension.points],
    }


def _details(extension: Extension) -> Args:
    categories = {POINTS[code].category: str(POINTS[code].category_name) for code in extension.points}
    return _extension(extension) | {
        "EventCategoryList": [{"CategoryCode": code, "CategoryName": name} for code, name in categories.items()],
        "DetailUrl": extension.detail_url,
        "HelpDocUrl": extension.help_url,
        "ParameterSetting": _parameters(extension),
        "OptionSetting": extension.options,
        "ProjectTesting": extension.test_workspace_id,
    }


def _enabled(extension: Extension) -> Args:
    return given(
        {
            "ExtensionCode": extension.code,
            "ExtensionName": extension.name,
            "ExtensionDesc": extension.description,
            "Owner": str(extension.owner.uid),
            "CreateUser": str(extension.created_by.uid) if extension.created_by else None,
            "ModifyUser": str(extension.modified_by.uid) if extension.modified_by else None,
            "ParameterSetting": _parameters(extension),
            "TenantId": extension.tenant_id,
        }
    )


def _parameters(extension: Extension) -> str:
    return parameters.setting(extension.parameters, manual_pass=extension.allows_mark_passed)
