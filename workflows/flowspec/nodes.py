"""One node of a document, read into its normal form."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from opscenter.production.node_types import HTTP, NODE_TYPES, PYTHON, SHELL, SQL, NodeType, by_wire
from workflows.definitions import HTTP_RERUNS, UNKNOWN_TYPE, NodeDefinition
from workflows.flowspec.parameters import Scopes, read_parameters
from workflows.flowspec.place import Place
from workflows.flowspec.sections import Sections, local_id
from workflows.flowspec.settings import MANUALLY, Schedule, read_schedule, read_settings

_COMMANDS: Mapping[str, NodeType] = {"BASH": SHELL, "SH": SHELL, "PYTHON3": PYTHON}
"""Commands that are no names of types, but mean one."""

_LANGUAGES: Mapping[str, NodeType] = dict.fromkeys(("shell", "shell-script", "sh", "bash"), SHELL) | dict.fromkeys(
    ("python", "python3"), PYTHON
)
"""What a script without a command is, by its language."""

_SETTINGS: Mapping[str, str] = {
    "branch": "CONTROLLER_BRANCH",
    "join": "CONTROLLER_JOIN",
    "do-while": "CONTROLLER_CYCLE",
    "doWhile": "CONTROLLER_CYCLE",
    "for-each": "CONTROLLER_TRAVERSE",
    "foreach": "CONTROLLER_TRAVERSE",
    "param-hub": "PARAM_HUB",
    "paramHub": "PARAM_HUB",
    "combined": "COMBINED",
    "subflow": "SUB_PROCESS",
}
"""Objects inside a node that make it a node of a type which is not run here."""


@dataclass
class Mentions:
    """Values that only the importer can judge, each with the place of its first mention."""

    owners: dict[str, str] = field(default_factory=dict)
    resource_groups: dict[str, str] = field(default_factory=dict)
    time_zones: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Defaults:
    """What a node inherits from its workflow."""

    strategy: Place
    schedule: Schedule
    owner: Place
    resource: Place


@dataclass(frozen=True)
class NodeReader:
    """Reads the nodes of one document. ``data_sources``: names of those that the workspace has."""

    sections: Sections
    defaults: Defaults
    mentions: Mentions
    scopes: Scopes
    data_sources: Collection[str] = ()

    def read(self, node: Place, source_id: str) -> NodeDefinition:
        """The node in its normal form, without its dependencies."""
        script = self.sections.resolve(node.get("script"), "scripts")
        schedule = self._schedule(node)
        data_source = _data_source(node)
        node_type = _type(node, script, data_source, self.data_sources)
        if not schedule.cron and schedule != MANUALLY:
            node.warn("flowspec.no_schedule")
        _warn_of_context(node)
        settings = read_settings(node, self.defaults.strategy, schedule)
        if node_type == HTTP.code and not (node.get("rerunTimes") or self.defaults.strategy.get("rerunTimes")):
            settings |= HTTP_RERUNS
        return NodeDefinition(
            source_id=source_id,
            name=_limited(node.get("name") or script.get("name"), 255) or source_id,
            type=node_type,
            description=_description(node),
            owner=self._mention(node.get("owner") or self.defaults.owner, self.mentions.owners),
            content=_content(script),
            parameters=read_parameters(script, self.sections, self.scopes),
            trigger=schedule.trigger,
            cron=schedule.cron,
            start=schedule.start,
            end=schedule.end,
            resource_group=self._resource_group(node),
            data_source=data_source if node_type == SQL.code else "",
            outputs=tuple(dict.fromkeys(self._outputs(node))),
            settings={key: node.value[key] for key in _SETTINGS if node.value.get(key) is not None},
            **settings,
        )

    def _schedule(self, node: Place) -> Schedule:
        if not node.get("trigger") or self.defaults.schedule == MANUALLY:  # a workflow is manual as a whole
            return self.defaults.schedule
        trigger = self.sections.resolve(node.get("trigger"), "triggers")
        note_time_zone(trigger, self.mentions)
        return read_schedule(trigger)

    def _resource_group(self, node: Place) -> str:
        at = node.get("runtimeResource") or self.defaults.resource
        resource = self.sections.resolve(at, "runtimeResources")
        return self._mention(resource.get("resourceGroup"), self.mentions.resource_groups)

    @staticmethod
    def _mention(place: Place, mentions: dict[str, str]) -> str:
        text = _limited(place, 255)
        if text:
            mentions.setdefault(text, place.path)
        return text

    def _outputs(self, node: Place) -> list[str]:
        """Names under which others depend on the node; those of a branch's branches too."""
        at = node.get("outputs")
        if at.is_object:
            places = [*at.items("nodeOutputs"), *at.items("outputs")]
        else:
            places = [item for item in at.as_items() if item.text("artifactType") in ("", "NodeOutput", "Output")]
        places += [branch.get("output") for branch in node.object("branch").items("branches")]
        return [name for place in places if place and (name := self.sections.output_name(place))]

    def inputs(self, node: Place) -> list[str]:
        """Output names that the node itself says it waits for."""
        at = node.get("inputs")
        if at.is_object:
            places = [*at.items("nodeOutputs"), *at.items("outputs")]
        else:
            places = [item for item in at.as_items() if item.text("artifactType") in ("", "NodeOutput", "Output")]
        return [name for place in places if (name := self.sections.output_name(place))]


def note_time_zone(trigger: Place, mentions: Mentions) -> None:
    """Remember a trigger's time zone for the importer, who knows the tenant's."""
    if zone := trigger.text("timezone", "timeZone"):
        mentions.time_zones.setdefault(zone[:64], trigger.get("timezone", "timeZone").path)


def source_id_of(node: Place) -> str:
    """The id of a node object; its name where there is no id."""
    at = node.get("id", "name")
    source_id, _ = local_id(at.as_text())
    if not source_id:
        node.error("flowspec.no_id")
    elif len(source_id) > 128:
        at.error("flowspec.too_long", most=128)
        return ""
    return source_id


def _type(node: Place, script: Place, data_source: str, known_sources: Collection[str]) -> str:
    """Our code of the node's type, or the wire's name of one that is not run here."""
    for key, wire in _SETTINGS.items():
        if node.get(key):
            node.get(key).warn("flowspec.type_not_run", type=wire)
            return wire
    runtime = script.object("runtime")
    command = _limited(runtime.get("command"), 64).upper()
    known = by_wire(command) or _COMMANDS.get(command)
    if not command:
        known = _by_number(runtime.integer("commandTypeId")) or _LANGUAGES.get(script.text("language").lower())
    is_sql = command.endswith("SQL") or (not command and script.text("language").lower().endswith("sql"))
    if known is None and is_sql and data_source in known_sources:
        known = SQL  # another product's SQL, but on a database of ours
    if known is not None:
        return known.code
    if not command:
        node.warn("flowspec.type_missing")
        return UNKNOWN_TYPE
    if is_sql and data_source:
        node.get("datasource").warn("flowspec.data_source_unknown", name=data_source, type=command)
    else:
        runtime.get("command").warn("flowspec.type_not_run", type=command)
    return command


def _by_number(number: int | None) -> NodeType | None:
    if number is None:  # as is that of types which DataWorks does not have
        return None
    return next((node_type for node_type in NODE_TYPES.values() if node_type.number == number), None)


def _data_source(node: Place) -> str:
    """The name in ``datasource``: of an object, or the text itself."""
    at = node.get("datasource")
    if isinstance(at.value, str):
        return local_id(at.value)[0][:128]
    return _limited(at.get("name"), 128)


def _content(script: Place) -> str:
    at = script.get("content", "code")
    if isinstance(at.value, dict | list):  # configurations of synchronisation nodes come as objects too
        return json.dumps(at.value, ensure_ascii=False, indent=2)
    return at.as_text()


def _description(node: Place) -> str:
    at = node.get("description")
    text = at.as_text().strip()
    if len(text) > 1000:
        at.warn("flowspec.shortened", most=1000)
    return text[:1000]


def _limited(place: Place, most: int) -> str:
    text = place.as_text().strip()
    if len(text) > most:
        place.error("flowspec.too_long", most=most)
    return text[:most]


def _warn_of_context(node: Place) -> None:
    """Values passed between nodes are not run here: say so instead of leaving them empty silently."""
    for key in ("inputs", "outputs"):
        at: Any = node.get(key)
        if at.is_object and at.items("variables"):
            at.get("variables").warn("flowspec.context_parameters")
