"""The models in code examples, by what they do. A page replaces them with available models of the
same kind."""

from typing import Final

MODEL: Final = "gpt-4o-mini"
EMBEDDING_MODEL: Final = "text-embedding-3-small"
MODERATION_MODEL: Final = "omni-moderation-latest"
RERANK_MODEL: Final = "rerank-v3.5"
IMAGE_MODEL: Final = "gpt-image-1"
SPEECH_MODEL: Final = "gpt-4o-mini-tts"
TRANSCRIPTION_MODEL: Final = "whisper-1"
VIDEO_MODEL: Final = "sora-2"
REALTIME_MODEL: Final = "gpt-realtime"
LIVE_MODEL: Final = "gpt-live-1"
GEMINI_LIVE_MODEL: Final = "gemini-3.8-live"
GEMINI_LIVE_PATH: Final = (
    "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
)
VEO_MODEL: Final = "veo-3.1-generate-preview"
