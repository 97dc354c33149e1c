"""What the codes of the audit trail mean. Every code that is recorded has its entry here; a test compares."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, pgettext_lazy

from opscenter.operations import action_words as words
from opscenter.operations.action_words import Params


@dataclass(frozen=True)
class Action:
    """A kind of entry: its name, and what its parameters tell beyond it."""

    code: str
    name: Promise
    tell: Callable[[Params], str] = words.nothing

    def details(self, params: Params) -> str:
        """The parameters in words; those of an entry that an older version wrote otherwise are shown as they are."""
        try:
            return self.tell(params)
        except (LookupError, TypeError, ValueError):
            return " ".join(f"{name}={value}" for name, value in params.items())


ACTIONS: dict[str, Action] = {
    action.code: action
    for action in (
        Action("session.sign_in", gettext_lazy("Signed in")),
        Action("session.sign_out", gettext_lazy("Signed out")),
        Action("session.sign_in_failed", gettext_lazy("Failed to sign in")),
        Action("user.create", gettext_lazy("Created the user")),
        Action("user.change_password", gettext_lazy("Changed the password")),
        Action("user.change_email", gettext_lazy("Changed the mail address")),
        Action("access_key.create", gettext_lazy("Created the access key"), lambda params: str(params["description"])),
        Action("access_key.revoke", gettext_lazy("Revoked the access key"), lambda params: str(params["description"])),
        Action("tenant.create", gettext_lazy("Created the tenant"), lambda params: str(params["time_zone"])),
        Action("workspace.create", gettext_lazy("Created the workspace")),
        Action("workspace.update", gettext_lazy("Changed the workspace"), words.changed_settings),
        Action("retention.remove", gettext_lazy("Removed what the workspace no longer keeps"), words.removed),
        Action("member.add", gettext_lazy("Added the member"), words.roles),
        Action("member.change_roles", gettext_lazy("Changed roles"), words.changed_roles),
        Action("member.remove", gettext_lazy("Removed the member"), words.roles),
        Action("role.create", gettext_lazy("Made the role"), words.role),
        Action("role.change", gettext_lazy("Changed the role"), words.changed_role),
        Action("role.delete", gettext_lazy("Deleted the role"), words.role),
        Action("workflow.import", pgettext_lazy("action", "Imported"), words.imported),
        Action("workflow.parameters", gettext_lazy("Changed the workflow's parameters"), words.changed_parameters),
        Action("workflow.publish", pgettext_lazy("action", "Published"), words.published),
        Action("resource.upload", gettext_lazy("Uploaded the resource"), words.uploaded),
        Action("resource.delete", gettext_lazy("Deleted the resource")),
        Action("data_source.create", gettext_lazy("Added the data source"), words.connected),
        Action("data_source.update", gettext_lazy("Changed the data source"), words.changed_source),
        Action("data_source.delete", gettext_lazy("Deleted the data source"), words.connected),
        Action("data_source.test", gettext_lazy("Tested the data source"), words.tested),
        Action("node.save", gettext_lazy("Saved the draft node"), words.version),
        Action("node.try", gettext_lazy("Tried the request"), words.tried),
        Action("parameter.create", gettext_lazy("Added the parameter"), words.parameter),
        Action("parameter.update", gettext_lazy("Changed the parameter"), words.parameter),
        Action("parameter.delete", gettext_lazy("Deleted the parameter"), words.parameter),
        Action("resource_group.create", gettext_lazy("Added the resource group"), words.slots),
        Action("resource_group.update", gettext_lazy("Changed the resource group"), words.changed_group),
        Action("resource_group.associate", gettext_lazy("Associated the resource group")),
        Action("resource_group.dissociate", gettext_lazy("Dissociated the resource group")),
        Action("task.run_now", gettext_lazy("Ran the task now"), words.ran),
        Action("task.run_manually", gettext_lazy("Ran tasks manually"), words.ran_manually),
        Action("task.freeze", gettext_lazy("Froze tasks"), words.operated_tasks),
        Action("task.unfreeze", gettext_lazy("Unfroze tasks"), words.operated_tasks),
        Action("backfill.make", gettext_lazy("Asked for a backfill"), words.operated_backfills),
        Action("backfill.pause", gettext_lazy("Paused backfills"), words.operated_backfills),
        Action("backfill.resume", gettext_lazy("Resumed backfills"), words.operated_backfills),
        Action("backfill.stop", gettext_lazy("Stopped backfills"), words.operated_backfills),
        Action("backfill.rerun", gettext_lazy("Reran what failed in backfills"), words.operated_backfills),
        Action("task.undeploy", gettext_lazy("Undeployed tasks"), words.operated_tasks),
        Action(
            "task.set_owner",
            gettext_lazy("Changed the owner of tasks"),
            words.told("set_owner_task", words.operated_tasks),
        ),
        Action(
            "task.set_resource_group",
            gettext_lazy("Changed the resource group of tasks"),
            words.told("set_resource_group_task", words.operated_tasks),
        ),
        Action(
            "task.set_priority",
            gettext_lazy("Changed the priority of tasks"),
            words.told("set_priority_task", words.operated_tasks),
        ),
        Action("operation.ask", gettext_lazy("Asked extensions first"), words.asked),
        Action("operation.block", gettext_lazy("Blocked the operation"), words.blocked),
        Action("operation.start", gettext_lazy("Started a job"), words.started),
        Action("operation.finish", gettext_lazy("Ended a job"), words.finished),
        Action("operation.cancel", gettext_lazy("Cancelled the operation"), words.cancelled),
        Action("check.mark_passed", gettext_lazy("Marked the check as passed"), words.passed),
        Action("instance.trigger", gettext_lazy("Triggered"), words.triggered),
        Action("instance.stop", gettext_lazy("Stopped instances"), words.operated),
        Action("instance.rerun", gettext_lazy("Reran instances"), words.operated),
        Action(
            "instance.rerun_downstream",
            gettext_lazy("Reran instances with chosen downstream"),
            words.operated,
        ),
        Action(
            "instance.force_rerun",
            gettext_lazy("Forced reruns of everything downstream"),
            words.told("force_rerun", words.operated),
        ),
        Action(
            "instance.remove_dependencies",
            gettext_lazy("Removed dependencies of instances"),
            words.told("remove_dependencies", words.operated),
        ),
        Action("instance.set_success", gettext_lazy("Set instances to succeeded"), words.operated),
        Action("instance.freeze", gettext_lazy("Froze instances"), words.operated),
        Action("instance.unfreeze", gettext_lazy("Unfroze instances"), words.operated),
        Action(
            "instance.set_priority",
            gettext_lazy("Changed the priority of instances"),
            words.told("set_priority", words.operated),
        ),
        Action(
            "instance.set_resource_group",
            gettext_lazy("Changed the resource group of instances"),
            words.told("set_resource_group", words.operated),
        ),
        Action("extension.register", gettext_lazy("Registered the extension"), words.bound),
        Action("extension.update", gettext_lazy("Changed the extension"), words.changed_facts),
        Action("extension.submit", gettext_lazy("Submitted the extension for approval")),
        Action("extension.withdraw", gettext_lazy("Withdrew the extension from approval")),
        Action("extension.approve", gettext_lazy("Approved the extension"), words.comment),
        Action("extension.refuse", gettext_lazy("Refused the extension"), words.comment),
        Action("extension.publish", gettext_lazy("Published the extension")),
        Action("extension.reopen", gettext_lazy("Took the extension back to testing")),
        Action("extension.disable", gettext_lazy("Disabled the extension everywhere"), words.ended_checks),
        Action("extension.rotate_secret", gettext_lazy("Rotated the extension's signing secret")),
        Action("extension.create_key", gettext_lazy("Created a key of the extension"), words.key),
        Action("extension.revoke_key", gettext_lazy("Revoked a key of the extension"), words.key),
        Action("extension.enable", gettext_lazy("Enabled the extension"), words.enabled),
        Action("extension.settings", gettext_lazy("Changed the extension's settings"), words.changed_enablement),
        Action("extension.disable_here", gettext_lazy("Disabled the extension here"), words.ended_checks),
        Action("extension.test", gettext_lazy("Sent a test message"), words.point),
        Action("extension.stopped", gettext_lazy("Stopped sending to the extension"), words.stopped),
        Action("extension.resume", gettext_lazy("Resumed sending to the extension")),
        Action("extension.replay_since", gettext_lazy("Sent messages again"), words.replayed_since),
        Action("extension.replay", gettext_lazy("Sent a message again"), lambda p: str(p["message"])),
    )
}
