"""What is made from the tree: translations and static files, when they are stale and only then."""

import os
from pathlib import Path

import pytest

from opscenter.processes import assets

PO = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Stop"\nmsgstr "{}"\n'


@pytest.fixture
def catalogue(tmp_path: Path, settings) -> Path:
    folder = tmp_path / "zh_Hans" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    settings.LOCALE_PATHS = [tmp_path]
    source = folder / "django.po"
    source.write_text(PO.format("停止"), encoding="utf-8")
    return source


def test_messages_are_compiled_once_and_again_when_they_change(catalogue: Path) -> None:
    compiled = catalogue.with_suffix(".mo")
    assets.compile_messages()
    assert "停止".encode() in compiled.read_bytes()
    first = compiled.stat().st_ino
    assets.compile_messages()
    assert compiled.stat().st_ino == first
    catalogue.write_text(PO.format("终止"), encoding="utf-8")
    later = compiled.stat().st_mtime + 5
    os.utime(catalogue, (later, later))
    assets.compile_messages()
    assert "终止".encode() in compiled.read_bytes()


@pytest.fixture
def static(tmp_path: Path, settings) -> Path:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "app.css").write_text("body { color: red }")
    settings.STATICFILES_DIRS = [folder]
    settings.STATIC_ROOT = tmp_path / "collected"
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    return folder


def test_static_files_are_collected_under_hashed_names_when_they_change(static: Path, settings) -> None:
    assets.collect_static()
    collected = Path(settings.STATIC_ROOT)
    (manifest,) = collected.glob("staticfiles.json")
    (first,) = collected.glob("app.*.css")
    made = manifest.stat().st_mtime_ns
    assets.collect_static()
    assert manifest.stat().st_mtime_ns == made
    (static / "app.css").write_text("body { color: blue, at last }")
    assets.collect_static()
    assert len({path.name for path in collected.glob("app.*.css")} - {first.name}) == 1


def test_an_interrupted_collection_is_done_again(static: Path, settings) -> None:
    assets.collect_static()
    mark = Path(settings.STATIC_ROOT) / ".made-from"
    mark.unlink()
    (Path(settings.STATIC_ROOT) / "staticfiles.json").unlink()
    assets.collect_static()
    assert (Path(settings.STATIC_ROOT) / "staticfiles.json").exists()
