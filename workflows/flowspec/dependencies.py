"""Who waits for whom, from ``flow`` or ``dependencies`` and from the nodes' own inputs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from opscenter.production.rules.dependencies import find_cycle
from workflows.definitions import NORMAL, ON_CHILDREN, ON_OTHER, ON_SELF, Dependency, NodeDefinition
from workflows.flowspec.place import Place
from workflows.flowspec.sections import Sections, local_id

_CROSS_CYCLE = (ON_SELF, ON_CHILDREN, ON_OTHER)
_TYPES = {name.lower(): name for name in (NORMAL, *_CROSS_CYCLE)}


class Flow:
    """Gathers the dependencies of a document's nodes."""

    def __init__(self, nodes: Mapping[str, NodeDefinition], external: Mapping[str, str], workflow_id: str) -> None:
        """``external``: output names of the nodes that the document only refers to, by their id."""
        self._nodes = nodes
        self._external = external
        self._workflow_id = workflow_id
        self._owner = {output: node.source_id for node in nodes.values() for output in node.outputs}
        self._found: dict[str, dict[tuple[str, str], Dependency]] = {key: {} for key in nodes}
        self._of_workflow: list[Dependency] = []

    def read(self, entries: Iterable[Place], sections: Sections) -> None:
        """Take the entries of a flow: ``{nodeId, depends: [...]}``."""
        for entry in entries:
            if not entry.as_object():
                continue
            at = entry.get("nodeId")
            key = _node_id(at, self._nodes.keys() | self._external.keys() | {self._workflow_id})
            if key not in self._nodes and key != self._workflow_id:
                if key not in self._external:
                    at.error("flowspec.node_unknown", node=key[:128])
                continue
            for depend in entry.items("depends"):
                dependency = self._dependency(depend, sections)
                if dependency is not None and key in self._nodes:
                    self.add(key, dependency)
                elif dependency is not None:
                    self._of_workflow.append(dependency)

    def add(self, key: str, dependency: Dependency) -> None:
        """Let a node wait for something, once."""
        target = dependency.node or self._owner.get(dependency.output) or dependency.output
        known = self._found[key]
        earlier = known.get((dependency.type, target))
        if earlier is None or (dependency.output and not earlier.output):
            known[(dependency.type, target)] = dependency

    def add_workflow_inputs(self, outputs: Iterable[str]) -> None:
        """What the workflow as a whole waits for."""
        self._of_workflow.extend(Dependency(output=output) for output in outputs)

    def _dependency(self, depend: Place, sections: Sections) -> Dependency | None:
        if isinstance(depend.value, str):
            return self._on(NORMAL, depend, "")
        if not depend.as_object():
            return None
        at_type = depend.get("type")
        written = at_type.as_text().strip()
        kind = _TYPES.get(written.lower()) if written else NORMAL
        if kind is None:
            at_type.error("flowspec.choice", given=written[:64], known=[NORMAL, *_CROSS_CYCLE])
            return None
        at_output = depend.get("output")
        output = sections.output_name(at_output) if at_output and at_output.value != "" else ""
        if depend.get("nodeId"):
            return self._on(kind, depend.get("nodeId"), output)
        if not output and kind in (NORMAL, ON_OTHER):
            depend.error("flowspec.depends_on_nothing")
            return None
        return Dependency(kind, output)

    def _on(self, kind: str, at: Place, output: str) -> Dependency | None:
        key = _node_id(at, self._nodes.keys() | self._external.keys())
        if key in self._external:
            return Dependency(kind, output or self._external[key])
        if key not in self._nodes:
            if not key or len(key) > 128 or local_id(at.as_text())[1]:
                at.error("flowspec.node_unknown", node=key[:128])
                return None
            at.warn("flowspec.node_elsewhere", node=key)
        return Dependency(kind, output, key)

    def finish(self, paths: Mapping[str, Place]) -> tuple[NodeDefinition, ...]:
        """The nodes with their dependencies; the workflow's first ones wait for what it waits for as a whole."""
        for known in self._found.values():
            inside = {self._owner.get(item.output) or item.node for item in known.values() if item.type == NORMAL}
            if not inside & self._nodes.keys():
                for dependency in self._of_workflow:
                    known.setdefault((dependency.type, dependency.node or dependency.output), dependency)
        self._warn_of_cycle(paths)
        return tuple(replace(node, dependencies=tuple(self._found[key].values())) for key, node in self._nodes.items())

    def _warn_of_cycle(self, paths: Mapping[str, Place]) -> None:
        edges: dict[str, Sequence[str]] = {
            key: [
                upstream
                for item in known.values()
                if item.type == NORMAL and (upstream := item.node or self._owner.get(item.output, "")) in self._nodes
            ]
            for key, known in self._found.items()
        }
        if cycle := find_cycle(edges):
            paths[cycle[0]].warn("flowspec.cycle", nodes=[self._nodes[key].name for key in cycle])


def _node_id(at: Place, known: Iterable[str]) -> str:
    """The id that ``{{x}}``, ``{{nodes.x}}``, ``x`` or ``{"id": "x"}`` names."""
    key, _ = local_id(at.text("id") if at.is_object else at.as_text())
    if key not in known and key.startswith("nodes."):
        return key.removeprefix("nodes.")
    return key
