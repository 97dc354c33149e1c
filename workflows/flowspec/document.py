"""A whole document: its shape, its workflow, its nodes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from workflows.definitions import Dependency, NodeDefinition
from workflows.flowspec.dependencies import Flow
from workflows.flowspec.loading import load
from workflows.flowspec.nodes import Defaults, Mentions, NodeReader, note_time_zone, source_id_of
from workflows.flowspec.parameters import Scopes
from workflows.flowspec.place import Place
from workflows.flowspec.problems import Findings, Problem
from workflows.flowspec.sections import Sections
from workflows.flowspec.settings import MANUALLY, read_schedule

_SCHEDULED_KINDS = ("cycleworkflow", "node")
_MANUAL_KINDS = ("manualworkflow", "manualnode")
_OTHER_KINDS = ("temporaryworkflow", "triggerworkflow")
_VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "2.0.0")


@dataclass(frozen=True)
class DocumentWorkflow:
    """The workflow that a document describes.

    Attributes:
        source_id: may be empty.
        owner: as written.
        parameters: for all its nodes: ``name=expression``, separated by spaces.
    """

    name: str
    source_id: str
    owner: str
    description: str
    parameters: str = ""


@dataclass(frozen=True)
class Document:
    """A document, read.

    Attributes:
        workflow: None when the nodes stand on their own.
        paths: the place of each node, by source id.
        owners, resource_groups, time_zones: what the document names, each with the place of its first mention.
    """

    workflow: DocumentWorkflow | None
    nodes: tuple[NodeDefinition, ...]
    paths: Mapping[str, str]
    owners: Mapping[str, str]
    resource_groups: Mapping[str, str]
    time_zones: Mapping[str, str]
    warnings: tuple[Problem, ...]


def read(text: str, data_sources: Collection[str] = (), parameters: Collection[str] = ()) -> Document:
    """Read a FlowSpec document, leniently.

    Args:
        data_sources: names of those that the workspace has: another product's SQL on one of them is run here.
        parameters: names of the workspace's parameters: nodes that refer to one get no copy of it.

    Raises:
        BadDocument: it cannot be read, or has nothing to import; the error names every place and reason.
    """
    findings = Findings()
    root = load(text, findings)
    root.as_object()
    findings.raise_errors()
    _check_head(root)
    spec = root.object("spec") if root.get("spec") else root  # version 1.0.0 has its sections at the top
    workflow = _only_workflow(spec)
    findings.raise_errors()
    document = _read(root, spec, workflow, findings, data_sources, parameters)
    findings.raise_errors()
    return document


def _check_head(root: Place) -> None:
    kind = root.text("kind")
    if kind.lower() in _OTHER_KINDS:
        root.get("kind").warn("flowspec.kind_not_run", kind=kind)
    elif kind and kind.lower() not in _SCHEDULED_KINDS + _MANUAL_KINDS:
        root.get("kind").error("flowspec.kind", kind=kind[:64])
    version = root.text("version")
    if version not in _VERSIONS:
        root.get("version").warn("flowspec.version", version=version[:32], known=list(_VERSIONS))


def _only_workflow(spec: Place) -> Place:
    """The object of the document's workflow; empty in the flat shape."""
    workflows = [place for place in spec.items("workflows") if place.as_object()]
    if len(workflows) > 1:
        workflows[1].error("flowspec.many_workflows", count=len(workflows))
    return workflows[0] if workflows else spec.get("workflows")


def _read(
    root: Place,
    spec: Place,
    workflow: Place,
    findings: Findings,
    data_sources: Collection[str],
    parameters: Collection[str],
) -> Document:
    sections = Sections(spec, workflow) if workflow.is_object else Sections(spec)
    mentions = Mentions()
    owner = workflow.get("owner") or spec.get("owner") or root.object("metadata").get("owner")
    described = _workflow(root, spec, workflow, owner)
    if described is not None and described.owner:
        mentions.owners.setdefault(described.owner, owner.path)
    scopes = Scopes(described is not None, parameters)
    scopes.read_workflow((workflow if workflow.is_object else spec).object("script"), sections)
    is_manual = root.text("kind").lower() in _MANUAL_KINDS
    defaults = _defaults(workflow, sections, owner, mentions, is_manual)
    reader = NodeReader(sections, defaults, mentions, scopes, data_sources)
    places, external = _places(spec, workflow, sections)
    if not places and not findings.errors:
        spec.error("flowspec.no_nodes")
    nodes = {key: reader.read(place, key) for key, place in places.items()}
    flow = Flow(nodes, external, described.source_id if described else "")
    for owner_of_flow in (spec, workflow):
        if owner_of_flow.is_object:
            flow.read([*owner_of_flow.items("flow"), *owner_of_flow.items("dependencies")], sections)
    for key, place in places.items():
        for output in reader.inputs(place):
            flow.add(key, Dependency(output=output))
    if workflow.is_object:
        flow.add_workflow_inputs(reader.inputs(workflow))
    return Document(
        workflow=described and replace(described, parameters=scopes.workflow_text()),
        nodes=flow.finish(places),
        paths={key: place.path for key, place in places.items()},
        owners=mentions.owners,
        resource_groups=mentions.resource_groups,
        time_zones=mentions.time_zones,
        warnings=findings.warnings,
    )


def _workflow(root: Place, spec: Place, workflow: Place, owner: Place) -> DocumentWorkflow | None:
    """The workflow's own words; the flat shape has them at the top of the spec, or nowhere."""
    source = workflow if workflow.is_object else spec
    at_name, at_id = source.get("name"), source.get("id")
    if workflow.is_object:
        at_name, at_id = at_name or spec.get("name"), at_id or spec.get("id")
    name, source_id = at_name.as_text().strip(), at_id.as_text().strip()
    for at, text, most in ((at_name, name, 255), (at_id, source_id, 128)):
        if len(text) > most:
            at.error("flowspec.too_long", most=most)
    if not name and workflow.is_object:
        name = source_id
        workflow.warn("flowspec.workflow_unnamed")
    if not name:
        return None
    description = source.text("description") or root.object("metadata").text("description")
    return DocumentWorkflow(name, source_id, owner.as_text().strip()[:255], description[:1000])


def _defaults(workflow: Place, sections: Sections, owner: Place, mentions: Mentions, is_manual: bool) -> Defaults:
    trigger = sections.resolve(workflow.get("trigger"), "triggers")
    note_time_zone(trigger, mentions)
    return Defaults(
        strategy=workflow.object("strategy"),
        schedule=MANUALLY if is_manual else read_schedule(trigger),
        owner=owner,
        resource=workflow.get("runtimeResource"),
    )


def _places(spec: Place, workflow: Place, sections: Sections) -> tuple[dict[str, Place], dict[str, str]]:
    """The nodes to import by id; and the outputs of nodes that the document only refers to, by id."""
    inside, outside = workflow.items("nodes") if workflow.is_object else [], spec.items("nodes")
    if inside and outside:
        spec.get("nodes").warn("flowspec.nodes_outside_workflow")
    found: dict[str, Place] = {}
    external: dict[str, str] = {}
    seen: dict[str, str] = {}
    for place in [*inside, *outside]:
        if not place.as_object() or not (key := source_id_of(place)):
            continue
        if key in seen:
            place.error("flowspec.id_twice", id=key, first=seen[key])
            continue
        seen[key] = place.path
        if place.get("reference"):
            external[key] = _referred(place.object("reference"), sections)
        else:
            found[key] = place
    return found, external


def _referred(reference: Place, sections: Sections) -> str:
    """The output name of a node that the document only refers to."""
    if not reference.get("output"):
        reference.error("flowspec.output_name", most=255)
        return ""
    return sections.output_name(reference.get("output"))
