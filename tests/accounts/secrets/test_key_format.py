from collections import Counter
from hashlib import sha256
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.secrets.key_format import KeyForm, check, compose, digest, digest_of_hash, digests_of

RANDOM = bytes(range(32))
kinds = st.sampled_from(["relay", "management"])
random32 = st.binary(min_size=32, max_size=32)


def test_known_bytes_give_a_known_key() -> None:
    assert compose("relay", bytes(32)) == "sk-weir-" + "0" * 32 + "0D2pCL"
    assert compose("management", bytes(32)) == "sk-weir-m" + "0" * 32 + "4H241M"


@given(kind=kinds, random=random32)
def test_composed_keys_are_our_own_and_have_the_promised_length(
    kind: Literal["relay", "management"], random: bytes
) -> None:
    text = compose(kind, random)

    assert check(text) is KeyForm.OWN
    assert len(text) == (46 if kind == "relay" else 47)
    assert text.startswith("sk-weir-m" if kind == "management" else "sk-weir-")


@given(kind=kinds, random=random32, at=st.integers(8, 45), put=st.sampled_from("09AZaz"))
def test_one_wrong_character_breaks_a_key(
    kind: Literal["relay", "management"], random: bytes, at: int, put: str
) -> None:
    text = compose(kind, random)
    changed = text[:at] + put + text[at + 1 :]

    assert check(changed) is (KeyForm.OWN if changed == text else KeyForm.OWN_BROKEN)


def test_checksum_covers_the_kind() -> None:
    relay = compose("relay", RANDOM)
    management = compose("management", RANDOM)

    assert check(relay.replace("sk-weir-", "sk-weir-m")) is KeyForm.OWN_BROKEN
    assert check(management.replace("sk-weir-m", "sk-weir-")) is KeyForm.OWN_BROKEN


@pytest.mark.parametrize("count", [0, 31, 33])
def test_another_number_of_random_bytes_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="expected 32"):
        compose("relay", bytes(count))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", KeyForm.IMPOSSIBLE),
        ("a" * 19, KeyForm.IMPOSSIBLE),
        ("a" * 20, KeyForm.FOREIGN),
        ("sk-proj-!~#0123456789", KeyForm.FOREIGN),
        ("a" * 19 + " ", KeyForm.IMPOSSIBLE),
        ("a" * 20 + "\n", KeyForm.IMPOSSIBLE),
        ("a" * 19 + "é", KeyForm.IMPOSSIBLE),
        ("a" * 19 + "\x7f", KeyForm.IMPOSSIBLE),
        ("SK-WEIR-" + "a" * 38, KeyForm.FOREIGN),
        ("sk-weir-", KeyForm.OWN_BROKEN),
        ("sk-weir-" + "é" * 38, KeyForm.OWN_BROKEN),
        ("sk-weir-" + "a" * 38, KeyForm.OWN_BROKEN),
        (compose("relay", RANDOM) + "0", KeyForm.OWN_BROKEN),
        (compose("relay", RANDOM) + "\n", KeyForm.OWN_BROKEN),
        (compose("relay", RANDOM)[:-1], KeyForm.OWN_BROKEN),
    ],
)
def test_forms(text: str, form: KeyForm) -> None:
    assert check(text) is form


def test_random_characters_are_even() -> None:
    # 256 bits are folded onto 62³²: had the folding kept too few bits, the first places would
    # never see the last digits of the alphabet. 62 digits over 32 × 2,000 places, 1,032 of each.
    seen = Counter[str]()
    for seed in range(2000):
        seen.update(compose("relay", sha256(bytes([seed >> 8, seed & 255])).digest())[8:40])

    assert len(seen) == 62
    assert min(seen.values()) > 860
    assert max(seen.values()) < 1210


def test_digest_is_hmac_sha256_under_the_pepper() -> None:
    # HMAC as RFC 2104 defines it, written out.
    pepper = b"pepper".ljust(64, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in pepper) + b"sk-weir-key").digest()
    outer = sha256(bytes(byte ^ 0x5C for byte in pepper) + inner).digest()

    assert digest("pepper", "sk-weir-key") == outer
    assert digest("other", "sk-weir-key") != outer


def test_own_keys_have_one_digest_and_imported_keys_one_of_two() -> None:
    own, brought = compose("relay", RANDOM), "sk-brought-from-elsewhere-1"
    hashed = sha256(brought.encode()).digest()

    assert digests_of("pepper", own) == (digest("pepper", own),)
    assert digests_of("pepper", brought) == (
        digest("pepper", brought),
        digest_of_hash("pepper", hashed),
    )


def test_knowing_the_hash_opens_nothing() -> None:
    stored = digest_of_hash("pepper", sha256(b"sk-brought-from-elsewhere-1").digest())
    hashed = sha256(b"sk-brought-from-elsewhere-1").hexdigest()

    assert stored not in digests_of("pepper", hashed)
    # What is digested begins with a space: no text that is a key does.
    assert check(" sha256 " + "a" * 32) is KeyForm.IMPOSSIBLE
