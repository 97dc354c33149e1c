"""Configuration from the environment."""

import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from opscenter.base import config
from opscenter.base.config import Misconfigured


def database(url: str) -> dict[str, Any]:
    return config.database(Path("/data"), {"DATABASE_URL": url})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@db.example.com:5433/ops", ("u", "p", "db.example.com", "5433", "ops")),
        ("postgresql://u@db/ops", ("u", "", "db", "", "ops")),
        ("postgres://u%40x:p%2F%3A%40%25@db/o%20ps", ("u@x", "p/:@%", "db", "", "o ps")),
        ("postgres://u:a@b@db/ops", ("u", "a@b", "db", "", "ops")),
        ("postgres://u:p@[::1]:5432/ops", ("u", "p", "::1", "5432", "ops")),
        ("postgres:///ops", ("", "", "", "", "ops")),
        ("postgres://u@%2Frun%2FPostgreSQL:5433/ops", ("u", "", "/run/PostgreSQL", "5433", "ops")),
        ("postgres://u@/ops?host=/run/postgresql&port=5433", ("u", "", "/run/postgresql", "5433", "ops")),
    ],
)
def test_database_url(url: str, expected: tuple[str, ...]) -> None:
    found = database(url)
    assert tuple(found[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")) == expected


def test_database_url_options_reach_the_driver() -> None:
    options = database("postgres://u@db/ops?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&connect_timeout=3")[
        "OPTIONS"
    ]
    assert options["sslmode"] == "verify-full"
    assert options["sslrootcert"] == "/etc/ca.pem"
    assert options["connect_timeout"] == "3"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u@db/ops", "must start with postgres://"),
        ("postgres://u@db", "names no database"),
        ("postgres://u@db/", "names no database"),
        ("postgres://u@db:many/ops", "cannot be read"),
    ],
)
def test_a_wrong_database_url_is_one_sentence(url: str, says: str) -> None:
    with pytest.raises(Misconfigured, match=says) as refused:
        database(url)
    assert "\n" not in str(refused.value)


def test_the_embedded_server_is_found_by_its_record(tmp_path: Path) -> None:
    (tmp_path / config.EMBEDDED_RECORD).write_text('{"home": "/h", "socket": "/s"}')
    found = config.database(tmp_path, {})
    assert (found["HOST"], found["NAME"], found["USER"]) == ("/s", "opscenter", "opscenter")


def _read_keys(folder: str, start: Any, answers: Any) -> None:
    start.wait()
    answers.put((config.secret_key(Path(folder), {}), tuple(config.encryption_keys(Path(folder), {}))))


def test_processes_that_start_together_agree_on_the_keys(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    count = 12
    start, answers = context.Barrier(count), context.Queue()
    racers = [context.Process(target=_read_keys, args=(str(tmp_path), start, answers)) for _ in range(count)]
    for racer in racers:
        racer.start()
    found = {answers.get(timeout=20) for _ in racers}
    for racer in racers:
        racer.join(10)
    assert len(found) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encryption_keys", "secret_key"]


def test_made_keys_are_ours_alone_whatever_the_umask_and_stay(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first = config.encryption_keys(tmp_path, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "encryption_keys").stat().st_mode) == 0o600
    assert config.encryption_keys(tmp_path, {}) == first
    Fernet(first[0])


def test_given_keys_are_used_and_nothing_is_written(tmp_path: Path) -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    env = {"OPSCENTER_ENCRYPTION_KEYS": ", ".join(keys), "OPSCENTER_SECRET_KEY": "s"}
    assert config.encryption_keys(tmp_path, env) == keys
    assert config.secret_key(tmp_path, env) == "s"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keys", ["short", "A" * 44, " , ", "A" * 43 + "=,broken"])
def test_a_broken_encryption_key_is_refused_without_showing_it(tmp_path: Path, keys: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        config.encryption_keys(tmp_path, {"OPSCENTER_ENCRYPTION_KEYS": keys})
    assert "broken" not in str(refused.value)


def test_an_emptied_key_file_is_not_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "secret_key").touch()
    with pytest.raises(Misconfigured, match="is empty"):
        config.secret_key(tmp_path, {})


@pytest.mark.parametrize(("given", "value"), [("", 7), ("1", 1), (" 9 ", 9), ("10", 10)])
def test_integers_within_their_bounds(given: str, value: int) -> None:
    assert config.integer("N", 7, most=10, env={"N": given}) == value


@pytest.mark.parametrize("given", ["0", "11", "-1", "x", "1.5", "٣", "1e3"])
def test_integers_beyond_are_refused(given: str) -> None:
    with pytest.raises(Misconfigured, match="N must be a whole number from 1 to 10"):
        config.integer("N", 7, most=10, env={"N": given})


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="Cannot use the data folder"):
        config.data_dir(tmp_path, {"OPSCENTER_DATA": "file/below"})


def test_words_and_choices() -> None:
    assert config.words("W", "a,b", {}) == ["a", "b"]
    assert config.words("W", "", {"W": " a, b c,"}) == ["a", "b", "c"]
    assert config.choice("C", ("one", "two"), {}) == "one"
    with pytest.raises(Misconfigured, match="one of one, two"):
        config.choice("C", ("one", "two"), {"C": "three"})


def test_a_program_is_named_by_its_full_path() -> None:
    assert config.program("OPSCENTER_NODE_PYTHON", {}) == ""
    assert config.program("X", {"X": " /usr/bin/python3 "}) == "/usr/bin/python3"
    with pytest.raises(Misconfigured, match="X must be the full path of a program, not 'python3'"):
        config.program("X", {"X": "python3"})


def test_sqlite_files_lie_with_the_data_unless_another_folder_is_named() -> None:
    base, data = Path("/app"), Path("/data")
    assert config.sqlite_dir(base, data, {}) == Path("/data/sqlite")
    assert config.sqlite_dir(base, data, {"OPSCENTER_SQLITE_DIR": "files"}) == Path("/app/files")
    assert config.sqlite_dir(base, data, {"OPSCENTER_SQLITE_DIR": "/srv/files"}) == Path("/srv/files")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", ("", 25, "", "", False, False)),
        ("smtp://mail.example.com", ("mail.example.com", 25, "", "", False, False)),
        ("smtps://me%40x:p%2Fw@mail.example.com", ("mail.example.com", 465, "me@x", "p/w", False, True)),
        ("smtp+starttls://me:pw@[::1]:2525/", ("::1", 2525, "me", "pw", True, False)),
    ],
)
def test_mail_url(url: str, expected: tuple[Any, ...]) -> None:
    found = config.mail("ops.example.com", {"OPSCENTER_MAIL_URL": url})
    names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    assert tuple(found[f"EMAIL_{name}"] for name in names) == expected
    assert found["DEFAULT_FROM_EMAIL"] == "Opscenter <opscenter@ops.example.com>"


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"OPSCENTER_MAIL_URL": "mail.example.com:25"}, "must look like"),
        ({"OPSCENTER_MAIL_URL": "https://mail.example.com"}, "must look like"),
        ({"OPSCENTER_MAIL_URL": "smtp://"}, "must look like"),
        ({"OPSCENTER_MAIL_URL": "smtp://mail.example.com/inbox"}, "must look like"),
        ({"OPSCENTER_MAIL_URL": "smtp://mail.example.com:port"}, "cannot be read"),
        ({"OPSCENTER_MAIL_FROM": "nobody"}, "must be an address"),
        ({"OPSCENTER_MAIL_FROM": "a@b.example\nBcc: c@d.example"}, "must be an address"),
    ],
)
def test_wrong_mail_settings_are_one_sentence(env: dict[str, str], says: str) -> None:
    with pytest.raises(config.Misconfigured, match=says):
        config.mail("ops.example.com", env)


def test_the_sender_of_mails_can_be_named() -> None:
    env = {"OPSCENTER_MAIL_FROM": "Data team <data@example.com>"}
    assert config.mail("ops.example.com", env)["DEFAULT_FROM_EMAIL"] == "Data team <data@example.com>"
