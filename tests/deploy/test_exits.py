"""The exit codes and streams of the small programs of a container, without a process of their own.

Their processes are started in `test_start.py` and `test_make_secrets.py`.
"""

import os
import time
from pathlib import Path

import pytest

from deploy import alive, exit_zero, make_secrets


@pytest.mark.parametrize(("age", "works"), [(0, True), (59, True), (60, True), (61, False)])
def test_worker_is_alive_as_long_as_its_last_sign_is_recent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, age: int, works: bool
) -> None:
    file = tmp_path / "heartbeat"
    file.touch()
    os.utime(file, (1_000, 1_000))
    monkeypatch.setattr(time, "time", lambda: 1_000.0 + age)
    assert alive.is_alive(file, 60) is works
    assert not alive.is_alive(tmp_path / "none", 60)


def test_process_that_is_asked_to_stop_ends_well() -> None:
    with pytest.raises(SystemExit) as end:
        exit_zero.leave(15, None)
    assert end.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["https://hub.example.org"], 0), (["http://localhost:8080"], 0), ([], 2),
        (["hub.example.org"], 2), (["ftp://hub.example.org"], 2), (["https://a", "https://b"], 2),
    ],
)  # fmt: skip
def test_settings_go_to_one_stream_and_a_refusal_to_the_other(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    """What is written to .env is only settings, one a line."""
    assert make_secrets.main(arguments) == code
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert (bool(lines), bool(err)) == (code == 0, code != 0)
    assert all(line.partition("=")[2] for line in lines)
    plain = not code and arguments[0].startswith("http://")
    assert ("EDGE=plain" in lines) is plain
    assert not code or "https://hub.example.org" in err
