"""The operations of providers, and what of a request decides its routing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dialects.chat.chat import Dialect, Effort

Operation = Literal[
    "chat_completions",
    "completions",
    "embeddings",
    "moderations",
    "rerank",
    "responses",
    "responses_compact",
    "responses_input_tokens",
    "messages",
    "count_tokens",
    "generate_content",
    "stream_generate_content",
    "gemini_count_tokens",
    "embed_content",
    "batch_embed_contents",
    "videos",
    "kling_videos",
    "jimeng_videos",
    "veo_videos",
    "wan_videos",
    "ark_videos",
    "minimax_videos",
    "video_tasks",
    "models",
    "image_generations",
    "image_edits",
    "image_variations",
    "qwen_images",
    "ark_images",
    "speech",
    "transcriptions",
    "translations",
    "realtime",
    "midjourney",
    "suno",
]

_CHAT: Final[Mapping[Dialect, tuple[Operation, Operation]]] = {
    "openai": ("chat_completions", "chat_completions"),
    "responses": ("responses", "responses"),
    "anthropic": ("messages", "messages"),
    "gemini": ("generate_content", "stream_generate_content"),
}


def chat_operation(dialect: Dialect, *, stream: bool) -> Operation:
    """The operation that a chat request of a dialect is."""
    return _CHAT[dialect][stream]


@dataclass(frozen=True, slots=True)
class Needs:
    """What of a request decides its routing. All of it is known without encoding the request.

    `effort` is None where the client did not say; `audio_output`: the answer may contain sound.
    """

    files: bool = False
    tools: bool = False
    effort: Effort | None = None
    search: bool = False
    audio_output: bool = False
    thinks: bool | None = None


NO_NEEDS: Final = Needs()
