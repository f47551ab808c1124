import base64
import stat
from pathlib import Path

import pytest

from accounts.secrets.key_format import KeyForm, check
from stack.keyring import MAKERS, open_keyring


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MAKERS:
        monkeypatch.delenv(name, raising=False)


def test_secrets_are_made_once_and_private_to_their_owner(tmp_path: Path) -> None:
    keyring = open_keyring(tmp_path)
    assert open_keyring(tmp_path) == keyring
    assert set(keyring) == set(MAKERS)
    assert len(set(keyring.values())) == len(keyring)
    assert {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()
    } == dict.fromkeys(keyring, 0o600)


def test_secrets_have_the_required_forms(tmp_path: Path) -> None:
    keyring = open_keyring(tmp_path)
    assert len(base64.b64decode(keyring["WEIR_KEK"], validate=True)) == 32
    assert check(keyring["WEIR_DEMO_KEY"]) is KeyForm.OWN


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "from outside")
    assert open_keyring(tmp_path)["SECRET_KEY"] == "from outside"
    assert not (tmp_path / "SECRET_KEY").exists()


def test_file_that_the_environment_names_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies the folder has no other WEIR_KEK than the one in use."""
    outside, folder = tmp_path / "kek", tmp_path / "secrets"
    outside.write_text("from outside\n")
    folder.mkdir()
    monkeypatch.setenv("WEIR_KEK_FILE", str(outside))
    assert open_keyring(folder)["WEIR_KEK"] == "from outside"
    assert {file.name for file in folder.iterdir()} == {*MAKERS} - {"WEIR_KEK"}
