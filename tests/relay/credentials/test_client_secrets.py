"""Client secrets, pure: what opens one, and what opens nothing (P11)."""

import asyncio
import base64
import hmac
import json
import string
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from accounts.limits.data_policy import DataPolicy
from accounts.secrets import key_format
from dialects.errors.errors import RequestFault
from relay.credentials import client_secrets, sealed_texts
from relay.credentials.client_secrets import (
    CONTENT_BYTES_MAX,
    ClientSecret,
    SecretRefused,
    SecretTooLong,
    open_sealed,
    seal,
)
from relay.credentials.keys import Authenticator
from relay.database.database import Row
from relay.requests.labels import Labels

PEPPER: Final = "pepper"
SECRET: Final = ClientSecret(
    digest=bytes(range(32)),
    expires_at=1_000,
    session={"type": "realtime", "model": "m", "audio": {"output": {"voice": "cedar"}}},
    labels=Labels("search", ("beta",), "c-1"),
    data_policy=DataPolicy(True, (("eu",), ("us", "ca"))),
    max_cost_nano=7,
    session_cap_nano=8,
)
PLAIN: Final = ClientSecret(digest=bytes(32), expires_at=0, session={})
URL_SAFE: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def encoded(raw: bytes) -> str:
    return "ek_" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def raw_of(text: str) -> bytes:
    body = text.removeprefix("ek_")
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def of_size(size: int) -> ClientSecret:
    """A secret whose content has that size."""
    empty = len(msgspec.json.encode(msgspec.structs.replace(PLAIN, session={"x": ""})))
    return msgspec.structs.replace(PLAIN, session={"x": "y" * (size - empty)})


@pytest.mark.parametrize("secret", [SECRET, PLAIN])
def test_a_secret_opens_as_it_was_sealed(secret: ClientSecret) -> None:
    text = seal(PEPPER, secret)
    assert open_sealed(PEPPER, text) == secret
    assert key_format.is_client_secret(text)
    # A token of RFC 9110, as the name of a subprotocol must be.
    assert set(text) <= {*URL_SAFE}
    again = seal(PEPPER, secret)
    assert again != text
    assert open_sealed(PEPPER, again) == secret


def test_a_secret_of_any_length_opens() -> None:
    for size in range(200, 220):
        assert open_sealed(PEPPER, seal(PEPPER, of_size(size))) == of_size(size), size


def test_sealed_text_reveals_none_of_its_content() -> None:
    raw = raw_of(seal(PEPPER, SECRET))
    assert not any(word in raw for word in (SECRET.digest[:8], b"realtime", b"cedar", b"c-1"))


def test_every_change_of_its_text_closes_it() -> None:
    text = seal(PEPPER, SECRET)
    for at in range(len(text)):
        other = "A" if text[at] != "A" else "B"
        assert open_sealed(PEPPER, text[:at] + other + text[at + 1 :]) is None, at
        assert open_sealed(PEPPER, text[:at]) is None, at
        assert open_sealed(PEPPER, text[:at] + text[at + 1 :]) is None, at


def test_every_change_of_a_byte_closes_it() -> None:
    raw = raw_of(seal(PEPPER, SECRET))
    for at in range(len(raw)):
        for flip in (1, 0x80):
            changed = bytes([*raw[:at], raw[at] ^ flip, *raw[at + 1 :]])
            assert open_sealed(PEPPER, encoded(changed)) is None, at


@pytest.mark.parametrize("length", [0, 1, 2])
def test_secret_has_only_one_text(length: int) -> None:
    """Base64 that ends within a byte has bits that decoders ignore; and some ignore characters."""
    secret = next(
        secret for secret in (of_size(200 + n) for n in range(3))
        if len(raw_of(seal(PEPPER, secret))) % 3 == length
    )  # fmt: skip
    text = seal(PEPPER, secret)
    alike = [text[:-1] + last for last in URL_SAFE if raw_of(text[:-1] + last) == raw_of(text)]
    assert len(alike) == {0: 1, 1: 16, 2: 4}[length]
    assert [one for one in alike if open_sealed(PEPPER, one)] == [text]
    longer = (
        text + "=",
        text + "==",
        text + "\n",
        f" {text}",
        text + "A",
        f"{text[:9]}.{text[9:]}",
    )
    for one in (*longer, text.replace("ek_", "EK_"), text.replace("ek_", "ek_ek_"), text[3:]):
        assert open_sealed(PEPPER, one) is None, one


@pytest.mark.parametrize("text", ["", "ek_", "ek_A", "ek_AAAA", encoded(b"\x01"),
                                  encoded(b"\x01" + bytes(12)), encoded(b"\x01" + bytes(27)),
                                  encoded(b"\x01" + bytes(28)), "ek_é"])  # fmt: skip
def test_unsealed_text_opens_nothing(text: str) -> None:
    assert open_sealed(PEPPER, text) is None


def sealed_by(key: bytes, form: bytes = b"\x01", bound: bytes | None = b"\x01") -> str:
    nonce = bytes(12)
    return encoded(form + nonce + AESGCM(key).encrypt(nonce, msgspec.json.encode(SECRET), bound))


def test_only_the_derived_key_and_the_form_open_it() -> None:
    """The pepper peppers digests and signs links: no value that it gives there is the key here."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=client_secrets._PURPOSE)
    own = derived.derive(PEPPER.encode())
    assert open_sealed(PEPPER, sealed_by(own)) == SECRET
    assert open_sealed(PEPPER, sealed_by(own, bound=b"\x02")) is None
    assert open_sealed(PEPPER, sealed_by(own, bound=None)) is None
    assert open_sealed(PEPPER, sealed_by(own, form=b"\x02")) is None
    assert open_sealed(PEPPER, sealed_by(own, form=b"\x02", bound=b"\x02")) is None
    others = (
        hmac.digest(PEPPER.encode(), client_secrets._PURPOSE, "sha256"),
        key_format.digest(PEPPER, client_secrets._PURPOSE.decode()),
        sha256(PEPPER.encode()).digest(),
        PEPPER.encode().ljust(32, b"\0"),
    )
    for key in others:
        assert open_sealed(PEPPER, sealed_by(key)) is None


def test_another_installation_opens_nothing() -> None:
    assert open_sealed("other", seal(PEPPER, SECRET)) is None


def test_secret_length_is_bounded() -> None:
    text = seal(PEPPER, of_size(CONTENT_BYTES_MAX))
    assert open_sealed(PEPPER, text) == of_size(CONTENT_BYTES_MAX)
    assert len(text) < 8 * 1024 - 200
    with pytest.raises(SecretTooLong, match=f"^{CONTENT_BYTES_MAX + 1} bytes$") as too_long:
        seal(PEPPER, of_size(CONTENT_BYTES_MAX + 1))
    assert too_long.value.size == CONTENT_BYTES_MAX + 1


def test_a_longer_text_is_not_even_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has no secret at all may send a header of 32 KiB."""
    with monkeypatch.context() as longer:
        longer.setattr(client_secrets, "CONTENT_BYTES_MAX", CONTENT_BYTES_MAX + 100)
        text = seal(PEPPER, of_size(CONTENT_BYTES_MAX + 1))
    monkeypatch.setattr(sealed_texts, "_cipher", None)
    assert open_sealed(PEPPER, text) is None


def test_no_key_looks_like_a_client_secret() -> None:
    text = seal(PEPPER, SECRET)
    assert key_format.check(text) is key_format.KeyForm.IMPOSSIBLE
    assert not key_format.is_client_secret(key_format.compose("relay", bytes(32)))


# Its key ----------------------------------------------------------------------------------------


class Keys:
    """Stands for the database: one key, with what is asked of it."""

    def __init__(self, **over: Any) -> None:
        self.asked: list[object] = []
        self.row = {"kind": "relay", "expires": None, "disabled": "f", **over}

    async def __call__(self, statement: tuple[str, Mapping[str, object]]) -> Sequence[Row]:
        self.asked.append(statement[1]["digest"])
        if statement[1]["digest"] != "\\x" + SECRET.digest.hex():
            return []
        told = {"endpoints": [], "networks": [], "tags": [], "limited": False, "tpm": None,
                "guards": 0, "budgets": []}  # fmt: skip
        ids = [str(UUID(int=n)) for n in (1, 2, 3)]
        row = self.row
        return [(*ids, None, row["kind"], "", row["expires"], row["disabled"], None, "24",
                 json.dumps(told))]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "opens"), [(999.0, True), (999.999, True), (1000.0, False), (1000.001, False)]
)
def test_secret_expires_at_its_instant(now: float, opens: bool) -> None:
    authenticator, text = Authenticator(PEPPER, Keys()), seal(PEPPER, SECRET)
    if opens:
        assert authenticator.open_secret(text, now) == SECRET
        return
    with pytest.raises(SecretRefused) as refused:
        authenticator.open_secret(text, now)
    assert refused.value.kind == "authentication"
    assert refused.value.message == (
        "Error: Invalid or unauthorized API key: the client secret has expired, create another one"
    )


@pytest.mark.parametrize("now", [0.0, 10**10])
def test_forged_secret_gets_no_explanation(now: float) -> None:
    with pytest.raises(RequestFault) as fault:
        Authenticator(PEPPER, Keys()).open_secret(seal("other", SECRET), now)
    assert type(fault.value) is RequestFault
    assert fault.value.message == "Error: Invalid or unauthorized API key"


async def test_secrets_key_is_looked_up_again_after_a_change() -> None:
    keys = Keys()
    authenticator = Authenticator(PEPPER, keys)
    waiting = [
        asyncio.create_task(authenticator.principal_of_secret(SECRET, 0.0)) for _ in range(3)
    ]
    principals = await asyncio.gather(*waiting)
    assert {principal.digest for principal in principals} == {SECRET.digest}
    await authenticator.principal_of_secret(SECRET, 0.0)
    assert len(keys.asked) == 1
    authenticator.clear()
    keys.row["disabled"] = "t"
    with pytest.raises(RequestFault) as fault:
        await authenticator.principal_of_secret(SECRET, 0.0)
    assert (fault.value.kind, len(keys.asked)) == ("authentication", 2)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"disabled": "t"}, "authentication"),
        ({"expires": "10"}, "authentication"),
        ({"expires": "10.5"}, ""),
        ({"kind": "management"}, "permission"),
    ],
)
async def test_secret_opens_what_its_key_opens(row: dict[str, Any], kind: str) -> None:
    authenticator = Authenticator(PEPPER, Keys(**row))
    if not kind:
        assert (await authenticator.principal_of_secret(SECRET, 10.0)).key_id == UUID(int=1)
        return
    with pytest.raises(RequestFault) as fault:
        await authenticator.principal_of_secret(SECRET, 10.0)
    assert fault.value.kind == kind


async def test_secret_of_a_missing_key_opens_nothing() -> None:
    keys = Keys()
    gone = msgspec.structs.replace(SECRET, digest=bytes(32))
    for _ in range(2):
        with pytest.raises(RequestFault) as fault:
            await Authenticator(PEPPER, keys).principal_of_secret(gone, 0.0)
        assert fault.value.kind == "authentication"
