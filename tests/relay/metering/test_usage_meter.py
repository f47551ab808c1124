"""What an attempt comes to where the upstream's count is no use (F25, F27, I14)."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from billing.prices.lookup import Price
from billing.prices.pricing import PriceVersion
from dialects.chat.events import Event, ReasoningDelta, Start, TextDelta, Usage
from dialects.usage.usage import Quantities
from gateway.providers import PROVIDERS
from gateway.providers.provider import NO_TEMPLATE
from lib.ids import new_id
from relay.counting import own_count
from relay.counting.own_count import UsageEvidence
from relay.counting.tokenizer import count_request, count_text
from relay.counting.vocabularies import UNKNOWN, family_of
from relay.hold_sizes.estimate import Size
from relay.metering.usage_meter import Sample, UsageMeter, count

PRICE = Price(7, 0.0, None, PriceVersion({"in_text": 1_000_000_000, "out_text": 3_000_000_000}))
HOLD = 10**9


def make_evidence(meters: dict[str, int], *flags: str) -> UsageEvidence:
    return UsageEvidence(40, Quantities(meters, flags), b"{}", text_bytes=80)


def test_unpriced_meter_is_never_free() -> None:
    """I14: no charge is named; the row is flagged for review, and its hold is kept."""
    bill = count(make_evidence({"in_text": 5, "out_audio": 9}), PRICE, HOLD, "measured")
    assert (bill.basis, bill.charge_nano) == ("held", 0)
    assert bill.meters == {"in_text": 5, "out_audio": 9}
    assert bill.flags == ("unpriced_meter", "quarantine")


def test_hold_is_kept_when_our_own_count_has_no_price() -> None:
    """I14, F27."""
    price = Price(7, 0.0, None, PriceVersion({"images": 10**15}))
    bill = count(make_evidence({"out_text": 1}, "usage_huge"), price, HOLD, "measured")
    assert (bill.basis, bill.charge_nano) == ("held", 0)
    assert bill.flags == ("usage_huge", "unpriced_meter", "quarantine")


@pytest.mark.parametrize(
    ("flags", "basis", "reviewed"),
    [
        ((), "measured", False),
        (("usage_missing",), "estimated", False),
        (("usage_huge",), "estimated", True),
        (("usage_cached_above_input", "usage_negative"), "estimated", True),
    ],
)
def test_source_of_the_count(flags: tuple[str, ...], basis: str, reviewed: bool) -> None:
    """F25, F27; explicit zero is a count (F28)."""
    bill = count(make_evidence({"in_text": 0, "out_text": 0}, *flags), PRICE, HOLD, "measured")
    assert bill.basis == basis
    assert ("quarantine" in bill.flags) == reviewed
    assert bill.charge_nano == (0 if basis == "measured" else 10 * 1000 + 20 * 3000)


def test_the_vocabulary_of_a_model() -> None:
    known = {
        "gpt-4o-mini": "o200k_base",
        "openai/gpt-5": "o200k_base",
        "o3": "o200k_base",
        "gpt-oss-120b": "o200k_base",
        "gpt-4-turbo": "cl100k_base",
        "gpt-3.5-turbo": "cl100k_base",
        "qwen/Qwen3-Coder-Plus": "qwen3",
        "deepseek-v3": "deepseek_v3",
        "kimi-k2": "kimi_k2",
        "zai-org/GLM-4.6": "glm4",
        "gemini-3-pro": "gemma3",
        "mistral-large-latest": "mistral_v3",
        "llama-3.3-70b": "llama3",
        "claude-sonnet-4": "o200k_base",
        "ollama": "o200k_base",
    }
    assert {model: family_of(model).vocabulary for model in known} == known
    assert family_of("o10") is UNKNOWN


@pytest.mark.parametrize(
    ("provider", "tokens"),
    [("openai", 7), ("azure_openai", 7), ("anthropic", 7), ("gemini", 0), ("openai_compatible", 0),
     ("xai", 0)],
)  # fmt: skip
def test_unknown_model_uses_its_providers_template(provider: str, tokens: int) -> None:
    """Nobody pays for a template that nobody published; a known model has its own anywhere."""
    template = PROVIDERS[provider].chat_template
    unknown, known = family_of("fake", template), family_of("qwen3-max", template)
    body = json.dumps({"messages": [{"role": "user", "content": "one two three"}]}).encode()
    assert (count_request(body, unknown) or 0) - count_text("one two three", unknown) == tokens
    assert known == family_of("qwen3-max")


def test_token_counts_match_the_public_vocabularies() -> None:
    """The figures are OpenAI's own (its cookbook, "How to count tokens with tiktoken")."""
    text = "\u304a\u8a95\u751f\u65e5\u304a\u3081\u3067\u3068\u3046"
    old, new = family_of("gpt-4"), family_of("gpt-4o")
    assert [count_text(text, family) for family in (old, new)] == [9, 8]
    assert count_text("antidisestablishmentarianism", old) == 6
    assert count_text("2 + 2 = 4", new) == 7


@pytest.mark.parametrize("model", ["gpt-4o", "qwen3-max", "deepseek-chat", "kimi-k2"])
def test_special_token_lookalikes_are_text(model: str) -> None:
    """What a client writes is never one token of a template, nor of the counting library's own."""
    for text in ("<|im_start|>", "<|endoftext|>", "<|think|>", "<|im_end|>"):
        assert count_text(text, family_of(model)) > 2


def test_an_answer_without_usage_is_counted_by_its_words() -> None:
    """F25, P27: exactly where all of it is known, in proportion where a sample is."""
    text, family = "the quick brown fox jumps", family_of("gpt-4o")
    tokens = count_text(text, family)
    body = b'{"messages":[{"role":"user","content":"\\u4f60\\u597d"}]}'
    evidence = UsageEvidence(
        len(body), text_bytes=len(text), family=family, answer_text=text, body=body
    )
    bill = count(evidence, PRICE, HOLD, "measured")
    asked = count_text("\u4f60\u597d", family) + family.message + family.start
    assert bill.meters == {"in_text": asked, "out_text": tokens}
    assert (bill.basis, bill.flags) == ("estimated", ("usage_missing",))
    longer = count(
        msgspec.structs.replace(evidence, text_bytes=10 * len(text)), PRICE, HOLD, "measured"
    )
    assert longer.meters["out_text"] == 10 * tokens


def test_words_are_not_counted_when_usage_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting takes time that only an answer without usage needs."""

    def refuse(*inputs: object) -> int:
        raise AssertionError(inputs)

    monkeypatch.setattr(own_count, "count_text", refuse)
    monkeypatch.setattr(own_count, "count_request", refuse)
    evidence = UsageEvidence(
        40, Quantities({"in_text": 5, "out_text": 7}, ()), b"{}", body=b"{}", answer_text="a"
    )
    assert count(evidence, PRICE, HOLD, "measured").basis == "measured"


@pytest.mark.parametrize(("context_max", "counted"), [(None, 5_500_000), (4_096, 4_096)])
def test_estimate_is_at_most_what_the_model_can_read(context_max: int | None, counted: int) -> None:
    """F25: a client that leaves a prompt of 22 MB pays for no token that nobody could have read."""
    evidence = UsageEvidence(22_000_000, context_max=context_max)
    assert count(evidence, PRICE, HOLD, "measured").meters["in_text"] == counted


@pytest.mark.parametrize("cut", range(5))
def test_text_after_the_last_usage_is_counted_however_split(cut: int) -> None:
    """P27: a stream that tells its usage early and breaks off, read in two pieces or in one."""
    before, after = TextDelta(0, "Said before it."), TextDelta(0, "And this was said after it.")
    events: list[Event] = [Start("x", "m"), before, Usage(b"{}", None), after]
    quantities = Quantities({"in_text": 7, "out_text": 5}, ())
    decoder = SimpleNamespace(text_bytes=0, reasoning_bytes=0, complete=False, usage=b"{}")
    facts = SimpleNamespace(text_bytes=40, model="m", body=SimpleNamespace(raw=b"{}"))
    prepared = SimpleNamespace(
        codec=SimpleNamespace(quantities=lambda _: quantities), exchange=None
    )
    hold = SimpleNamespace(
        attempt_id=new_id(), size=Size(HOLD, None), price=PRICE, cost=None, own=None
    )
    provider = SimpleNamespace(chat_template=NO_TEMPLATE)
    admitted = SimpleNamespace(
        channel=SimpleNamespace(provider=provider),
        facts=facts,
        prepared=prepared,
        upstream_model="m",
        hold=hold,
        cut_above=None,
    )
    meter = UsageMeter(cast(Any, admitted))
    meter.decoder = cast(Any, decoder)
    for piece in (events[:cut], events[cut:]):
        decoder.text_bytes += sum(len(one.text) for one in piece if isinstance(one, TextDelta))
        meter.note(piece)
    bill = meter.bill(cast(Any, decoder), "measured")
    share = len(after.text) / len(before.text + after.text)
    words = count_text(before.text + after.text, UNKNOWN)
    assert bill.basis == "estimated"
    assert bill.meters["in_text"] == 7
    assert abs(bill.meters["out_text"] - 5 - words * share) <= 1


@pytest.mark.parametrize("pieces", [(3_000, 1, 1), (1, 3_000, 1), (1, 1, 3_000)])
@pytest.mark.parametrize("kind", [TextDelta, ReasoningDelta])
def test_long_piece_is_joined_wherever_it_is_in_a_chunk(
    pieces: tuple[int, ...], kind: Callable[[int, str], Event]
) -> None:
    """A sample keeps some pieces: without that, a few of them could be of any size."""
    meter = object.__new__(UsageMeter)
    meter._text, meter._reasoning = Sample(), Sample()
    meter._marked, meter.on_mark_due, meter.decoder = 0, None, None
    for _ in range(40):
        meter.note([kind(0, "x" * size) for size in pieces])
    sample = meter._text if kind is TextDelta else meter._reasoning
    assert (sample.pieces, sample.last, sample.longest) == (120, [], 0)
    assert len(sample.text()) < 40 * 3_002
