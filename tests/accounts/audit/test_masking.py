import pytest

from accounts.audit.masking import mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("sk-weir-" + "a1" * 19, "sk-weir-***"),
        ("sk-weir-m" + "a1" * 19, "sk-weir-m***"),
        ("now sk-proj-" + "x" * 20 + ".", "now sk-proj-***."),
        ("rk_live_" + "9" * 24, "rk_live_***"),
        ("authorization: Bearer " + "t" * 20, "authorization: Bearer ***"),
        ("postgresql://weir:pass@host/db", "postgresql://weir:***@host/db"),
        ("https://h.example/?a=1&token=0123456789&b=2", "https://h.example/?a=1&token=***&b=2"),
    ],
)
def test_secret_like_text_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    ["", "ci", "sk-weir-x", "risk-assessment-of-the-year-2026", "alice@example.org", "gpt-*",
     "https://h.example/path?model=gpt-4o-mini-2024-07-18", "Mozilla/5.0 (X11; Linux x86_64)"],
)  # fmt: skip
def test_other_text_stays(text: str) -> None:
    assert mask(text) == text
