"""Requests that a text-only model on a server without stored turns cannot answer."""

from dialects.chat.chat import ChatRequest
from dialects.chat.client_names import client_name
from dialects.errors.errors import RequestFault


def check_text_only(request: ChatRequest) -> None:
    """Check that a request has no stored turns, and asks for no audio or images. Raises
    RequestFault."""
    if request.previous_response_id is not None:
        raise _unsupported("previous_response_id", "the earlier turns are not stored here")
    if request.audio is not None or "audio" in request.modalities:
        name = "audio" if request.audio is not None else "modalities"
        raise _unsupported(client_name(request, name), "this model cannot generate audio")
    if "image" in request.modalities:
        raise _unsupported(client_name(request, "modalities"), "this model cannot generate images")


def _unsupported(param: str, what: str) -> RequestFault:
    return RequestFault("unsupported_capability", param, what)
