"""What the codes of the audit trail mean, in words. Every code that is recorded has its entry here; a test compares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from opscenter.base.reasons import say
from opscenter.operations import run_parameters
from opscenter.operations.permits import role_names
from opscenter.operations.registry import OPERATIONS, arguments_in_words
from opscenter.production.models import Environment
from opscenter.workspaces.roles import PERMISSION_NAMES, Permission

Params = Mapping[str, Any]


def _nothing(params: Params) -> str:
    return ""


@dataclass(frozen=True)
class Action:
    """A kind of entry: its name, and what its parameters tell beyond it."""

    code: str
    name: Promise
    words: Callable[[Params], str] = _nothing

    def details(self, params: Params) -> str:
        """The parameters in words; those of an entry that an older version wrote otherwise are shown as they are."""
        try:
            return self.words(params)
        except (LookupError, TypeError, ValueError):
            return " ".join(f"{name}={value}" for name, value in params.items())


def _roles(params: Params) -> str:
    return role_names(params["roles"], params.get("names"))


def _changed_roles(params: Params) -> str:
    names = params.get("names")
    return _("%(before)s → %(after)s") % {
        "before": role_names(params["before"], names),
        "after": role_names(params["after"], names),
    }


def _role(params: Params) -> str:
    """What a role of the workspace's own allows."""
    return "; ".join(
        [_permission(code) for code in params["grants"]]
        + [_("%(permission)s (own tasks)") % {"permission": _permission(code)} for code in params["own_only"]]
    )


def _changed_role(params: Params) -> str:
    """What was added and what was taken away, and a new name."""
    before, after = _rights(params["before"]), _rights(params["after"])
    changes = [f"+ {one}" for one in after if one not in before] + [f"− {one}" for one in before if one not in after]
    if params["before"]["name"] != params["after"]["name"]:
        changes.insert(0, _("%(before)s → %(after)s") % {side: params[side]["name"] for side in ("before", "after")})
    return "; ".join(changes)


def _rights(role: Params) -> list[str]:
    return [text for text in _role(role).split("; ") if text]


def _permission(code: str) -> str:
    return str(PERMISSION_NAMES[Permission(code)])


def _operated(params: Params) -> str:
    """How many instances, how many not, and the comment."""
    done = len(params["done"])
    return _results(ngettext("%(n)s instance", "%(n)s instances", done) % {"n": done}, params)


def _operated_tasks(params: Params) -> str:
    """The same of tasks."""
    done = len(params["done"])
    return _results(ngettext("%(n)s task", "%(n)s tasks", done) % {"n": done}, params)


def _operated_backfills(params: Params) -> str:
    """The same of backfills."""
    done = len(params["done"])
    return _results(ngettext("%(n)s backfill", "%(n)s backfills", done) % {"n": done}, params)


def _told(code: str, words: Callable[[Params], str]) -> Callable[[Params], str]:
    """The same with the arguments of the operation first."""

    def say_both(params: Params) -> str:
        return f"{arguments_in_words(code, params['arguments'])}; {words(params)}"

    return say_both


def _results(done: str, params: Params) -> str:
    refused = len(params["refused"])
    parts = [done, ngettext("%(n)s refused", "%(n)s refused", refused) % {"n": refused}] if refused else [done]
    return _with_comment(", ".join(parts), params)


def _asked(params: Params) -> str:
    """What was asked for, and whom it waits for."""
    extensions = _("%(operation)s; checked by %(extensions)s") % {
        "operation": _operation(params),
        "extensions": ", ".join(params["extensions"]),
    }
    return _with_comment(extensions, params)


def _operation(params: Params) -> str:
    return str(OPERATIONS[params["operation"]].name)


def _started(params: Params) -> str:
    """What is done to how many."""
    return _with_comment(
        _("%(operation)s; %(n)s objects") % {"operation": _operation(params), "n": params["count"]}, params
    )


def _finished(params: Params) -> str:
    """What was done to how many, and to how many not."""
    values = {"operation": _operation(params), "done": params["done"], "refused": params["refused"]}
    return _with_comment(_("%(operation)s; done: %(done)s, refused: %(refused)s") % values, params)


def _cancelled(params: Params) -> str:
    """What was cancelled; of a job, how many objects it did not reach."""
    if "left" not in params:
        return _operation(params)
    return _("%(operation)s; not reached: %(n)s") % {"operation": _operation(params), "n": params["left"]}


def _blocked(params: Params) -> str:
    return f"{_operation(params)}. {say('operation.blocked', params)}"


def _passed(params: Params) -> str:
    return _with_comment(str(params["extension"]), params)


def _ran(params: Params) -> str:
    text = _("business date %(bizdate)s") % {"bizdate": params["bizdate"]}
    given = run_parameters.in_words(params.get("parameters"))
    return _with_comment(f"{text}, {given}" if given else text, params)


def _ran_manually(params: Params) -> str:
    count = ngettext("%(n)s instance", "%(n)s instances", params["count"]) % {"n": params["count"]}
    return f"{count}, {_ran(params)}"


def _with_comment(text: str, params: Params) -> str:
    return (
        _("%(text)s: “%(comment)s”") % {"text": text, "comment": params["comment"]} if params.get("comment") else text
    )


def _triggered(params: Params) -> str:
    from opscenter.production.models import TriggerCommand

    names = dict(TriggerCommand.Status.choices)
    return str(names.get(params["outcome"], params["outcome"]))


def _imported(params: Params) -> str:
    values = {
        "created": len(params["created"]),
        "updated": len(params["updated"]),
        "unchanged": params["unchanged"],
    }
    return _("%(created)s new, %(updated)s changed, %(unchanged)s unchanged nodes") % values


def _published(params: Params) -> str:
    count = len(params["tasks"])
    text = ngettext("%(n)s task", "%(n)s tasks", count) % {"n": count}
    return _("%(text)s: “%(comment)s”") % {"text": text, "comment": params["message"]}


def _uploaded(params: Params) -> str:
    return _("version %(version)s, SHA-256 %(sha256)s…") % {
        "version": params["version"],
        "sha256": params["sha256"][:12],
    }


def _changed_settings(params: Params) -> str:
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


def _slots(params: Params) -> str:
    return ngettext("%(n)s slot", "%(n)s slots", params["slots"]) % {"n": params["slots"]}


def _changed_group(params: Params) -> str:
    names = {"slots": _("Slots"), "description": _("Description")}
    return "; ".join(
        f"{names[field]}: {_value(before)} → {_value(after)}" for field, (before, after) in params["changed"].items()
    )


def _connected(params: Params) -> str:
    return _("%(place)s in %(environment)s") % {
        "place": params["place"],
        "environment": str(dict(Environment.choices)[params["environment"]]),
    }


def _changed_source(params: Params) -> str:
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
    return ", ".join([_connected(params), *(names.get(field, field) for field in params["changed"])])


def _version(params: Params) -> str:
    return _("version %(version)s") % params


def _tried(params: Params) -> str:
    """Whom the request went to, and what came of it."""
    told = params["status"] or say(params["reason"]["code"], params["reason"]["params"])
    return f"{params['method']} {params['host']}: {told}"


def _parameter(params: Params) -> str:
    """Where it holds, and what it means; of a change, what it meant before."""
    where = str(dict(Environment.choices)[params["environment"]]) if params["environment"] else _("all workspaces")
    text = params["expression"] or "''"
    if "before" in params:
        text = _("%(before)s → %(after)s") % {"before": params["before"] or "''", "after": text}
    return _("%(text)s, %(where)s") % {"text": text, "where": where}


def _tested(params: Params) -> str:
    return _("%(place)s: it answered") % params if params["answered"] else _("%(place)s: no connection") % params


def _removed(params: Params) -> str:
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


def _bound(params: Params) -> str:
    """The extension points in words."""
    from extensions.points import POINTS

    return ", ".join(str(POINTS[code].name) if code in POINTS else code for code in params["points"])


def _point(params: Params) -> str:
    return _bound({"points": [params["point"]]})


def _comment(params: Params) -> str:
    return f"“{params['comment']}”" if params.get("comment") else ""


def _key(params: Params) -> str:
    return str(params["key"])


def _changed_facts(params: Params) -> str:
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


def _ended_checks(params: Params) -> str:
    count = params["checks"]
    return ngettext("%(n)s open check ended as passed", "%(n)s open checks ended as passed", count) % {"n": count}


def _stopped(params: Params) -> str:
    return say(params["reason"]["code"], params["reason"]["params"])


def _replayed_since(params: Params) -> str:
    text = ngettext("%(count)s message since %(since)s", "%(count)s messages since %(since)s", params["count"])
    return text % params


_SETTINGS = ("is_mandatory", "answer_limit", "silence_blocks")


def _enabled(params: Params) -> str:
    return ", ".join(_setting(name, params[name]) for name in _SETTINGS)


def _changed_enablement(params: Params) -> str:
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


ACTIONS: dict[str, Action] = {
    action.code: action
    for action in (
        Action("session.sign_in", gettext_lazy("Signed in")),
        Action("session.sign_out", gettext_lazy("Signed out")),
        Action("session.sign_in_failed", gettext_lazy("Failed to sign in")),
        Action("user.create", gettext_lazy("Created the user")),
        Action("user.change_password", gettext_lazy("Changed the password")),
        Action("access_key.create", gettext_lazy("Created the access key"), lambda params: str(params["description"])),
        Action("access_key.revoke", gettext_lazy("Revoked the access key"), lambda params: str(params["description"])),
        Action("tenant.create", gettext_lazy("Created the tenant"), lambda params: str(params["time_zone"])),
        Action("workspace.create", gettext_lazy("Created the workspace")),
        Action("workspace.update", gettext_lazy("Changed the workspace"), _changed_settings),
        Action("retention.remove", gettext_lazy("Removed what the workspace no longer keeps"), _removed),
        Action("member.add", gettext_lazy("Added the member"), _roles),
        Action("member.change_roles", gettext_lazy("Changed roles"), _changed_roles),
        Action("member.remove", gettext_lazy("Removed the member"), _roles),
        Action("role.create", gettext_lazy("Made the role"), _role),
        Action("role.change", gettext_lazy("Changed the role"), _changed_role),
        Action("role.delete", gettext_lazy("Deleted the role"), _role),
        Action("workflow.import", pgettext_lazy("action", "Imported"), _imported),
        Action("workflow.publish", pgettext_lazy("action", "Published"), _published),
        Action("resource.upload", gettext_lazy("Uploaded the resource"), _uploaded),
        Action("resource.delete", gettext_lazy("Deleted the resource")),
        Action("data_source.create", gettext_lazy("Added the data source"), _connected),
        Action("data_source.update", gettext_lazy("Changed the data source"), _changed_source),
        Action("data_source.delete", gettext_lazy("Deleted the data source"), _connected),
        Action("data_source.test", gettext_lazy("Tested the data source"), _tested),
        Action("node.save", gettext_lazy("Saved the draft node"), _version),
        Action("node.try", gettext_lazy("Tried the request"), _tried),
        Action("parameter.create", gettext_lazy("Added the parameter"), _parameter),
        Action("parameter.update", gettext_lazy("Changed the parameter"), _parameter),
        Action("parameter.delete", gettext_lazy("Deleted the parameter"), _parameter),
        Action("resource_group.create", gettext_lazy("Added the resource group"), _slots),
        Action("resource_group.update", gettext_lazy("Changed the resource group"), _changed_group),
        Action("resource_group.associate", gettext_lazy("Associated the resource group")),
        Action("resource_group.dissociate", gettext_lazy("Dissociated the resource group")),
        Action("task.run_now", gettext_lazy("Ran the task now"), _ran),
        Action("task.run_manually", gettext_lazy("Ran tasks manually"), _ran_manually),
        Action("task.freeze", gettext_lazy("Froze tasks"), _operated_tasks),
        Action("task.unfreeze", gettext_lazy("Unfroze tasks"), _operated_tasks),
        Action("backfill.make", gettext_lazy("Asked for a backfill"), _operated_backfills),
        Action("backfill.pause", gettext_lazy("Paused backfills"), _operated_backfills),
        Action("backfill.resume", gettext_lazy("Resumed backfills"), _operated_backfills),
        Action("backfill.stop", gettext_lazy("Stopped backfills"), _operated_backfills),
        Action("backfill.rerun", gettext_lazy("Reran what failed in backfills"), _operated_backfills),
        Action("task.undeploy", gettext_lazy("Undeployed tasks"), _operated_tasks),
        Action("task.set_owner", gettext_lazy("Changed the owner of tasks"), _told("set_owner_task", _operated_tasks)),
        Action(
            "task.set_resource_group",
            gettext_lazy("Changed the resource group of tasks"),
            _told("set_resource_group_task", _operated_tasks),
        ),
        Action(
            "task.set_priority",
            gettext_lazy("Changed the priority of tasks"),
            _told("set_priority_task", _operated_tasks),
        ),
        Action("operation.ask", gettext_lazy("Asked extensions first"), _asked),
        Action("operation.block", gettext_lazy("Blocked the operation"), _blocked),
        Action("operation.start", gettext_lazy("Started a job"), _started),
        Action("operation.finish", gettext_lazy("Ended a job"), _finished),
        Action("operation.cancel", gettext_lazy("Cancelled the operation"), _cancelled),
        Action("check.mark_passed", gettext_lazy("Marked the check as passed"), _passed),
        Action("instance.trigger", gettext_lazy("Triggered"), _triggered),
        Action("instance.stop", gettext_lazy("Stopped instances"), _operated),
        Action("instance.rerun", gettext_lazy("Reran instances"), _operated),
        Action(
            "instance.rerun_downstream",
            gettext_lazy("Reran instances with chosen downstream"),
            _operated,
        ),
        Action(
            "instance.force_rerun",
            gettext_lazy("Forced reruns of everything downstream"),
            _told("force_rerun", _operated),
        ),
        Action(
            "instance.remove_dependencies",
            gettext_lazy("Removed dependencies of instances"),
            _told("remove_dependencies", _operated),
        ),
        Action("instance.set_success", gettext_lazy("Set instances to succeeded"), _operated),
        Action("instance.freeze", gettext_lazy("Froze instances"), _operated),
        Action("instance.unfreeze", gettext_lazy("Unfroze instances"), _operated),
        Action(
            "instance.set_priority",
            gettext_lazy("Changed the priority of instances"),
            _told("set_priority", _operated),
        ),
        Action(
            "instance.set_resource_group",
            gettext_lazy("Changed the resource group of instances"),
            _told("set_resource_group", _operated),
        ),
        Action("extension.register", gettext_lazy("Registered the extension"), _bound),
        Action("extension.update", gettext_lazy("Changed the extension"), _changed_facts),
        Action("extension.submit", gettext_lazy("Submitted the extension for approval")),
        Action("extension.withdraw", gettext_lazy("Withdrew the extension from approval")),
        Action("extension.approve", gettext_lazy("Approved the extension"), _comment),
        Action("extension.refuse", gettext_lazy("Refused the extension"), _comment),
        Action("extension.publish", gettext_lazy("Published the extension")),
        Action("extension.reopen", gettext_lazy("Took the extension back to testing")),
        Action("extension.disable", gettext_lazy("Disabled the extension everywhere"), _ended_checks),
        Action("extension.rotate_secret", gettext_lazy("Rotated the extension's signing secret")),
        Action("extension.create_key", gettext_lazy("Created a key of the extension"), _key),
        Action("extension.revoke_key", gettext_lazy("Revoked a key of the extension"), _key),
        Action("extension.enable", gettext_lazy("Enabled the extension"), _enabled),
        Action("extension.settings", gettext_lazy("Changed the extension's settings"), _changed_enablement),
        Action("extension.disable_here", gettext_lazy("Disabled the extension here"), _ended_checks),
        Action("extension.test", gettext_lazy("Sent a test message"), _point),
        Action("extension.stopped", gettext_lazy("Stopped sending to the extension"), _stopped),
        Action("extension.resume", gettext_lazy("Resumed sending to the extension")),
        Action("extension.replay_since", gettext_lazy("Sent messages again"), _replayed_since),
        Action("extension.replay", gettext_lazy("Sent a message again"), lambda p: str(p["message"])),
    )
}
