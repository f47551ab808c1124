"""A rule that knows a model by the beginning of its name knows it wherever it is served."""

from collections.abc import Callable, Hashable
from typing import Any

import pytest

from dialects.gemini.model_name import split_name
from dialects.media import imagen
from gateway.providers.media_options import image_options, speech_options, video_options
from gateway.providers.models import find_row
from gateway.providers.video_forms.veo import lengths
from relay.counting.tokenizer import count_request
from relay.counting.vocabularies import UNKNOWN, family_of
from relay.metering.usage_meter import _is_own

OPUS = ("claude-opus-4-6", "us.anthropic.claude-opus-4-6-v1", "eu.anthropic.claude-opus-4-6-v1",
        "apac.anthropic.claude-opus-4-6-v1:0", "global.anthropic.claude-opus-4-6-v1",
        "anthropic.claude-opus-4-6-v1", "anthropic/claude-opus-4.6", "claude-opus-4-6@20260205",
        "anthropic/claude-opus-4.6:thinking", "databricks-claude-opus-4-6",
        "publishers/anthropic/models/claude-opus-4-6",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-opus-4-6-v1",
        )  # fmt: skip
MINI = ("gpt-4o-mini", "openai/gpt-4o-mini", "azure/gpt-4o-mini", "ft:gpt-4o-mini:acme::9a")
GEMINI = ("gemini-2.5-pro", "google/gemini-2.5-pro", "models/gemini-2.5-pro",
          "publishers/google/models/gemini-2.5-pro")  # fmt: skip
NOVA = ("nova-lite", "amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0:300k")
GPT_3_5 = ("gpt-3.5-turbo", "gpt-35-turbo", "openai/gpt-3.5-turbo", "azure/gpt-35-turbo")
RULES: list[tuple[Callable[[str], Any], tuple[str, ...]]] = [
    *((rule, names) for rule in (family_of, find_row) for names in (OPUS, MINI, GEMINI, GPT_3_5)),
    (find_row, NOVA),
    (family_of, ("llama3-1-70b", "us.meta.llama3-1-70b-instruct-v1:0", "meta-llama/Llama-3.1-8B",
                 "accounts/fireworks/models/llama-v3p1-70b-instruct")),
    (family_of, ("deepseek-r1", "us.deepseek.r1-v1:0", "deepseek/deepseek-r1:free")),
    (family_of, ("mistral-large", "mistral.mistral-large-2402-v1:0", "mistralai/mistral-large")),
    (family_of, ("qwen3-32b", "qwen.qwen3-32b-v1:0", "qwen/qwen3-32b:free")),
    (family_of, ("gpt-oss-120b", "openai.gpt-oss-120b-1:0", "openai/gpt-oss-120b-maas")),
    (imagen.makes, ("imagen-4.0-generate-001", "google/imagen-4.0-generate-001")),
    (lengths, ("veo-3.0-generate-001", "publishers/google/models/veo-3.0-generate-001")),
    (image_options, ("gpt-image-1", "openai/gpt-image-1", "azure/gpt-image-1")),
    (speech_options, ("gpt-4o-mini-tts", "openai/gpt-4o-mini-tts")),
    (video_options, ("veo-3.0-fast", "google/veo-3.0-fast")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "first", "other"),
    [(rule, names[0], other) for rule, names in RULES for other in names[1:]],
)
def test_every_spelling_of_a_model_has_the_same_rule(
    rule: Callable[[str], Hashable], first: str, other: str
) -> None:
    assert rule(first) not in (None, UNKNOWN, False, ())
    assert rule(other) == rule(first)


@pytest.mark.parametrize("name", OPUS)
def test_tokens_of_a_claude_are_counted_with_its_template(name: str) -> None:
    """Its tools add 346 tokens, wherever it is served."""
    body = b'{"messages":[{"role":"user","content":"hi"}],"tools":[{"name":"f","input_schema":{}}]}'
    assert (count_request(body, family_of(name)) or 0) > 346


@pytest.mark.parametrize("name", GEMINI)
def test_thinking_suffix_is_read(name: str) -> None:
    base, suffix = split_name(f"{name}-thinking-100", lambda known: known == name)
    assert (base, suffix and suffix.setting) == (name, 100)


@pytest.mark.parametrize(
    "served", [name for name in OPUS if "." not in name or ".anthropic." in name]
)
def test_part_of_the_same_model_counts_as_the_requested_one(served: str) -> None:
    """An answer may name the model as its maker does, or as the cloud does."""
    assert _is_own("claude-opus-4-6", (served,))
    assert not _is_own("claude-haiku-4-5", (served,))
