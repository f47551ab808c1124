"""What the suite does on a machine without nginx, Chromium, Node.js and the like."""

import pytest

from tests.runner import programs


def test_a_missing_program_skips_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MUST_RUN", False)
    with pytest.raises(pytest.skip.Exception, match="nothing-of-the-kind is missing; make test-"):
        programs.need("nothing-of-the-kind")


def test_missing_program_fails_where_all_must_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MUST_RUN", True)
    with pytest.raises(pytest.fail.Exception, match="make test-tools installs it"):
        programs.need("nothing-of-the-kind")


def test_existing_program_is_found() -> None:
    assert programs.need("git").endswith("/git")
