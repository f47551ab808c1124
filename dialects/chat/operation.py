"""The operations of providers, and the properties of a request that determine its routing."""

from dataclasses import dataclass
from typing import Final, Literal

from dialects.chat.chat import Effort

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
    "invoke_model",
    "invoke_model_stream",
    "raw_predict",
    "stream_raw_predict",
    "converse",
    "converse_stream",
    "generate_content",
    "stream_generate_content",
    "interactions",
    "gemini_count_tokens",
    "embed_content",
    "batch_embed_contents",
    "predict",
    "vertex_embed_content",
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
    "live",
    "bidi_generate_content",
    "midjourney",
    "suno",
]


@dataclass(frozen=True, slots=True)
class Needs:
    """The properties of a request that determine its routing. All are known without encoding the
    request. `effort` is None if the client did not set it; `audio_output`: the answer may contain
    sound.
    """

    files: bool = False
    tools: bool = False
    effort: Effort | None = None
    search: bool = False
    audio_output: bool = False
    thinks: bool | None = None


NO_NEEDS: Final = Needs()
