"""Envelope encryption with a ring of keys (docs/promises.md, "Channel secrets")."""

import base64

import pytest

from lib.vault import (
    FORM,
    HEAD_BYTES_MAX,
    PREFIX_BYTES,
    Vault,
    VaultError,
    WrongSecret,
    check_secrets,
    check_value,
    kek_id,
)

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
PLACE = "t|1|sealed"


def without_id(sealed: bytes) -> bytes:
    """The same in the form of before ids were written."""
    return b"\x01" + sealed[PREFIX_BYTES:]


@pytest.mark.parametrize("separator", [",", "\n", " ,\r\n "])
def test_the_first_key_seals_and_each_of_them_opens(separator: str) -> None:
    ring = Vault(separator.join((NEW, OLD)))
    assert [kek.text for kek in ring.keks] == [NEW, OLD]
    assert ring.open(Vault(OLD).seal("s", PLACE), PLACE) == "s"
    sealed = ring.seal("s", PLACE)
    assert Vault(NEW).open(sealed, PLACE) == "s"
    assert sealed.startswith(ring.current_prefix)
    assert kek_id(sealed[:PREFIX_BYTES]) == Vault(NEW).current.id


def test_missing_key_is_named_when_opening_its_secret() -> None:
    with pytest.raises(VaultError, match=f"needs key {Vault(OLD).current.id}"):
        Vault(NEW).open(Vault(OLD).seal("s", PLACE), PLACE)


def test_key_id_reveals_nothing_of_the_key() -> None:
    old, new = Vault(OLD).current, Vault(NEW).current
    assert old.id != new.id
    assert bytes.fromhex(old.id) not in base64.b64decode(OLD)


@pytest.mark.parametrize(("keks", "text"), [(f"{OLD},{OLD}", "twice"), (" , ", "holds no key")])
def test_invalid_ring_is_reported(keks: str, text: str) -> None:
    with pytest.raises(WrongSecret, match=text):
        Vault(keks)


def test_text_without_a_key_id_opens_with_any_key() -> None:
    sealed = without_id(Vault(OLD).seal("s", PLACE))
    assert kek_id(sealed[:PREFIX_BYTES]) is None
    assert Vault(f"{NEW},{OLD}").open(sealed, PLACE) == "s"
    assert Vault(f"{NEW},{OLD}").kek_of(sealed, PLACE).text == OLD
    with pytest.raises(VaultError, match="does not open with this WEIR_KEK"):
        Vault(NEW).open(sealed, PLACE)


@pytest.mark.parametrize("has_id", [True, False])
def test_rewrapping_changes_only_the_head(has_id: bool) -> None:
    content = bytes(range(256)) * 9
    sealed = Vault(OLD).seal_bytes(content, PLACE)
    sealed = sealed if has_id else without_id(sealed)
    before, after = Vault(f"{NEW},{OLD}").rewrapped(sealed[:HEAD_BYTES_MAX], PLACE)
    assert sealed.startswith(before)
    assert Vault(NEW).open_bytes(after + sealed[len(before) :], PLACE) == content


def test_nothing_is_rewrapped_for_another_place() -> None:
    with pytest.raises(VaultError):
        Vault(f"{NEW},{OLD}").rewrapped(Vault(OLD).seal("s", PLACE), "t|2|sealed")


@pytest.mark.parametrize("at", [0, 1, PREFIX_BYTES, 40, HEAD_BYTES_MAX, -1])
def test_no_edit_of_a_byte_opens(at: int) -> None:
    sealed = bytearray(Vault(OLD).seal("s", PLACE))
    sealed[at] ^= 0x80
    with pytest.raises(VaultError):
        Vault(f"{NEW},{OLD}").open(bytes(sealed), PLACE)


@pytest.mark.parametrize("sealed", [b"", FORM, FORM + bytes(64), b"\x01" + bytes(60), b"\x03x"])
def test_truncated_text_is_malformed(sealed: bytes) -> None:
    with pytest.raises(VaultError):
        Vault(OLD).open(sealed, PLACE)


# What an installation has stored: 02, the key's id, nonce, sealed data key, nonce, content.
STORED = bytes.fromhex(
    "029ade2ff9786aae7333520e2cac58837d620ed4ef93725f41de70741216c2efad348a125c4bd0b550acddda324c"
    "6c88a7ca46f29146899c4ff1eabd8b2c2a1685b8096628788cd54f04888be941cc732b481fb4c246a68de83e434e"
    "c8f3"
)


def test_text_of_an_earlier_release_opens() -> None:
    assert Vault(OLD).current.id == STORED[1:5].hex()
    assert Vault(OLD).open(STORED, PLACE) == "s"
    assert Vault(OLD).open(without_id(STORED), PLACE) == "s"
    before, _ = Vault(OLD).rewrapped(STORED, PLACE)
    assert before == STORED[: 1 + 4 + 12 + 48]


def test_empty_text_is_the_shortest_content() -> None:
    empty = Vault(OLD).seal("", PLACE)
    assert len(empty) == 1 + 4 + 12 + 48 + 12 + 16
    assert Vault(OLD).open(empty, PLACE) == ""
    for end in range(len(empty)):
        with pytest.raises(VaultError):
            Vault(OLD).open(empty[:end], PLACE)


@pytest.mark.parametrize(
    ("kek", "said"),
    [
        (base64.b64encode(bytes(31)).decode(), "holds 31 bytes"),
        (base64.b64encode(bytes(33)).decode(), "holds 33 bytes"),
        ("?", "is not base64"),
        (base64.urlsafe_b64encode(b"\xff" * 32).decode(), "is URL-safe base64"),
        (base64.urlsafe_b64encode(b"\xfb" * 32).decode().replace("_", "A"), "is URL-safe base64"),
        (base64.b64encode(bytes(32)).decode().rstrip("="), "without the = at its end"),
    ],
)
def test_invalid_key_is_reported_by_what_it_lacks(kek: str, said: str) -> None:
    with pytest.raises(WrongSecret, match=said):
        Vault(kek)


def test_database_reveals_which_of_two_secrets_differs() -> None:
    kept = check_value(OLD, "pepper")
    check_secrets(OLD, "pepper", kept)
    check_secrets(f"{NEW},{OLD}", "pepper", kept, [Vault(NEW).current.id])
    with pytest.raises(WrongSecret, match="WEIR_KEK is not the one"):
        check_secrets(NEW, "pepper", kept)
    with pytest.raises(WrongSecret, match=f"lacks key {Vault(NEW).current.id}"):
        check_secrets(OLD, "pepper", kept, [Vault(NEW).current.id])
    with pytest.raises(WrongSecret, match="WEIR_KEY_PEPPER is not the one"):
        check_secrets(OLD, "another", kept)
