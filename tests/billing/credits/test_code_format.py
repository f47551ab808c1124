import os

import pytest

from billing.credits import code_format


def test_code_is_read_however_it_is_typed() -> None:
    for _ in range(200):
        code = code_format.compose(os.urandom(code_format.RANDOM_BYTES))
        letters = code.replace("-", "")
        typed = code.lower().replace("0", "o").replace("1", "i").replace("-", " ")
        assert code_format.read(code) == code_format.read(f" {typed}\n") == letters
        assert [len(group) for group in code.split("-")] == [4] * 7


def test_each_letter_holds_five_random_bits() -> None:
    assert len(set(code_format.compose(bytes(range(28))).replace("-", ""))) == 28
    with pytest.raises(ValueError, match="28"):
        code_format.compose(b"short")


@pytest.mark.parametrize("text", ["", "ABCD", "U" * 28, "0" * 27, "0" * 29, "0" * 10_000, "é" * 28])
def test_invalid_codes(text: str) -> None:
    assert code_format.read(text) is None


def test_a_digest_needs_the_pepper() -> None:
    assert code_format.digest("a", "0" * 28) != code_format.digest("b", "0" * 28)
    assert len(code_format.digest("a", "0" * 28)) == 32
