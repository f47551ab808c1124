"""A setting that cannot be read is named, before anything runs by it."""

import runpy
from pathlib import Path
from typing import Final

import pytest
from psycopg.conninfo import conninfo_to_dict

from lib import env

SETTINGS: Final = Path(__file__).parents[2] / "config/settings.py"


@pytest.mark.parametrize("value", ["15s", "-1", "0.01", "nan", "inf", "1e400"])
def test_invalid_time_is_rejected(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KEEP_ALIVE_SECONDS", value)
    with pytest.raises(env.ConfigurationError, match=r"KEEP_ALIVE_SECONDS is .* 0\.1 or more"):
        env.seconds("KEEP_ALIVE_SECONDS", 15, least=0.1)


@pytest.mark.parametrize("value", ["587.0", "-1", "port", "\u0663"])
def test_invalid_number_is_rejected(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("EMAIL_PORT", value)
    with pytest.raises(env.ConfigurationError, match=r"EMAIL_PORT is .* whole number"):
        env.number("EMAIL_PORT", 587)


def test_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes it for what .env leaves out."""
    monkeypatch.setenv("KEEP_ALIVE_SECONDS", "")
    assert (env.seconds("KEEP_ALIVE_SECONDS", 15), env.number("EMAIL_PORT", 587)) == (15, 587)
    monkeypatch.setenv("KEEP_ALIVE_SECONDS", "0.2")
    assert env.seconds("KEEP_ALIVE_SECONDS", 15, least=0.1) == 0.2


# ---- a file has it


def test_file_variable_is_read_from_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It wins: compose asks for the other one all the same."""
    file = tmp_path / "kek"
    file.write_text("of the file\n")
    monkeypatch.setenv("WEIR_KEK", "of the environment")
    assert env.text("WEIR_KEK", "") == "of the environment"
    monkeypatch.setenv("WEIR_KEK_FILE", str(file))
    assert env.text("WEIR_KEK", "") == "of the file"
    (tmp_path / "WEIR_KEK").write_text("of the folder")
    assert env.read_kept("WEIR_KEK", tmp_path) == "of the file"
    monkeypatch.setenv("WEIR_KEK_FILE", "")
    assert env.text("WEIR_KEK", "") == "of the environment"


def test_folder_is_read_where_nothing_else_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WEIR_KEK", raising=False)
    assert env.read_kept("WEIR_KEK", tmp_path) is None
    (tmp_path / "WEIR_KEK").write_text("of the folder\n")
    assert env.read_kept("WEIR_KEK", tmp_path) == "of the folder"


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "is not there"), (b"\xff\xfe", "it is no text"), ("folder", "Is a directory")],
)
def test_unreadable_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | str | None, problem: str
) -> None:
    file = tmp_path / "kek"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        file.mkdir()
    monkeypatch.setenv("WEIR_KEK_FILE", str(file))
    with pytest.raises(env.ConfigurationError, match=rf"WEIR_KEK_FILE names {file}, .*{problem}"):
        env.text("WEIR_KEK", "")


def test_the_settings_are_read_by_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("SECRET_KEY", "WEIR_KEK", "METRICS_TOKEN", "DATABASE_URL", "EMAIL_PASSWORD")
    for name in names:
        (tmp_path / name.lower()).write_text(f"postgresql://x/{name}\n")
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name.lower()))
    settings = runpy.run_path(str(SETTINGS))
    found = {**settings, "EMAIL_PASSWORD": settings["EMAIL_HOST_PASSWORD"]}
    # It has the settings of a session beside the address.
    database = conninfo_to_dict(found.pop("DATABASE_URL"))
    assert (database["host"], database["dbname"]) == ("x", "DATABASE_URL")
    assert [found[name] for name in names if name in found] == [
        f"postgresql://x/{name}" for name in names if name != "DATABASE_URL"
    ]


def test_empty_text_is_no_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compose passes unset variables of .env that way."""
    file = tmp_path / "host"
    file.write_text("\n")
    monkeypatch.setenv("HOST", "")
    assert env.text("HOST", "default") == "default"
    monkeypatch.setenv("HOST_FILE", str(file))
    assert env.text("HOST", "default") == "default"
    for text, value in (("", False), ("0", False), ("off", False), ("ON", True), ("1", True)):
        monkeypatch.setenv("TRACES", text)
        assert env.flag("TRACES", default=not value) is value
    monkeypatch.delenv("TRACES")
    assert env.flag("TRACES", default=True)


def test_number_of_seconds_may_be_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, valid in (("5", True), ("5.5", True), ("4.9", False), ("inf", False), ("x", False)):
        monkeypatch.setenv("DRAIN_SECONDS", text)
        if valid:
            assert env.seconds("DRAIN_SECONDS", 30, least=5) == float(text)
        else:
            with pytest.raises(env.ConfigurationError):
                env.seconds("DRAIN_SECONDS", 30, least=5)
    monkeypatch.delenv("DRAIN_SECONDS")
    assert env.seconds("DRAIN_SECONDS", 30, least=5) == 30


def test_whole_number_is_in_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env.optional_number("POOL") is None
    for text, number in (("0", 0), ("12", 12), ("-1", None), ("1_0", None), ("²", None)):
        monkeypatch.setenv("POOL", text)
        if number is None:
            with pytest.raises(env.ConfigurationError):
                env.number("POOL", 4)
        else:
            assert env.number("POOL", 4) == env.optional_number("POOL") == number
