from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.events import Seal
from dialects.chat.google_seals import read_signature, write_signature
from tests.dialects.neutral import words


def test_gemini_seals_are_unchanged() -> None:
    seal = Seal("gemini", "Cik=_-")
    assert write_signature(seal) == "Cik=_-"
    assert read_signature("Cik=_-") == seal


@given(
    st.sampled_from(["anthropic", "openai"]),
    words,
    st.booleans(),
    st.text("abc_0", max_size=4),
)
def test_foreign_seal_round_trips(owner: str, value: str, redacted: bool, id_: str) -> None:
    seal = Seal(owner, value, redacted, id_)  # type: ignore[arg-type]
    written = write_signature(seal)
    assert read_signature(written) == seal
    assert read_signature(written.translate(str.maketrans("+/", "-_")).rstrip("=")) == seal


def test_unrecognisable_id_is_left_out() -> None:
    assert read_signature(write_signature(Seal("openai", "v", id="a:b"))) == Seal("openai", "v")


@pytest.mark.parametrize(
    ("signature", "seal"),
    [
        ("anthropic:AB==", Seal("anthropic", "AB==")),
        ("openai:AB==", Seal("openai", "AB==")),
        # Looks like a mark, but is none.
        ("YW50aHJvcGljOx!!", Seal("gemini", "YW50aHJvcGljOx!!")),
        (urlsafe_b64encode(b"anthropic;x").decode(), Seal("gemini", "YW50aHJvcGljO3g=")),
        (urlsafe_b64encode(b"anthropic:\xff").decode(), Seal("gemini", "YW50aHJvcGljOv8=")),
        (urlsafe_b64encode(b"anthropic:x").decode(), Seal("anthropic", "")),
    ],
)
def test_marks(signature: str, seal: Seal) -> None:
    assert read_signature(signature) == seal
