"""A wrong or missing secret does not start, and says which one it is (docs/promises.md,
"Channel secrets")."""

import base64
import os
from pathlib import Path

import pytest

from lib.vault import Vault, WrongSecret, check_secrets, check_value
from tests.relay.front.test_life import database_away
from tests.support.hub import START_LIMIT_S, Hub

KEK, PEPPER = os.environ["WEIR_KEK"], os.environ["WEIR_KEY_PEPPER"]
OTHER_KEK = base64.b64encode(bytes(range(32))).decode()


def store_check(hub: Hub, kek: str, pepper: str) -> None:
    hub.connection.execute(
        "INSERT INTO accounts_secretcheck (id, sealed) VALUES (1, %s)", [check_value(kek, pepper)]
    )


@pytest.mark.parametrize(
    ("kek", "pepper", "wrong"),
    [(KEK, PEPPER, ""), (OTHER_KEK, PEPPER, "WEIR_KEK"), (KEK, "other", "WEIR_KEY_PEPPER"),
     (OTHER_KEK, "other", "WEIR_KEK")],
)  # fmt: skip
def test_error_names_the_wrong_secret(kek: str, pepper: str, wrong: str) -> None:
    kept = check_value(KEK, PEPPER)
    if not wrong:
        check_secrets(kek, pepper, kept)
        return
    with pytest.raises(WrongSecret, match=f"^{wrong} is not the one"):
        check_secrets(kek, pepper, kept)


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"WEIR_KEK": OTHER_KEK}, "WEIR_KEK is not the one that this database was made with"),
        ({"WEIR_KEK": ""}, "WEIR_KEK is not set"),
        ({"WEIR_KEK": "-_" * 21 + "8="}, "WEIR_KEK is URL-safe base64"),
        ({"WEIR_KEY_PEPPER": "x"}, "WEIR_KEY_PEPPER is not the one that this database was made"),
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
    ],
)
def test_web_process_does_not_start_with_a_wrong_secret(
    own_hub: Hub, tmp_path: Path, environment: dict[str, str], text: str
) -> None:
    store_check(own_hub, KEK, PEPPER)
    own_hub.environment = {"DATA_DIR": str(tmp_path), **environment}
    own_hub.spawn()
    assert own_hub.process is not None
    assert own_hub.process.wait(START_LIMIT_S) != 0
    assert text in own_hub.log()
    own_hub.process = None


def test_web_process_does_not_start_without_a_needed_key(own_hub: Hub, tmp_path: Path) -> None:
    store_check(own_hub, KEK, PEPPER)
    own_hub.connection.execute("UPDATE accounts_secretcheck SET kek_ids = ARRAY['0badcafe']")
    own_hub.environment = {"DATA_DIR": str(tmp_path)}
    own_hub.spawn()
    assert own_hub.process is not None
    assert own_hub.process.wait(START_LIMIT_S) != 0
    assert "WEIR_KEK lacks key 0badcafe" in own_hub.log()
    own_hub.process = None


def test_process_is_not_ready_when_a_late_database_disagrees(own_hub: Hub) -> None:
    store_check(own_hub, OTHER_KEK, PEPPER)
    with database_away(own_hub):
        own_hub.launch()
    own_hub.wait(lambda: "not ready: WEIR_KEK is not" in own_hub.log(), "nothing is said")
    assert own_hub.get("/readyz").status == 503


def test_process_starts_with_its_own_secrets(own_hub: Hub) -> None:
    store_check(own_hub, KEK, PEPPER)
    for _ in range(2):
        own_hub.start()
        own_hub.stop()
    check = own_hub.connection.execute("SELECT kek_ids FROM accounts_secretcheck").fetchone()
    # What it seals from then on needs its first key.
    assert check == {"kek_ids": [Vault(KEK).current.id]}
