"""The announced days on which providers shut down models. Another provider of the same model has
its own schedule, which is not covered here."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# OpenAI's deprecations page as quoted in October 2026. A name also covers its snapshots.
_OPENAI: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "2026-05-12": ("dall-e-2", "dall-e-3"),
        "2026-09-24": ("sora-2", "sora-2-pro"),
        "2026-10-23": (
            "gpt-3.5-turbo", "gpt-3.5-turbo-0125", "gpt-4", "gpt-4-0613", "gpt-4-1106-preview",
            "gpt-4-turbo", "gpt-4o-2024-05-13", "gpt-4.1-nano", "gpt-image-1", "o1", "o1-pro",
            "o3-mini", "o4-mini",
        ),
        "2026-12-01": ("chatgpt-image", "gpt-image-1-mini", "gpt-image-1.5"),
        "2026-12-11": ("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-pro", "o3", "o3-pro"),
        "2027-01-14": ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"),
        "2027-02-26": ("gpt-4o-mini-transcribe", "gpt-4o-transcribe", "whisper-1"),
        "2027-04-01": ("gpt-5.1",),
    }
)  # fmt: skip
# Anthropic's page of model deprecations as quoted in November 2026: retired models, and announced
# dates.
_ANTHROPIC: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "2025-07-21": ("claude-2.0", "claude-2.1", "claude-3-sonnet"),
        "2025-10-28": ("claude-3-5-sonnet",),
        "2026-01-05": ("claude-3-opus",),
        "2026-02-19": ("claude-3-5-haiku", "claude-3-7-sonnet"),
        "2026-04-20": ("claude-3-haiku",),
        "2026-06-15": ("claude-opus-4", "claude-opus-4-0", "claude-sonnet-4", "claude-sonnet-4-0"),
        "2026-08-05": ("claude-opus-4-1",),
        "2026-11-30": ("claude-sonnet-4-5",),
    }
)
_DATES: Final = {
    provider: {name: date for date, names in rows.items() for name in names}
    for provider, rows in (
        ("openai", _OPENAI),
        ("openai_metered", _OPENAI),
        ("anthropic", _ANTHROPIC),
    )
}
_SNAPSHOT: Final = re.compile(r"-(?:20\d\d-\d\d-\d\d|20\d{6}|latest)")


def shutdown_date(provider: str, model: str) -> str | None:
    """Return the day (YYYY-MM-DD) on which a provider shuts down its own model, or None. `model` is
    the provider's name."""
    dates = _DATES.get(provider, {})
    return dates.get(model) or dates.get(_SNAPSHOT.sub("", model))
