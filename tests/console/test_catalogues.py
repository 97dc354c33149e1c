"""The catalogues: every sentence of the product is there, in Simplified Chinese too, with the same values in it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest

TREE = Path(__file__).parents[2]
LOCALE = TREE / "opscenter" / "locale"
PYTHON = {"_": 0, "gettext": 0, "gettext_lazy": 0, "ngettext": 0, "ngettext_lazy": 0, "pgettext": 1, "pgettext_lazy": 1}
"""Functions that translate, and which of their arguments is the sentence."""

TRANSLATE = re.compile(r"""{%\s*translate\s+(?:"([^"]+)"|'([^']+)')""")
VALUE = re.compile(r"%\((\w+)\)[a-z]")
HOW = "run manage.py makemessages -l en -l zh_Hans --no-location and translate what is new"


def _catalogue(language: str) -> polib.POFile:
    return polib.pofile(str(LOCALE / language / "LC_MESSAGES" / "django.po"))


def _said() -> Iterator[tuple[str, str]]:
    """Each sentence of the code and the templates, with its place."""
    for folder in ("opscenter", "workflows", "extensions"):
        for path in (TREE / folder).rglob("*.py"):
            for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
                place = PYTHON.get(call.func.id) if isinstance(call.func, ast.Name) else None
                if place is not None and len(call.args) > place and isinstance(call.args[place], ast.Constant):
                    argument = call.args[place]
                    assert isinstance(argument, ast.Constant)
                    yield str(argument.value), f"{path.relative_to(TREE)}:{call.lineno}"
    for path in (TREE / "templates").rglob("*.html"):
        for double, single in TRANSLATE.findall(path.read_text()):
            yield double or single, str(path.relative_to(TREE))


@pytest.mark.parametrize("language", ["en", "zh_Hans"])
def test_every_sentence_is_in_the_catalogue(language: str) -> None:
    known = {entry.msgid for entry in _catalogue(language)}
    missing = [f"{place}: {sentence}" for sentence, place in _said() if sentence not in known]
    assert not missing, f"{HOW}: {missing}"


def test_every_sentence_is_translated() -> None:
    entries = _catalogue("zh_Hans")
    assert len(entries) > 700
    for entry in entries:
        assert not entry.fuzzy, entry.msgid
        translations = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        for translation in translations:
            assert translation, f"{entry.msgid}: {HOW}"
            assert set(VALUE.findall(translation)) == set(VALUE.findall(entry.msgid_plural or entry.msgid)), entry.msgid
