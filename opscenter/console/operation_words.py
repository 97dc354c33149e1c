"""How each operation is shown and asked for: icon, key, what will happen, the words on the button and after it."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy


@dataclass(frozen=True)
class Words:
    """Of one operation.

    Attributes:
        key: pressed in a list, it does the operation to the selected rows.
        verb: the button of the question, by the number of instances.
        text: what will happen.
    """

    icon: str
    key: str
    verb: Any
    text: Promise

    def for_count(self, count: int) -> str:
        """The words on the button."""
        return str(self.verb % {"n": count})


WORDS: dict[str, Words] = {
    "stop": Words(
        "circle-stop",
        "s",
        ngettext_lazy("Stop %(n)s instance", "Stop %(n)s instances", "n"),
        _(
            "What runs is ended, with all its processes; what waits does not start. The instances end as failed and are "
            "not rerun automatically. What comes after them waits until they are rerun or set to succeeded."
        ),
    ),
    "rerun": Words(
        "rotate-ccw",
        "r",
        ngettext_lazy("Rerun %(n)s instance", "Rerun %(n)s instances", "n"),
        _(
            "They run once more with the published code, each as a new attempt. Downstream instances that have not "
            "started wait for the new result; those that have finished stay as they are. An HTTP trigger needs a new trigger."
        ),
    ),
    "set_success": Words(
        "circle-check",
        "u",
        ngettext_lazy("Set %(n)s instance to succeeded", "Set %(n)s instances to succeeded", "n"),
        _(
            "Nothing is run. The instances count as succeeded, and what waits for them starts when its other conditions are met."
        ),
    ),
    "freeze": Words(
        "snowflake",
        "f",
        ngettext_lazy("Freeze %(n)s instance", "Freeze %(n)s instances", "n"),
        _("They keep their state and do not run, and what comes after them waits, until they are unfrozen."),
    ),
    "unfreeze": Words(
        "sun",
        "n",
        ngettext_lazy("Unfreeze %(n)s instance", "Unfreeze %(n)s instances", "n"),
        _("They go on from the state they are in: those whose conditions are met start now."),
    ),
}
