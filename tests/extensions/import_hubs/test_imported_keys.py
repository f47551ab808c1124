"""An old key is served through the real relay, and pays what it paid there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.extensions.import_hubs.databases import (
    LITELLM_KEY,
    LITELLM_MEMBERS_KEY,
    LITELLM_SALT_KEY,
    NEW_API_KEY,
    ONE_API_KEY,
    litellm_dump,
    sqlite_file,
)
from tests.fakes.upstream import FakeUpstream
from tests.support.hub import Hub, running_hub


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeUpstream]:
    """The provider of the old channels, which takes the key that they have."""
    models = ("gpt-4o-mini", "fake")
    with FakeUpstream(keys=("sk-upstream-one",), models=models) as provider:
        yield provider


@pytest.fixture(scope="module")
def stage() -> Iterator[Hub]:
    """One hub for all of them: what is imported does not meet."""
    with running_hub() as hub:
        yield hub


def import_from(hub: Hub, peer: str, location: Path | str, *options: str) -> str:
    """Run the command against the hub's database."""
    command = [sys.executable, "manage.py", "import_from", peer, str(location), "--write"]
    environment = {**os.environ, "DATABASE_URL": hub.dsn, "SALT_KEY": LITELLM_SALT_KEY}
    done = subprocess.run(
        [*command, *options], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(hub: Hub, key: str, model: str) -> int:
    """The status that an old client gets."""
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    return hub.post(None, body, headers={"authorization": f"Bearer {key}"}).status


def available_nano(hub: Hub, name: str) -> int:
    [row] = hub.rows(
        "SELECT balance_nano FROM billing_account a JOIN accounts_organisation o "
        "ON o.id = a.organisation_id WHERE o.name = %s AND a.kind = 'customer:available'", name,
    )  # fmt: skip
    return int(row["balance_nano"])


def settled(hub: Hub) -> None:
    """Wait until nothing is held any more."""
    query = "SELECT id FROM billing_hold WHERE state = 'open'"
    hub.wait(lambda: not hub.rows(query), "holds stay open")


@pytest.mark.parametrize(
    ("peer", "key", "name", "balance_nano"),
    [
        ("new-api", NEW_API_KEY, "小明", 1_234_567 * 2000),
        pytest.param(
            "one-api", ONE_API_KEY, "Lin", 5_000_001 * 2000,
            marks=pytest.mark.slow,  # reads its tables as new-api does
        ),
    ],
)  # fmt: skip
def test_old_key_of_a_quota_hub_is_served_from_its_old_balance(
    stage: Hub, provider: FakeUpstream, tmp_path: Path,
    peer: str, key: str, name: str, balance_nano: int,
) -> None:  # fmt: skip
    assert ask(stage, key, "gpt-4o-mini") == 401
    message = import_from(stage, peer, sqlite_file(peer, tmp_path, fake_url=provider.origin))
    assert "difference   0.00 USD" in message
    assert available_nano(stage, name) == balance_nano
    stage.wait(lambda: ask(stage, key, "gpt-4o-mini") == 200, "the old key is not served")
    settled(stage)
    assert available_nano(stage, name) < balance_nano
    stage.assert_books_balance()


def test_old_litellm_key_is_served_by_its_hash_only(
    stage: Hub, provider: FakeUpstream, tmp_path: Path
) -> None:
    assert ask(stage, LITELLM_KEY, "house-model") == 401
    options = ("--salt-key", "env:SALT_KEY")
    message = import_from(stage, "litellm", litellm_dump(tmp_path, provider.url), *options)
    assert "difference   0.00 USD" in message
    left_nano = 100_376_543_211
    assert available_nano(stage, "Acme") == left_nano
    stage.wait(lambda: ask(stage, LITELLM_KEY, "house-model") == 200, "the old key is not served")
    settled(stage)
    assert available_nano(stage, "Acme") < left_nano
    hashed = sha256(LITELLM_KEY.encode()).hexdigest()
    assert ask(stage, hashed, "house-model") == 401, "the hash is in the old database"
    # In the key's own list of models there, and in no other.
    assert ask(stage, LITELLM_KEY, "claude-sonnet-4-5") in (403, 404)
    stage.assert_books_balance()


def test_team_model_answers_only_that_team(
    stage: Hub, provider: FakeUpstream, tmp_path: Path
) -> None:
    options = ("--salt-key", "env:SALT_KEY", "--name", "restricted")
    import_from(stage, "litellm", litellm_dump(tmp_path, provider.url, restricted=True), *options)
    stage.wait(
        lambda: ask(stage, LITELLM_MEMBERS_KEY, "live-of-the-team") == 200, "its key is not served"
    )
    settled(stage)
    assert ask(stage, LITELLM_KEY, "live-of-the-team") in (403, 404)
    # No price is known for it, and it says so.
    assert ask(stage, LITELLM_MEMBERS_KEY, "brand-new") == 402
    stage.assert_books_balance()
