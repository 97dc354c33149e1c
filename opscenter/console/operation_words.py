"""How each operation is shown and asked for: icon, key, what will happen, the words on the button and after it."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from opscenter.operations.registry import OPERATIONS


@dataclass(frozen=True)
class Words:
    """Of one operation.

    Attributes:
        name: as histories and filters call it, where operations on instances and on tasks stand side by side.
        key: pressed in a list, it does the operation to the selected rows; empty for none.
        verb: the button of the question, by the number of objects.
        text: what will happen.
    """

    name: Promise
    icon: str
    key: str
    verb: Any
    text: Promise

    def for_count(self, count: int) -> str:
        """The words on the button."""
        return str(self.verb % {"n": count})


WORDS: dict[str, Words] = {
    "stop": Words(
        _("Stop instances"),
        "circle-stop",
        "s",
        ngettext_lazy("Stop %(n)s instance", "Stop %(n)s instances", "n"),
        _(
            "What runs is ended, with all its processes; what waits does not start. The instances end as failed and are "
            "not rerun automatically. What comes after them waits until they are rerun or set to succeeded."
        ),
    ),
    "rerun": Words(
        _("Rerun instances"),
        "rotate-ccw",
        "r",
        ngettext_lazy("Rerun %(n)s instance", "Rerun %(n)s instances", "n"),
        _(
            "They run once more with the published code, each as a new attempt. Downstream instances that have not "
            "started wait for the new result; those that have finished stay as they are. An HTTP trigger needs a new trigger."
        ),
    ),
    "rerun_downstream": Words(
        _("Rerun instances with downstream"),
        "rotate-ccw",
        "",
        ngettext_lazy("Rerun %(n)s instance with downstream", "Rerun %(n)s instances with downstream", "n"),
        _(
            "The instance and the chosen ones run once more, one after the other in the order of their dependencies. Those "
            "that have not started only wait for what is rerun above them."
        ),
    ),
    "force_rerun": Words(
        _("Force rerun of everything downstream"),
        "chevrons-up-down",
        "",
        ngettext_lazy("Force rerun downstream of %(n)s instance", "Force rerun downstream of %(n)s instances", "n"),
        _(
            "Every instance downstream goes back and runs again, whatever its task's rerun setting says; what runs now is "
            "stopped first. One such operation at a time is done in a tenant."
        ),
    ),
    "remove_dependencies": Words(
        _("Remove dependencies of instances"),
        "circle-minus",
        "",
        ngettext_lazy("Remove dependencies of %(n)s instance", "Remove dependencies of %(n)s instances", "n"),
        _(
            "The instance no longer waits for the chosen ones, and runs without their result. Other instances of its task "
            "keep their dependencies."
        ),
    ),
    "set_success": Words(
        _("Set instances to succeeded"),
        "circle-check",
        "u",
        ngettext_lazy("Set %(n)s instance to succeeded", "Set %(n)s instances to succeeded", "n"),
        _(
            "Nothing is run. The instances count as succeeded, and what waits for them starts when its other conditions are met."
        ),
    ),
    "freeze": Words(
        _("Freeze instances"),
        "snowflake",
        "f",
        ngettext_lazy("Freeze %(n)s instance", "Freeze %(n)s instances", "n"),
        _("They keep their state and do not run, and what comes after them waits, until they are unfrozen."),
    ),
    "unfreeze": Words(
        _("Unfreeze instances"),
        "sun",
        "n",
        ngettext_lazy("Unfreeze %(n)s instance", "Unfreeze %(n)s instances", "n"),
        _("They go on from the state they are in: those whose conditions are met start now."),
    ),
    "set_priority": Words(
        _("Change priority of instances"),
        "chevrons-up-down",
        "",
        ngettext_lazy("Change priority of %(n)s instance", "Change priority of %(n)s instances", "n"),
        _("For these instances alone, and at once: those that wait for a slot get their new place among the others."),
    ),
    "set_resource_group": Words(
        _("Change resource group of instances"),
        "layers",
        "",
        ngettext_lazy("Change resource group of %(n)s instance", "Change resource group of %(n)s instances", "n"),
        _("For these instances alone, and at once: they run on the workers and within the slots of the new group."),
    ),
    "freeze_task": Words(
        _("Freeze tasks"),
        "snowflake",
        "f",
        ngettext_lazy("Freeze %(n)s task", "Freeze %(n)s tasks", "n"),
        _(
            "Instances generated from now on are born frozen: they do not run, and what comes after them waits. "
            "Instances that exist already run as they are."
        ),
    ),
    "unfreeze_task": Words(
        _("Unfreeze tasks"),
        "sun",
        "n",
        ngettext_lazy("Unfreeze %(n)s task", "Unfreeze %(n)s tasks", "n"),
        _(
            "Instances generated from now on run again. Those that were born frozen stay so: unfreeze them one by one, or "
            "set them to succeeded."
        ),
    ),
    "make_backfill": Words(
        _("Backfill"),
        "rewind",
        "",
        ngettext_lazy("Backfill", "%(n)s backfills", "n"),
        _("What was previewed is made."),
    ),
    "pause_backfill": Words(
        _("Pause backfills"),
        "circle-pause",
        "p",
        ngettext_lazy("Pause %(n)s backfill", "Pause %(n)s backfills", "n"),
        _("Whatever has not started is frozen until the backfill is resumed; what runs goes on to its end."),
    ),
    "resume_backfill": Words(
        _("Resume backfills"),
        "play",
        "n",
        ngettext_lazy("Resume %(n)s backfill", "Resume %(n)s backfills", "n"),
        _("It goes on where it was paused, or starts. What somebody froze by hand stays frozen."),
    ),
    "stop_backfill": Words(
        _("Stop backfills"),
        "circle-stop",
        "s",
        ngettext_lazy("Stop %(n)s backfill", "Stop %(n)s backfills", "n"),
        _(
            "What runs is ended, with all its processes; what waits does not start, and what is not made yet is not made. "
            "“Rerun failed” runs everything that was stopped."
        ),
    ),
    "rerun_backfill": Words(
        _("Rerun what failed in backfills"),
        "rotate-ccw",
        "r",
        ngettext_lazy("Rerun what failed in %(n)s backfill", "Rerun what failed in %(n)s backfills", "n"),
        _("Everything of it that failed or was stopped runs again, in its order. What succeeded stays as it is."),
    ),
    "undeploy_task": Words(
        _("Undeploy tasks"),
        "circle-slash",
        "",
        ngettext_lazy("Undeploy %(n)s task", "Undeploy %(n)s tasks", "n"),
        _(
            "They go offline: no more instances are made, and those that have not started become dry runs. Their drafts stay; "
            "publish them to bring the tasks back."
        ),
    ),
    "set_owner_task": Words(
        _("Change owner of tasks"),
        "user",
        "",
        ngettext_lazy("Change owner of %(n)s task", "Change owner of %(n)s tasks", "n"),
        _(
            "At once, for the tasks and all their instances. It stays so until the owner of the draft is changed and published."
        ),
    ),
    "set_resource_group_task": Words(
        _("Change resource group of tasks"),
        "layers",
        "",
        ngettext_lazy("Change resource group of %(n)s task", "Change resource group of %(n)s tasks", "n"),
        _(
            "For instances made from now on; those that exist keep their group. It stays so until the resource group of the "
            "draft is changed and published."
        ),
    ),
    "set_priority_task": Words(
        _("Change priority of tasks"),
        "chevrons-up-down",
        "",
        ngettext_lazy("Change priority of %(n)s task", "Change priority of %(n)s tasks", "n"),
        _(
            "For instances made from now on; those that exist keep their priority. It stays so until the priority of the draft "
            "is changed and published."
        ),
    ),
}

RUNS: dict[str, Promise] = {"run_now": _("Run now"), "run_manually": _("Run manually")}
"""Operations that make instances; they are asked for by forms of their own."""


def name_of(code: str) -> str:
    """What histories call an operation."""
    return str(WORDS[code].name if code in WORDS else RUNS[code])


def title_of(code: str, count: int, name: str = "") -> str:
    """What was asked for: of one object with its name, where that is known, else with the number of objects."""
    if count == 1 and name:
        verb = OPERATIONS[code].name if code in OPERATIONS else RUNS[code]
        return gettext("%(operation)s %(name)s") % {"operation": verb, "name": name}
    return WORDS[code].for_count(count) if code in WORDS else str(RUNS[code])
