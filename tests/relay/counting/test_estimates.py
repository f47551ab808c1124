"""Tokens by size or words alone (F25): about as many, or never more than a provider counts."""

import pytest

from relay.counting.estimates import estimate_tokens, input_tokens_min


@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 1), (4, 1), (5, 2)])
def test_estimate(size: int, count: int) -> None:
    assert estimate_tokens(size) == count


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"model": "a b", "messages": [{"role": "user", "content": "one two\\nthree"}]}', 3),
        ('{"messages": [{"content": [{"type": "text", "text": "one"}, {"text": " "}]}]}', 1),
        ('{"messages": [{"content": [{"image_url": {"url": "data: a b c"}}]}], "stream": true}', 0),
        ('{"system": [{"text": "be brief"}], "messages": [{"content": "hi"}]}', 3),
        ('{"instructions": "be brief", "input": [{"content": [{"text": "hi"}]}]}', 3),
        ('{"contents": [{"parts": [{"text": "a b"}]}], "systemInstruction": {"parts": []}}', 2),
        ('{"messages": [{"content": null}, {"content": 7}]}', 0),
        ('{"input": "' + "a " * 600_000 + '"}', 0),
    ],
)
def test_no_provider_counts_less_input_than_words(body: str, words: int) -> None:
    """A hold is settled from it when its process was killed: never above the provider's count."""
    assert input_tokens_min(body.encode()) == words
