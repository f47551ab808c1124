"""The usage that clients of each dialect get: every count in its member, none in another's."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dialects.anthropic import usage as anthropic
from dialects.converse import usage as converse
from dialects.gemini import usage as gemini
from dialects.interactions import usage as interactions
from dialects.openai import usage as openai
from dialects.responses import usage as responses
from dialects.usage.usage import Counts

# Different primes, and sums that differ as well.
COUNTS = Counts(
    input=1009, cache_read=101, cache_write_5m=2, cache_write_1h=3, cache_write_30m=5,
    cache_write_12h=7, input_audio=11, input_image=13, output=503, reasoning=17, output_audio=19,
    output_image=23, searches=29,
)  # fmt: skip
WRITTEN = 2 + 3 + 5 + 7


@pytest.mark.parametrize(
    ("encode", "members"),
    [
        (
            openai.encode,
            {
                "prompt_tokens": 1009, "completion_tokens": 503, "total_tokens": 1512,
                "prompt_tokens_details.cached_tokens": 101,
                "prompt_tokens_details.audio_tokens": 11,
                "completion_tokens_details.reasoning_tokens": 17,
                "completion_tokens_details.audio_tokens": 19,
            },
        ),
        (
            responses.encode,
            {
                "input_tokens": 1009, "output_tokens": 503, "total_tokens": 1512,
                "input_tokens_details.cached_tokens": 101,
                "output_tokens_details.reasoning_tokens": 17,
            },
        ),
        (
            anthropic.encode,
            {
                "input_tokens": 1009 - 101 - WRITTEN, "output_tokens": 503,
                "cache_read_input_tokens": 101, "cache_creation_input_tokens": WRITTEN,
                "cache_creation.ephemeral_5m_input_tokens": 2 + 5,
                "cache_creation.ephemeral_1h_input_tokens": 3 + 7,
                "output_tokens_details.thinking_tokens": 17,
                "server_tool_use.web_search_requests": 29,
            },
        ),
        (
            gemini.encode,
            {
                "promptTokenCount": 1009, "candidatesTokenCount": 503 - 17,
                "totalTokenCount": 1512, "thoughtsTokenCount": 17, "cachedContentTokenCount": 101,
                "promptTokensDetails.TEXT": 1009 - 11 - 13, "promptTokensDetails.AUDIO": 11,
                "promptTokensDetails.IMAGE": 13, "candidatesTokensDetails.TEXT": 503 - 17 - 19 - 23,
                "candidatesTokensDetails.AUDIO": 19, "candidatesTokensDetails.IMAGE": 23,
            },
        ),
        (
            interactions.encode,
            {
                "total_tokens": 1512, "total_input_tokens": 1009, "total_cached_tokens": 101,
                "total_output_tokens": 503 - 17, "total_tool_use_tokens": 0,
                "total_thought_tokens": 17, "input_tokens_by_modality.text": 1009 - 11 - 13,
                "input_tokens_by_modality.audio": 11, "input_tokens_by_modality.image": 13,
                "output_tokens_by_modality.text": 503 - 17 - 19 - 23,
                "output_tokens_by_modality.audio": 19, "output_tokens_by_modality.image": 23,
                "grounding_tool_count.google_search": 29,
            },
        ),
        (
            converse.encode,
            {
                "inputTokens": 1009 - 101 - WRITTEN, "outputTokens": 503, "totalTokens": 1512,
                "cacheReadInputTokens": 101, "cacheWriteInputTokens": WRITTEN,
                "cacheDetails.5m": 2, "cacheDetails.1h": 3,
            },
        ),
    ],
    ids=["openai", "responses", "anthropic", "gemini", "interactions", "converse"],
)  # fmt: skip
def test_each_count_has_its_member(
    encode: Callable[[Counts], dict[str, Any]], members: dict[str, int]
) -> None:
    assert members.items() <= flat(json.loads(json.dumps(encode(COUNTS)))).items()


def flat(usage: dict[str, Any]) -> dict[str, int]:
    """The numbers of a usage object, those of inner ones by path, those of rows by their kind."""
    found: dict[str, int] = {}
    for name, value in usage.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": one for inner, one in flat(value).items()}
        elif isinstance(value, list):
            for row in value:
                kind = next(one for one in row.values() if isinstance(one, str))
                found[f"{name}.{kind}"] = next(one for one in row.values() if type(one) is int)
        elif isinstance(value, int):
            found[name] = value
    return found
