"""What the problems of a document say."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base.reasons import say, sentence
from workflows.flowspec import problems

Params = Mapping[str, Any]


def _plain(code: str, text: Callable[[], str]) -> None:
    """Register a sentence whose parameters fill its gaps as they are; lists are joined by commas."""

    def speak(params: Params) -> str:
        return text() % {
            name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in params.items()
        }

    sentence(code)(speak)


# Refusals: what is wrong, and what to do.
_plain("flowspec.empty", lambda: _("The document is empty."))
_plain("flowspec.json", lambda: _("This is not JSON: line %(line)s, column %(column)s: %(detail)s."))
_plain("flowspec.too_deep", lambda: _("The document is nested deeper than %(most)s levels."))
_plain("flowspec.number", lambda: _("This number is too large or not a number."))
_plain("flowspec.nul", lambda: _("This text has a NUL character, which cannot be stored. Remove it."))
_plain("flowspec.surrogate", lambda: _("This text has half of a surrogate pair, which is no character. Remove it."))
_plain("flowspec.shape", lambda: _("Here belongs %(wanted)s, but there is %(given)s."))
_plain("flowspec.not_a_number", lambda: _("Here belongs a whole number, but there is %(given)s."))
_plain("flowspec.out_of_range", lambda: _("The number must be from %(least)s to %(most)s."))
_plain("flowspec.too_long", lambda: _("This is longer than %(most)s characters."))
_plain(
    "flowspec.kind", lambda: _("A document of the kind “%(kind)s” is no workflow and no node. Import a CycleWorkflow.")
)
_plain(
    "flowspec.many_workflows",
    lambda: _("The document has %(count)s workflows. Import each from a document of its own."),
)
_plain(
    "flowspec.no_nodes",
    lambda: _(
        "The document has no nodes, so there is nothing to import. Tables, functions and files are not imported."
    ),
)
_plain("flowspec.no_id", lambda: _("This node has neither an id nor a name. Give it an id."))
_plain("flowspec.id_twice", lambda: _("The id “%(id)s” is used at %(first)s already. Ids must differ."))
_plain(
    "flowspec.reference_unknown",
    lambda: _("“%(reference)s” refers to nothing: the document's section “%(section)s” has no such id."),
)
_plain("flowspec.node_unknown", lambda: _("The document has no node “%(node)s”."))
_plain("flowspec.depends_on_nothing", lambda: _("This dependency names neither a node nor an output. Name one."))
_plain("flowspec.output_name", lambda: _("An output needs a name (“data”) of at most %(most)s characters."))
_plain("flowspec.time", lambda: _("“%(text)s” is no time. Write it as 2025-12-31 00:00:00."))
_plain("flowspec.choice", lambda: _("“%(given)s” is not known here. Known are: %(known)s."))
_plain(
    "flowspec.parameter_name",
    lambda: _("“%(name)s” cannot be the name of a parameter. Use letters, digits and _, or a number."),
)
_plain(
    "flowspec.parameter_quotes",
    lambda: _("The value of the parameter “%(name)s” has both kinds of quotation marks. Use one kind only."),
)

# Warnings: what was read otherwise than written.
_plain(
    "flowspec.workspace_parameter",
    lambda: _(
        "The workspace has no parameter “%(name)s”; the value in the document was taken as the node's own. Add the "
        "parameter to the workspace and import again to share it."
    ),
)
_plain(
    "flowspec.version", lambda: _("Version “%(version)s” is not known (known: %(known)s); it was read like the newest.")
)
_plain(
    "flowspec.kind_not_run",
    lambda: _("Only scheduled workflows run here; a %(kind)s is imported, but can be published only with schedules."),
)
_plain(
    "flowspec.workflow_unnamed", lambda: _("The workflow has no name; its id is used, or its nodes stand on their own.")
)
_plain(
    "flowspec.nodes_outside_workflow",
    lambda: _("These nodes stand beside the workflow; they were imported into it."),
)
_plain(
    "flowspec.type_missing",
    lambda: _("The node has no type (script.runtime.command). It is imported, but cannot be published without."),
)
_plain(
    "flowspec.type_not_run",
    lambda: _("Nodes of the type %(type)s are not run here yet. The node is imported, but cannot be published."),
)
_plain(
    "flowspec.no_schedule",
    lambda: _("The node has no schedule (trigger.cron). It is imported, but cannot be published without."),
)
_plain(
    "flowspec.trigger_type", lambda: _("Only triggers of the type Scheduler run here; “%(type)s” gives no schedule.")
)
_plain(
    "flowspec.delay", lambda: _("The delay of %(seconds)s seconds is not applied. Put the wanted time into the cron.")
)
_plain("flowspec.period_empty", lambda: _("The end of the effective period is before its start: it will never run."))
_plain("flowspec.offset_ignored", lambda: _("The offset of “%(text)s” is ignored: times are local to the tenant."))
_plain("flowspec.none_auto", lambda: _("NoneAuto is read as Pause: instances are made, but frozen."))
_plain("flowspec.priority", lambda: _("Priority %(given)s is none of %(known)s; 1 is used."))
_plain("flowspec.rerun_times", lambda: _("%(given)s automatic reruns are too many; %(most)s are used."))
_plain("flowspec.max_parallel", lambda: _("%(given)s parallel instances are too many; %(most)s are used."))
_plain("flowspec.rerun_interval", lambda: _("A rerun interval of %(given)s ms is out of range; %(used)s ms is used."))
_plain("flowspec.shortened", lambda: _("The text was cut to %(most)s characters."))
_plain(
    "flowspec.data_source_unknown",
    lambda: _(
        "The workspace has no data source “%(name)s”, so the node is kept as %(type)s, which is not run here. Add a data "
        "source of that name and import the document again to run it there."
    ),
)
_plain(
    "flowspec.node_elsewhere",
    lambda: _("The document has no node “%(node)s”; publishing will look for it among the workspace's nodes."),
)
_plain("flowspec.cycle", lambda: _("These nodes wait for each other, so publishing will refuse them: %(nodes)s."))
_plain(
    "flowspec.context_parameters",
    lambda: _("Values passed between nodes are not carried over yet; the node runs without them."),
)
_plain(
    "flowspec.parameter_type",
    lambda: _(
        "The parameter “%(name)s” takes its value from another node (%(type)s), which is not done here yet; left out."
    ),
)


@sentence("flowspec.too_large")
def _too_large(params: Params) -> str:
    return _("The document has %(size)s bytes; at most %(most)s are read.") % params


@sentence("flowspec.cron")
def _cron(params: Params) -> str:
    reason = params["reason"]
    return _("The cron “%(text)s” cannot be read: %(reason)s") % {
        "text": params["text"],
        "reason": say(reason["code"], reason["params"]),
    }


@sentence("flowspec.parameters")
def _parameters(params: Params) -> str:
    reason = params["reason"]
    return _("The parameters cannot be read: %(reason)s") % {"reason": say(reason["code"], reason["params"])}


@sentence("flowspec.refused")
def _refused(params: Params) -> str:
    found = params["problems"]
    first = str(problems.Problem(problems.Severity.ERROR, found[0]["path"], found[0]["code"], found[0]["params"]))
    if len(found) == 1:
        return _("Nothing was imported. %(first)s") % {"first": first}
    return ngettext(
        "Nothing was imported. %(first)s (and %(count)d more problem)",
        "Nothing was imported. %(first)s (and %(count)d more problems)",
        len(found) - 1,
    ) % {"first": first, "count": len(found) - 1}
