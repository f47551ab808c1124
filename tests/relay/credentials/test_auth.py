"""Carriers, look-ups and what is remembered of them."""

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import pytest

from accounts.secrets import key_format
from dialects.errors.errors import RequestFault
from relay.credentials.keys import Authenticator, Credentials, read_credentials
from relay.database.database import Row
from relay.endpoints.table import find_endpoint
from relay.errors import DatabaseAway

KEY = "sk-of-another-system-0123456789"


def own_header(path: str) -> bytes:
    endpoint = find_endpoint(path)
    return b"" if endpoint is None else endpoint.key_header


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ([], b"", Credentials(None, False)),
        ([(b"authorization", b"Bearer " + KEY.encode())], b"", Credentials(KEY, False)),
        ([(b"authorization", b"bearer   " + KEY.encode())], b"", Credentials(KEY, False)),
        ([(b"authorization", KEY.encode())], b"", Credentials(KEY, False)),
        ([(b"authorization", b"Bearer")], b"", Credentials(None, False)),
        ([(b"authorization", b"Basic " + KEY.encode())], b"", Credentials(None, False)),
        ([(b"x-api-key", KEY.encode())], b"", Credentials(KEY, False)),
        ([(b"x-goog-api-key", KEY.encode())], b"", Credentials(KEY, False)),
        ([], b"a=1&key=" + KEY.encode(), Credentials(KEY, False)),
        ([(b"x-api-key", KEY.encode())], b"key=" + KEY.encode(), Credentials(KEY, False)),
        ([(b"x-api-key", KEY.encode())], b"key=another", Credentials(None, True)),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"b")], b"", Credentials(None, True)),
        ([(b"authorization", b"Basic x"), (b"x-api-key", b"a")], b"", Credentials(None, False)),
    ],
)
def test_carriers(headers: list[tuple[bytes, bytes]], query: bytes, expected: Credentials) -> None:
    assert read_credentials(headers, query) == expected


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/mj/submit/imagine", True),
        ("/mj-fast/mj/task/1/fetch", True),
        ("/v1/chat/completions", False),
        ("/mjx/mj/", False),
        ("/v1/mj/", False),
    ],
)
def test_a_header_of_midjourney_carries_keys_on_its_own_paths(path: str, taken: bool) -> None:
    secret = [(b"mj-api-secret", KEY.encode())]
    assert read_credentials(secret, own_header=own_header(path)).key == (KEY if taken else None)
    both = [*secret, (b"authorization", b"Bearer another")]
    assert read_credentials(both, own_header=own_header(path)).conflict is taken


class Table:
    """Stands for the database: counts what it is asked."""

    def __init__(self, disabled: str = "f") -> None:
        self.asked = 0
        self.stored = key_format.digest("pepper", KEY)
        self.disabled = disabled
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, statement: tuple[str, Mapping[str, object]]) -> Sequence[Row]:
        self.asked += 1
        await self.gate.wait()
        if self.away:
            raise DatabaseAway("away")
        if statement[1]["digest"] != "\\x" + self.stored.hex():
            return []
        ids = [str(uuid.UUID(int=n)) for n in (1, 2, 3)]
        row = (*ids, None, "relay", "gpt-*\ngpt", "2000.5", self.disabled, None, "24")
        return [(*row, json.dumps(GUARDS))]


GUARDS: dict[str, Any] = {
    "endpoints": ["embeddings"],
    "networks": ["10.0.0.0/8", "2001:db8::/32"],
    "tags": ["beta"],
    "limited": False,
    "tpm": None,
    "guards": 3,
    "budgets": [
        [1, "organisation", ""], [2, "model", "gpt-*"], [3, "user", "7"], [4, "tag", "beta"],
        [5, "tag", "eu"], [6, "project", "search"], [7, "customer", "c-1"],
    ],
}  # fmt: skip


async def test_limits_of_a_key_are_known_with_it() -> None:
    result = await Authenticator("pepper", Table()).principal(Credentials(KEY, False), 0.0)
    assert [result.may_call(operation) for operation in ("embeddings", "messages")] == [True, False]
    come_from = {
        "10.1.2.3": True, "::ffff:10.1.2.3": True, "2001:db8::7": True, "11.0.0.1": False,
        "": False, "unix:": False, "127.0.0.1": False,
    }  # fmt: skip
    assert {address: result.may_come_from(address) for address in come_from} == come_from


async def test_key_is_looked_up_once_for_all_waiters_and_after_a_change() -> None:
    table = Table()
    authenticator = Authenticator("pepper", table)
    table.gate.clear()
    waiting = [
        asyncio.create_task(authenticator.principal(Credentials(KEY, False), 0.0)) for _ in range(5)
    ]
    await asyncio.sleep(0)
    waiting[0].cancel()
    table.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert len({str(principal) for principal in results[1:]}) == 1
    assert table.asked == 1
    principal = await authenticator.principal(Credentials(KEY, False), 0.0)
    assert principal.may_use("gpt-4")
    assert not principal.may_use("o1")
    assert table.asked == 1
    authenticator.clear()
    await authenticator.principal(Credentials(KEY, False), 0.0)
    assert table.asked == 2


async def test_expiry_is_checked_each_time() -> None:
    authenticator = Authenticator("pepper", Table())
    await authenticator.principal(Credentials(KEY, False), 2000.0)
    with pytest.raises(RequestFault) as fault:
        await authenticator.principal(Credentials(KEY, False), 2000.5)
    assert fault.value.kind == "authentication"


async def test_own_key_with_a_wrong_checksum_needs_no_look_up() -> None:
    table = Table()
    authenticator = Authenticator("pepper", table)
    with pytest.raises(RequestFault):
        await authenticator.principal(Credentials("sk-weir-" + "0" * 38, False), 0.0)
    assert table.asked == 0


async def test_unknown_key_is_remembered_as_unknown() -> None:
    table = Table()
    authenticator = Authenticator("pepper", table)
    for _ in range(3):
        with pytest.raises(RequestFault):
            await authenticator.principal(Credentials(KEY + "x", False), 0.0)
    assert table.asked == 2, "once in each way in which a brought key may be stored"


async def test_hashed_key_opens_with_its_text_and_not_with_its_hash() -> None:
    table = Table()
    text = "sk-brought-from-elsewhere-1"
    hashed = sha256(text.encode()).digest()
    table.stored = key_format.digest_of_hash("pepper", hashed)
    authenticator = Authenticator("pepper", table)
    result = await authenticator.principal(Credentials(text, False), 0.0)
    # What revocation asks for is the digest that is stored.
    assert result.digest == table.stored
    await authenticator.principal(Credentials(text, False), 0.0)
    assert table.asked == 2, "known by its text from then on"
    for forged in (hashed.hex(), "sha256" + hashed.hex(), " sha256 " + hashed.decode("latin-1")):
        with pytest.raises(RequestFault):
            await authenticator.principal(Credentials(forged, False), 0.0)


async def test_known_and_unknown_own_keys_take_one_look_up() -> None:
    table = Table()
    own = key_format.compose("relay", bytes(32))
    with pytest.raises(RequestFault):
        await Authenticator("pepper", table).principal(Credentials(own, False), 0.0)
    assert table.asked == 1


async def test_unavailable_database_is_no_verdict_and_not_remembered() -> None:
    table = Table()
    table.away = True
    authenticator = Authenticator("pepper", table)
    with pytest.raises(DatabaseAway):
        await authenticator.principal(Credentials(KEY, False), 0.0)
    table.away = False
    await authenticator.principal(Credentials(KEY, False), 0.0)


async def test_answer_from_before_a_change_is_not_remembered_after_it() -> None:
    table = Table()
    authenticator = Authenticator("pepper", table)
    table.gate.clear()
    waiting = asyncio.create_task(authenticator.principal(Credentials(KEY, False), 0.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert table.asked == 1
    authenticator.clear()
    table.gate.set()
    await waiting
    await authenticator.principal(Credentials(KEY, False), 0.0)
    assert table.asked == 2


@pytest.mark.parametrize("alike", ["text", "digest"])
async def test_similar_keys_are_told_apart(monkeypatch: pytest.MonkeyPatch, alike: str) -> None:
    """Only the whole digest names a key: neither the text's beginning nor any part of the digest
    does, whichever byte differs."""
    texts = [f"sk-{'0' * 60}{n:02}" for n in range(32)]
    if alike == "digest":
        alone = {text: bytes(int(at == n) for at in range(32)) for n, text in enumerate(texts)}
        monkeypatch.setattr(key_format, "digest", lambda pepper, text: alone[text])
    by_digest = {"\\x" + key_format.digest("pepper", text).hex(): n for n, text in enumerate(texts)}

    async def ask(statement: tuple[str, Mapping[str, object]]) -> Sequence[Row]:
        key_id = str(uuid.UUID(int=by_digest[str(statement[1]["digest"])]))
        row = (key_id, key_id, key_id, None, "relay", "", None, "f", None, "24")
        return [(*row, json.dumps(GUARDS))]

    authenticator = Authenticator("pepper", ask)
    for _ in range(2):
        results = [await authenticator.principal(Credentials(text, False), 0.0) for text in texts]
        assert [principal.key_id.int for principal in results] == list(range(32))
