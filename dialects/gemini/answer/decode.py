"""Read a whole (not streamed) answer of the gemini dialect. A client of the same dialect gets the
unchanged bytes; only the usage, the finish reasons and the text size are read. A JSON array of
pieces is read as one answer.
"""

import msgspec

from dialects.chat.events import Broken, UpstreamError
from dialects.codec import WholeAnswer, failed_answer
from dialects.gemini.stream.decode import Decoder
from dialects.json.not_json import NOT_JSON
from dialects.streams.stream import is_utf8


def decode(raw: bytes, *, translate: bool = False, request_id: str = "") -> WholeAnswer:
    """Read the body of a 200. Never raises."""
    body = raw.strip()
    if body and not body.startswith((b"{", b"[")):
        return failed_answer(Broken("F15" if is_utf8(body) else "F16"))
    decoder = Decoder(translate=translate, request_id=request_id, frame_bytes_max=len(raw))
    steps = decoder.feed(body) + decoder.end()
    *events, last = [event for step in steps for event in step.events]
    if isinstance(last, UpstreamError):
        return failed_answer(last, decoder.usage)
    if isinstance(last, Broken):
        whole = _is_json(body)
        # A complete JSON text needs no finish reason; a text that was cut is not JSON.
        if last.fault != "F14" or not whole:
            cut = last.fault in ("F14", "F24") and body and not whole
            return failed_answer(Broken("F15" if cut else last.fault))
        if translate:
            events += decoder.finish()
    elif not _is_json(body):
        # Data follows the end of the answer, and would be sent to the client.
        return failed_answer(Broken("F15" if is_utf8(body) else "F16"))
    return WholeAnswer(events, decoder.usage, decoder.text_bytes, decoder.reasoning_bytes)


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except NOT_JSON:
        return False
    return True
