"""The kind of media that a model creates: images, speech, transcripts, videos or songs, or the
service that it belongs to."""

from collections.abc import Collection

from gateway.providers.capabilities import Capabilities
from gateway.providers.media_options import MediaKind
from gateway.providers.task_services import OWN_PRODUCTS


def media_kind(known: Capabilities | None, meters: Collection[str]) -> MediaKind | None:
    """Return the kind of media that a model creates: by its catalogue row, else by the meters of
    its price. Return None for a chat or embedding model."""
    if known is not None:
        return _kind_in_catalogue(known)
    if any(meter.startswith("video_ms") for meter in meters):
        return "video"
    if any(meter.startswith("images") for meter in meters) or "out_image" in meters:
        return "image"
    if "characters" in meters or ("out_audio" in meters and "out_text" not in meters):
        return "speech"
    return "transcription" if "audio_ms" in meters else None


def _kind_in_catalogue(known: Capabilities) -> MediaKind | None:
    if known.endpoint in ("realtime", "live"):
        return None
    if known.endpoint in OWN_PRODUCTS:
        return OWN_PRODUCTS[known.endpoint].kind
    if known.endpoint == "videos":
        return "video"
    if known.endpoint == "images" or "image" in known.outputs:
        return "image"
    if known.endpoint == "speech" or known.outputs == {"audio"}:
        return "speech"
    return "transcription" if known.endpoint == "transcriptions" else None
