"""The sections that others refer to: ``"{{scripts.file1}}"``, ``"{{file1}}"``, ``"file1"``, or inline."""

import re

from workflows.flowspec.place import Place

_REFERENCE = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_SECTIONS = ("variables", "scripts", "triggers", "runtimeResources")
_OUTPUT_KINDS = ("nodeOutputs", "outputs")


def local_id(text: str) -> tuple[str, bool]:
    """The id in a reference, and whether it was written as ``{{...}}``."""
    match = _REFERENCE.fullmatch(text.strip())
    return (match.group(1), True) if match else (text.strip(), False)


class Sections:
    """Everything that has an id outside the nodes, by section and id."""

    def __init__(self, *owners: Place) -> None:
        """``owners``: the objects that carry sections, such as the document's spec and its workflow."""
        self._by_id: dict[str, dict[str, Place]] = {}
        for owner in owners:
            for name in _SECTIONS:
                self._index(name, owner.items(name))
            self._index_artifacts(owner.get("artifacts"))

    def _index(self, name: str, places: list[Place]) -> None:
        known = self._by_id.setdefault(name, {})
        for place in places:
            if not place.as_object():
                continue
            key = place.text("id")
            if key in known:
                place.error("flowspec.id_twice", id=key, first=known[key].path)
            elif key:
                known[key] = place

    def _index_artifacts(self, artifacts: Place) -> None:
        """An object of lists by kind, or one list of all kinds. Outputs come first: only they are referred to here."""
        known = self._by_id.setdefault("artifacts", {})
        if artifacts.is_object:
            kinds = sorted(artifacts.value, key=lambda kind: kind not in _OUTPUT_KINDS)
            places = [place for kind in kinds for place in artifacts.items(kind)]
        else:
            places = artifacts.as_items()
        for place in places:
            if place.is_object and (key := place.text("id")):
                known.setdefault(key, place)

    def all(self, section: str) -> list[Place]:
        """Everything with an id in a section, in the order of the document."""
        return list(self._by_id.get(section, {}).values())

    def resolve(self, place: Place, section: str) -> Place:
        """The object that a place is or refers to; a reference to nothing is an error and reads as an empty place."""
        if not isinstance(place.value, str):
            return place.as_object()
        known = self._by_id.get(section, {})
        key, _ = local_id(place.value)
        found = known.get(key) or known.get(key.partition(".")[2])
        if found is None:
            place.error("flowspec.reference_unknown", reference=place.value[:200], section=section)
            return Place(None, place.path, place.findings)
        return found

    def output_name(self, place: Place) -> str:
        """The name in an output: an inline object, a reference to an artifact, or the name itself."""
        if isinstance(place.value, str):
            key, is_reference = local_id(place.value)
            if not is_reference:
                return self._checked(place, key)
            place = self.resolve(place, "artifacts")
        else:
            place = place.as_object()
        return self._checked(place, place.text("data", "output", "id")) if place else ""

    @staticmethod
    def _checked(place: Place, name: str) -> str:
        if not name or len(name) > 255:
            place.error("flowspec.output_name", most=255)
            return ""
        return name
