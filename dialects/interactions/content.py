"""The contents of steps: text, image, audio, document, video. Data is base64 in `data` with its
`mime_type`, or is at a `uri`.

    text citations   `url_citation` annotations; their positions count bytes of UTF-8 in their text,
                     while Source counts characters of the whole turn
"""

from typing import Any, Final

from dialects.chat.chat import (
    Audio,
    Base64,
    File,
    Image,
    JsonObject,
    PlainText,
    Text,
    Url,
    Video,
)
from dialects.chat.events import Source
from dialects.chat.media import read_base64, read_url
from dialects.json.members import Members
from dialects.json.raw_json import as_text, dicts

CONTENT_TYPES: Final = ("text", "image", "audio", "document", "video")
# Data may be written in the URL-safe alphabet.
_STANDARD: Final = str.maketrans("-_", "+/")
_DETAILS: Final = {"low": "low", "high": "high", "ultra_high": "high"}

Content = Text | Image | Audio | File | Video


def read_content(content: Members) -> Content:
    """Return the part of a content. Raises RequestFault."""
    kind = content.required("type", content.word("type", CONTENT_TYPES))
    match kind:
        case "text":
            return Text(content.required("text", content.text("text")))
        case "image":
            return Image(
                _read_source(content, kind), _DETAILS.get(content.text("resolution") or "")
            )
        case "audio":
            return Audio(_read_source(content, kind))
        case "video":
            return Video(_read_source(content, kind))
        case _:
            return File(_read_source(content, kind))


def read_contents(step: Members, name: str = "content") -> list[Content]:
    """Return the parts of a list of contents."""
    return [read_content(content) for content in step.objects(name)]


def _read_source(content: Members, kind: str) -> Base64 | Url:
    media_type = content.text("mime_type") or ""
    data = content.text("data")
    if data is None:
        address = content.required("uri", content.text("uri"))
        source = read_url(address, content.at("uri"))
        return Url(source.url, media_type) if isinstance(source, Url) else source
    if content.has("uri"):
        content.refuse_value("uri", "cannot be combined with data")
    content.required("mime_type", media_type or None)
    return read_base64(data.translate(_STANDARD), media_type, content.at("data"))


def write_content(part: Content) -> JsonObject:
    """Return the content of a part whose source is data, a text or an address."""
    match part:
        case Text(text=text) | File(source=PlainText(text=text)):
            return {"type": "text", "text": text}
        case Image(detail=detail):
            resolution = {"resolution": detail} if detail in ("low", "high") else {}
            return {"type": "image", **_write_source(part.source), **resolution}
        case Audio():
            return {"type": "audio", **_write_source(part.source)}
        case Video():
            return {"type": "video", **_write_source(part.source)}
        case _:
            return {"type": "document", **_write_source(part.source)}


def _write_source(source: Any) -> JsonObject:
    typed = {"mime_type": source.media_type} if source.media_type else {}
    if isinstance(source, Base64):
        return {**typed, "data": source.data}
    return {**typed, "uri": source.url}


# ---- citations


def read_citations(annotations: Any, text: str, base: int) -> list[Source]:
    """Return the citations of a text that begins at character `base` of its turn."""
    rows = (row for row in dicts(annotations) if row.get("type") == "url_citation")
    return [source for row in rows if (source := _read_citation(row, text, base)).url]


def _read_citation(row: dict[str, Any], text: str, base: int) -> Source:
    start, end = row.get("start_index", 0), row.get("end_index")
    raw = text.encode(errors="surrogatepass")
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(raw)):
        return Source(as_text(row.get("url")), as_text(row.get("title")))
    return Source(
        as_text(row.get("url")),
        as_text(row.get("title")),
        base + len(raw[:start].decode(errors="ignore")),
        base + len(raw[:end].decode(errors="ignore")),
    )


def write_citation(source: Source, text: str, base: int) -> JsonObject:
    """Return a source as an annotation of a text that begins at character `base` of its turn. The
    annotation has no position if the source has none in this text."""
    annotation = {"type": "url_citation", "url": source.url, "title": source.title}
    if source.start is None or source.end is None:
        return annotation
    start, end = source.start - base, source.end - base
    if not 0 <= start < end <= len(text):
        return annotation
    return annotation | {"start_index": size_of(text[:start]), "end_index": size_of(text[:end])}


def size_of(text: str) -> int:
    """Return the bytes of a text."""
    return len(text.encode(errors="surrogatepass"))
