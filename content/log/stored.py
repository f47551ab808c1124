"""What is stored of a request and its answer: the stream as a whole answer, media by reference, and
texts without what is redacted. What cannot be redacted with certainty is left out."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from content.log.folding import Folded
from content.log.kept import Body, Kept, Pieces
from content.log.media import is_text_type
from content.log.redaction import CutTexts, Redaction, Unredactable

_JSON: Final = "application/json"


def to_store(
    kept: Kept,
    fold: Callable[[bytes], Folded | None],
    redaction: Redaction,
    cut: Sequence[Pieces] = (),
) -> Kept:
    """Return what is stored. `fold` reads the frames of a stream; None: they are no text. `cut` are
    texts that were cut."""
    left_out: list[Body] = []
    answer, content_type, broken = kept.answer, kept.content_type, kept.broken
    error = kept.error
    cut_texts = cut_in_answer = redaction.cut_texts(cut)
    if kept.stream and is_text_type(content_type):
        folded = fold(answer)
        if folded is None:
            answer = b""
            left_out.append("answer")
        else:
            answer, content_type, broken = folded.answer, _JSON, folded.broken
            error = error or folded.error
            cut_in_answer = redaction.cut_texts(Pieces((text,)) for text in folded.cut)

    def redacted(body: Body, raw: bytes, kind: str, cut: CutTexts) -> bytes:
        try:
            return redaction.body(raw, kind, cut)
        except Unredactable:
            left_out.append(body)
            return b""

    request = redacted("request", kept.request, _JSON, cut_texts)
    answer = redacted("answer", answer, content_type, cut_in_answer)
    return msgspec.structs.replace(
        kept,
        request=request,
        answer=answer,
        error=redaction.text(error),
        broken=broken,
        left_out=tuple(left_out),
        failures=tuple(map(redaction.text, kept.failures)),
    )
