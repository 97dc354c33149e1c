"""What the parameters of the audit trail's entries tell, in words; which code is told how stands in actions.py."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base.reasons import say
from opscenter.operations import run_parameters
from opscenter.operations.permits import role_names
from opscenter.operations.registry import OPERATIONS, arguments_in_words
from opscenter.production.models import Environment
from opscenter.workspaces.roles import PERMISSION_NAMES, Permission

Params = Mapping[str, Any]


def nothing(params: Params) -> str:
    """Its name says it all."""
    return ""


def roles(params: Params) -> str:
    return role_names(params["roles"], params.get("names"))


def changed_roles(params: Params) -> str:
    names = params.get("names")
    return _("%(before)s → %(after)s") % {
        "before": role_names(params["before"], names),
        "after": role_names(params["after"], names),
    }


def role(params: Params) -> str:
    """What a role of the workspace's own allows."""
    return "; ".join(
        [_permission(code) for code in params["grants"]]
        + [_("%(permission)s (own tasks)") % {"permission": _permission(code)} for code in params["own_only"]]
    )


def changed_role(params: Params) -> str:
    """What was added and what was taken away, and a new name."""
    before, after = _rights(params["before"]), _rights(params["after"])
    changes = [f"+ {one}" for one in after if one not in before] + [f"− {one}" for one in before if one not in after]
    if params["before"]["name"] != params["after"]["name"]:
        changes.insert(0, _("%(before)s → %(after)s") % {side: params[side]["name"] for side in ("before", "after")})
    return "; ".join(changes)


def _rights(params: Params) -> list[str]:
    return [text for text in role(params).split("; ") if text]


def _permission(code: str) -> str:
    return str(PERMISSION_NAMES[Permission(code)])


def operated(params: Params) -> str:
    """How many instances, how many not, and the comment."""
    done = len(params["done"])
    return _results(ngettext("%(n)s instance", "%(n)s instances", done) % {"n": done}, params)


def operated_tasks(params: Params) -> str:
    """The same of tasks."""
    done = len(params["done"])
    return _results(ngettext("%(n)s task", "%(n)s tasks", done) % {"n": done}, params)


def operated_backfills(params: Params) -> str:
    """The same of backfills."""
    done = len(params["done"])
    return _results(ngettext("%(n)s backfill", "%(n)s backfills", done) % {"n": done}, params)


def told(code: str, words: Callable[[Params], str]) -> Callable[[Params], str]:
    """The same with the arguments of the operation first."""

    def say_both(params: Params) -> str:
        return f"{arguments_in_words(code, params['arguments'])}; {words(params)}"

    return say_both


def _results(done: str, params: Params) -> str:
    refused = len(params["refused"])
    parts = [done, ngettext("%(n)s refused", "%(n)s refused", refused) % {"n": refused}] if refused else [done]
    return _with_comment(", ".join(parts), params)


def asked(params: Params) -> str:
    """What was asked for, and whom it waits for."""
    extensions = _("%(operation)s; checked by %(extensions)s") % {
        "operation": _operation(params),
        "extensions": ", ".join(params["extensions"]),
    }
    return _with_comment(extensions, params)


def _operation(params: Params) -> str:
    return str(OPERATIONS[params["operation"]].name)


def started(params: Params) -> str:
    """What is done to how many."""
    return _with_comment(
        _("%(operation)s; %(n)s objects") % {"operation": _operation(params), "n": params["count"]}, params
    )


def finished(params: Params) -> str:
    """What was done to how many, and to how many not."""
    values = {"operation": _operation(params), "done": params["done"], "refused": params["refused"]}
    return _with_comment(_("%(operation)s; done: %(done)s, refused: %(refused)s") % values, params)


def cancelled(params: Params) -> str:
    """What was cancelled; of a job, how many objects it did not reach."""
    if "left" not in params:
        return _operation(params)
    return _("%(operation)s; not reached: %(n)s") % {"operation": _operation(params), "n": params["left"]}


def blocked(params: Params) -> str:
    return f"{_operation(params)}. {say('operation.blocked', params)}"


def passed(params: Params) -> str:
    return _with_comment(str(params["extension"]), params)


def ran(params: Params) -> str:
    text = _("business date %(bizdate)s") % {"bizdate": params["bizdate"]}
    given = run_parameters.in_words(params.get("parameters"))
    return _with_comment(f"{text}, {given}" if given else text, params)


def ran_manually(params: Params) -> str:
    count = ngettext("%(n)s instance", "%(n)s instances", params["count"]) % {"n": params["count"]}
    return f"{count}, {ran(params)}"


def _with_comment(text: str, params: Params) -> str:
    return (
        _("%(text)s: “%(comment)s”") % {"text": text, "comment": params["comment"]} if params.get("comment") else text
    )


def triggered(params: Params) -> str:
    from opscenter.production.models import TriggerCommand

    names = dict(TriggerCommand.Status.choices)
    return str(names.get(params["outcome"], params["outcome"]))


def imported(params: Params) -> str:
    values = {
        "created": len(params["created"]),
        "updated": len(params["updated"]),
        "unchanged": params["unchanged"],
    }
    return _("%(created)s new, %(updated)s changed, %(unchanged)s unchanged nodes") % values


def published(params: Params) -> str:
    count = len(params["tasks"])
    text = ngettext("%(n)s task", "%(n)s tasks", count) % {"n": count}
    return _("%(text)s: “%(comment)s”") % {"text": text, "comment": params["message"]}


def uploaded(params: Params) -> str:
    return _("version %(version)s, SHA-256 %(sha256)s…") % {
        "version": params["version"],
        "sha256": params["sha256"][:12],
    }


def changed_settings(params: Params) -> str:
    names = {
        "display_name": _("Display name"),
        "description": _("Description"),
        "periodic_scheduling": _("Periodic scheduling"),
        "keep_instances": _("Keep instances (days)"),
        "keep_logs": _("Keep logs of instances (days)"),
        "keep_events": _("Keep messages to extensions (days)"),
        "keep_receipts": _("Keep receipts of trigger calls (days)"),
    }
    return "; ".join(
        f"{names[field]}: {_value(before)} → {_value(after)}" for field, (before, after) in params["changed"].items()
    )


def slots(params: Params) -> str:
    return ngettext("%(n)s slot", "%(n)s slots", params["slots"]) % {"n": params["slots"]}


def changed_group(params: Params) -> str:
    names = {"slots": _("Slots"), "description": _("Description")}
    return "; ".join(
        f"{names[field]}: {_value(before)} → {_value(after)}" for field, (before, after) in params["changed"].items()
    )


def connected(params: Params) -> str:
    return _("%(place)s in %(environment)s") % {
        "place": params["place"],
        "environment": str(dict(Environment.choices)[params["environment"]]),
    }


def changed_source(params: Params) -> str:
    names = {
        "host": _("Host"),
        "port": _("Port"),
        "database": _("Database"),
        "username": _("User name"),
        "password": _("Password"),
        "sslmode": _("Encryption"),
        "file": _("File"),
        "description": _("Description"),
    }
    return ", ".join([connected(params), *(names.get(field, field) for field in params["changed"])])


def version(params: Params) -> str:
    return _("version %(version)s") % params


def tried(params: Params) -> str:
    """Whom the request went to, and what came of it."""
    told = params["status"] or say(params["reason"]["code"], params["reason"]["params"])
    return f"{params['method']} {params['host']}: {told}"


def parameter(params: Params) -> str:
    """Where it holds, and what it means; of a change, what it meant before."""
    where = str(dict(Environment.choices)[params["environment"]]) if params["environment"] else _("all workspaces")
    text = params["expression"] or "''"
    if "before" in params:
        text = _changed(params["before"], text)
    return _("%(text)s, %(where)s") % {"text": text, "where": where}


def changed_parameters(params: Params) -> str:
    """All parameters of a workflow, before and now."""
    return _changed(params["before"], params["parameters"] or "''")


def _changed(before: str, after: str) -> str:
    return _("%(before)s → %(after)s") % {"before": before or "''", "after": after}


def tested(params: Params) -> str:
    return _("%(place)s: it answered") % params if params["answered"] else _("%(place)s: no connection") % params


def removed(params: Params) -> str:
    """How many of what, and of which day."""
    names = {
        "instances": _("Instances: %(count)s"),
        "logs": _("Logs of attempts: %(count)s"),
        "events": _("Messages to extensions: %(count)s"),
        "receipts": _("Receipts of trigger calls: %(count)s"),
    }
    what = names[params["kind"]] % params
    return what if "day" not in params else f"{what} ({params['day']}, {params['environment']})"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return _("on") if value else _("off")
    return f"“{value}”"


def bound(params: Params) -> str:
    """The extension points in words."""
    from extensions.points import POINTS

    return ", ".join(str(POINTS[code].name) if code in POINTS else code for code in params["points"])


def point(params: Params) -> str:
    return bound({"points": [params["point"]]})


def comment(params: Params) -> str:
    return f"“{params['comment']}”" if params.get("comment") else ""


def key(params: Params) -> str:
    return str(params["key"])


def changed_facts(params: Params) -> str:
    names = {
        "name": _("Name"),
        "description": _("Description"),
        "webhook_url": _("Webhook address"),
        "points": _("Extension points"),
        "test_workspace": _("Test workspace"),
        "owner": _("Owner"),
        "detail_url": _("Details page"),
        "help_url": _("Documentation"),
        "allows_mark_passed": _("Marking as passed"),
        "parameters": _("Parameters"),
        "options": _("Options"),
    }
    return ", ".join(names[field] for field in params["changed"])


def ended_checks(params: Params) -> str:
    count = params["checks"]
    return ngettext("%(n)s open check ended as passed", "%(n)s open checks ended as passed", count) % {"n": count}


def stopped(params: Params) -> str:
    return say(params["reason"]["code"], params["reason"]["params"])


def replayed_since(params: Params) -> str:
    text = ngettext("%(count)s message since %(since)s", "%(count)s messages since %(since)s", params["count"])
    return text % params


_SETTINGS = ("is_mandatory", "answer_limit", "silence_blocks")


def enabled(params: Params) -> str:
    return ", ".join(_setting(name, params[name]) for name in _SETTINGS)


def changed_enablement(params: Params) -> str:
    changed = [(name, *params["changed"][name]) for name in _SETTINGS if name in params["changed"]]
    parts = [f"{_setting(name, before)} → {_setting(name, after)}" for name, before, after in changed]
    before, after = params["changed"].get("option_values", ({}, {}))
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(parts + ([_("options: %(names)s") % {"names": ", ".join(names)}] if names else []))


def _setting(name: str, value: Any) -> str:
    """A setting of an extension in a workspace."""
    if name == "answer_limit":
        return ngettext("answer within %(n)s second", "answer within %(n)s seconds", value) % {"n": value}
    words = {
        "is_mandatory": (_("mandatory"), _("advisory")),
        "silence_blocks": (_("no answer blocks"), _("no answer passes")),
    }
    return words[name][0 if value else 1]
