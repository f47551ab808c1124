"""Images: requests in OpenAI's and Qwen's forms, and the usage of their answers.

    OpenAI    {"model", "prompt", "n", "size", "quality", …}, or a form with files for edits
    Qwen      {"model", "input": {"messages": […]}, "parameters": {"n", "size": "1328*1328", …}}

They are billed by the picture (`images`, or `images[1024x1024,high]` by size and quality) or by
tokens, depending on the rates of the price.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from dialects.chat.chat import Encoded
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, read_body
from dialects.json.members import (
    Members,
    edit_body,
    read_integers,
    read_max_cost,
    read_members,
    read_model,
    read_user,
    required_value,
    small_members,
)
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import value_of
from dialects.media.passed_answer import PassedJson
from dialects.openai.unary import RawMembers, answer_fault, member_bytes, open_answer
from dialects.usage.usage import Quantities, present
from dialects.usage.usage import read_members as read_usage
from dialects.usage.usage_members import counts_anything

ImageOperation = Literal["image_generations", "image_edits", "image_variations"]

COUNT_MAX: Final = 10
FORM_KINDS: Final[Mapping[str, type]] = {
    "n": int, "partial_images": int, "output_compression": int, "stream": bool, "watermark": bool,
    "seed": int,
}  # fmt: skip
_SMALL: Final = ("model", "n", "size", "quality", "stream", "partial_images", "response_format")
_SIZE: Final = re.compile(r"([0-9]{2,5})[x*×]([0-9]{2,5})")
# OpenAI's pictures, by its image guide (2026-10): the largest at the best quality has 6,240 tokens,
# and a partial one 100 more; an input picture with high fidelity also has up to 6,240. Others have
# less: Gemini's 2,520 for 4K.
_OUT_TOKENS_MAX: Final = 8_192
_IN_TOKENS_MAX: Final = 8_192
_PARTIAL_TOKENS: Final = 200
_OUT_TOKENS: Final[Mapping[str, int]] = {"low": 272, "medium": 1056, "high": 4160}
_OPEN: Final = ("", "auto")
_IS_SIZE: Final = re.compile(r"[0-9]+(?:x[0-9]+)?|[0-9]+K")
_FILES_MAX: Final = 16
# Volcengine Ark, "Image generation API" (2026-11).
_SERIES_MAX: Final = 15
_ARK_KNOWN: Final = frozenset(
    {
        "model", "prompt", "image", "size", "seed", "guidance_scale", "stream", "watermark",
        "sequential_image_generation", "sequential_image_generation_options", "response_format",
        "output_format", "optimize_prompt_options", "tools",
    }
)  # fmt: skip
_QWEN_SKIPPED: Final = frozenset({"model", "prompt", "n", "size", "image", "images", "max_cost"})
_QWEN_KNOWN: Final = frozenset({"negative_prompt", "prompt_extend", "watermark", "seed"})


class ImageFacts(msgspec.Struct, frozen=True):
    """The facts that the gateway needs before routing, holding and sending a request. `qwen`: it is
    in Qwen's form. `size` is written `WxH`, "" or "auto" if the model chooses. `pictures` is the
    number of input pictures, by files or, `in_json`, by addresses.
    """

    body: Body
    operation: ImageOperation
    qwen: bool
    model: str
    prompt: str
    n: int
    size: str
    quality: str
    stream: bool
    partial_images: int
    pictures: int
    in_json: bool
    user: str
    text_bytes: int
    max_cost_nano: int | None

    def token_bound(self) -> dict[str, int]:
        """Return the most tokens possible, by meter."""
        shown = _OUT_TOKENS_MAX + self.partial_images * _PARTIAL_TOKENS
        return {"in_text": self.text_bytes, "out_image": self.n * shown} | present(
            in_image=self.pictures * _IN_TOKENS_MAX
        )

    def token_estimate(self, count: int) -> dict[str, int]:
        """Return an estimate of the tokens, for upstreams that report none."""
        each = _OUT_TOKENS.get(self.quality, _OUT_TOKENS["medium"])
        return {"in_text": -(-self.text_bytes // 4), "out_image": count * each} | present(
            in_image=self.pictures * _OUT_TOKENS["medium"]
        )


class MadeImages(msgspec.Struct, frozen=True):
    """The content of an answer: the number of pictures, their size and quality if reported, and its
    usage in tokens.
    """

    count: int
    size: str
    quality: str
    tokens: Quantities


def read(
    raw: bytes, operation: ImageOperation, *, files: Sequence[str] | None = None
) -> ImageFacts:
    """Read a request; `files` are the names of a form's files, None without a form. Raises
    RequestFault in the contract's order: the JSON text, the root, model, required members, then
    types (400), then values (422).
    """
    body = read_body(raw)
    members = small_members(body, _SMALL)
    model = read_model(members)
    qwen = operation != "image_variations" and _is_qwen(body)
    source = Members(_qwen_parameters(body), "parameters") if qwen else members
    prompt, pictures = _qwen_content(body) if qwen else _content(body, operation, files)
    size, quality = source.text("size") or "", members.text("quality") or ""
    stream, max_cost_nano = bool(members.boolean("stream")), read_max_cost(body)
    n = read_integers(source, n=(1, COUNT_MAX))["n"]
    partial = read_integers(members, partial_images=(0, 3))["partial_images"]
    n = _in_series(body) or n
    if pictures > _FILES_MAX:
        raise RequestFault("invalid_value", "image", f"image may have at most {_FILES_MAX} files")
    return ImageFacts(
        body, operation, qwen, model, prompt, n or 1, _normalise_size(size), quality, stream,
        partial or 0, pictures, files is None, read_user(body), _text_bytes(raw, prompt),
        max_cost_nano,
    )  # fmt: skip


def edit(facts: ImageFacts, upstream_model: str) -> bytes:
    """Return the body for an upstream in the same form. Pictures that an edit in JSON gives as
    plain addresses become OpenAI's objects.
    """
    if facts.operation != "image_edits" or not facts.in_json:
        return edit_body(facts.body, upstream_model)
    value = value_of(facts.body.value("images"))
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return edit_body(facts.body, upstream_model)
    images = [{"image_url": address} for address in pictures_of(facts)]
    edits = {"images": msgspec.json.encode(images), "image": None}
    if facts.body.value("image") is None:
        del edits["image"]
    return edit_body(facts.body, upstream_model, edits)


def meter_of(size: str, quality: str, rates: Mapping[str, int]) -> str | None:
    """Return the most specific meter of a picture that has a rate; None if pictures have no rate. A
    square may be named by one side (`images[1024]`)."""
    sizes = (size, _square_side(size))
    names = (
        *(f"images[{size},{quality}]" for size in sizes),
        *(f"images[{one}]" for one in (*sizes, quality)),
        "images",
    )
    return next((name for name in names if name in rates), None)


def bound_meter(size: str, quality: str, rates: Mapping[str, int]) -> str | None:
    """Return the most expensive meter for a picture with these settings. Settings that are not set
    are the model's choice. If no meter matches, return the most expensive of all."""
    named = [name for name in rates if name == "images" or name.startswith("images[")]
    open_size, open_quality = size in _OPEN, quality in _OPEN
    if not open_size and not open_quality and (meter := meter_of(size, quality, rates)) is not None:
        return meter
    fitting = [
        name
        for name in named
        if all(
            open_size or part in (size, _square_side(size))
            if _IS_SIZE.fullmatch(part)
            else open_quality or part == quality
            for part in name[len("images[") : -1].split(",")
            if part
        )
    ]
    return max(fitting or named, key=lambda name: rates[name], default=None)


def _square_side(size: str) -> str:
    """Return one side of a square size; any other size unchanged."""
    width, _, height = size.partition("x")
    return width if width == height else size


# ---- answers


def read_answer(members: RawMembers, facts: ImageFacts) -> MadeImages:
    """Return the content of an answer in OpenAI's form. Raises AnswerFault if it has no
    pictures.
    """
    return describe_images(members, _count_images(members), facts)


class PassedImages(PassedJson):
    """A forwarded answer in OpenAI's form. An answer without pictures is a fault."""

    def end(self) -> bytes:
        rest = super().end()
        _count_images(self.members)
        return rest


def _count_images(members: RawMembers) -> int:
    try:
        data = _items.decode(member_bytes(members, "data") or b"[]")
    except NOT_JSON:
        raise answer_fault("F15") from None
    if not data:
        raise answer_fault("F24")
    # Ark reports a failed picture of a series in its position.
    return sum("error" not in item for item in data)


def describe_images(members: RawMembers, count: int, facts: ImageFacts) -> MadeImages:
    """Return what the other members of an answer report about its pictures."""
    size = _word(members, "size")
    quality = _word(members, "quality")
    if not size and (item := _first(members)):
        size = _normalise_size(str(item.get("size") or ""))
    return MadeImages(
        count,
        size or facts.size,
        quality or facts.quality,
        _with_drawing(token_quantities(member_bytes(members, "usage")), members),
    )


def _with_drawing(quantities: Quantities, members: RawMembers) -> Quantities:
    """Mark usage that is reported separately for drawing an SVG as unknown, because it belongs to
    an unnamed model (P28)."""
    drawing = member_bytes(members, "svg_usage")
    if drawing is None or not counts_anything(value_of(drawing)):
        return quantities
    return msgspec.structs.replace(quantities, unknown=(*quantities.unknown, "svg_usage"))


def token_quantities(raw: bytes | None) -> Quantities:
    """Read a usage object of tokens; output tokens without details count as pictures."""
    usage = read_usage(raw, "unary")
    if isinstance(usage, Quantities):
        return usage
    input_details = usage.nested("input_tokens_details")
    output_details = usage.nested("output_tokens_details")
    given_tokens, made_tokens = usage.count("input_tokens"), usage.count("output_tokens")
    if given_tokens is None and made_tokens is None and not usage.flags:
        return usage.missing()
    cached = usage.count("cached_tokens", input_details) or 0
    text = (usage.count("text_tokens", output_details) or 0) if output_details else 0
    if text > (made_tokens or 0):
        usage.flags.add("usage_parts_above_total")
    meters = usage.input_meters(given_tokens or 0, cached, 0, input_details)
    return usage.result(meters | present(out_image=(made_tokens or 0) - text, out_text=text))


# ---- Ark, where an edit is a generation with pictures


def to_ark(facts: ImageFacts, upstream_model: str, pictures: Sequence[str]) -> Encoded:
    """Return Ark's body for a request in OpenAI's form. Raises RequestFault for members that it
    cannot express."""
    if facts.n > 1 and facts.body.value("n") is not None and _in_series(facts.body) is None:
        what = "n is not supported by this model: ask for a series by sequential_image_generation"
        raise RequestFault("unsupported_capability", "n", what)
    members = read_members(facts.body.raw)
    body = {name: value for name, value in members.value.items() if name in _ARK_KNOWN}
    body["model"] = upstream_model
    if facts.operation == "image_edits":
        body["image"] = list(pictures)
    if facts.size == "auto":
        del body["size"]
    dropped = members.rest(_ARK_KNOWN | {"images", "image[]", "n", "max_cost"})
    return Encoded(msgspec.json.encode(body), tuple(dropped))


# ---- Qwen's own API


def to_qwen(facts: ImageFacts, upstream_model: str, pictures: Sequence[str] = ()) -> Encoded:
    """Return DashScope's body for a request in either form. `pictures` are the addresses or data
    URLs of the input. Raises RequestFault for members that it cannot express."""
    if facts.stream:
        what = "stream is not supported by this model: its provider answers whole"
        raise RequestFault("unsupported_capability", "stream", what)
    if facts.qwen:
        return Encoded(edit_body(facts.body, upstream_model))
    members = read_members(facts.body.raw).value
    content: list[dict[str, str]] = [{"image": url} for url in pictures]
    content.append({"text": facts.prompt})
    parameters: dict[str, Any] = {name: members[name] for name in _QWEN_KNOWN if name in members}
    if facts.n > 1:
        parameters["n"] = facts.n
    if facts.size not in ("", "auto"):
        parameters["size"] = facts.size.replace("x", "*")
    dropped = [
        name
        for name, value in members.items()
        if name not in _QWEN_SKIPPED | _QWEN_KNOWN and value is not None
    ]
    body = {
        "model": upstream_model,
        "input": {"messages": [{"role": "user", "content": content}]},
        "parameters": parameters,
    }
    return Encoded(msgspec.json.encode(body), tuple(dropped))


def from_qwen_request(facts: ImageFacts, upstream_model: str) -> Encoded:
    """Return the body in OpenAI's form for a request in Qwen's."""
    if facts.pictures:
        what = "input.messages has an image, which this model is given as a file or an address"
        raise RequestFault("unsupported_capability", "input.messages", what)
    body: dict[str, Any] = {"model": upstream_model, "prompt": facts.prompt}
    if facts.n > 1:
        body["n"] = facts.n
    if facts.size:
        body["size"] = facts.size
    return Encoded(msgspec.json.encode(body), qwen_dropped(facts))


def qwen_dropped(facts: ImageFacts) -> tuple[str, ...]:
    """Return the parameters of a request in Qwen's form that only Qwen's own API has."""
    parameters = _qwen_parameters(facts.body)
    return tuple(f"parameters.{name}" for name in parameters if name not in ("n", "size"))


def read_qwen_answer(raw: bytes, facts: ImageFacts) -> tuple[list[str], MadeImages]:
    """Return the addresses of the pictures in a DashScope answer. Raises AnswerFault."""
    members = open_answer(raw)
    output, usage = _object(members, "output"), _object(members, "usage")
    addresses = [str(url) for url in _qwen_pictures(output) if url]
    if not addresses:
        raise answer_fault("F24")
    counted = usage.get("image_count")
    count = counted if type(counted) is int and 0 < counted <= COUNT_MAX else len(addresses)
    size = ""
    if type(usage.get("width")) is int and type(usage.get("height")) is int:
        size = f"{usage['width']}x{usage['height']}"
    missing = Quantities({}, ("usage_missing",))
    return addresses, MadeImages(count, size or facts.size, facts.quality, missing)


def encode_answer(created: int, pictures: Sequence[Mapping[str, str]]) -> bytes:
    """Return an answer in OpenAI's form; each picture has a `url` or `b64_json`."""
    return msgspec.json.encode({"created": created, "data": list(pictures)})


def with_links(raw: bytes, link: Callable[[str], str]) -> bytes:
    """Return an answer that `encode_answer` wrote with `link` of each address in it; a data URL is
    no address."""
    answer = msgspec.json.decode(raw)
    for picture in answer["data"]:
        url = picture.get("url", "")
        if url[:8].lower().startswith(("https://", "http://")):
            picture["url"] = link(url)
    return msgspec.json.encode(answer)


def _qwen_pictures(output: Mapping[str, Any]) -> list[Any]:
    image_inputs: list[Any] = []
    for choice in output.get("choices") or []:
        message = choice.get("message") if isinstance(choice, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        image_inputs += [item.get("image") for item in content or [] if isinstance(item, dict)]
    results = output.get("results") or []
    return image_inputs + [item.get("url") for item in results if isinstance(item, dict)]


# ---- reading a request


_items = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def _in_series(body: Body) -> int | None:
    """Return how many pictures Ark may make in a series; None if the request asks for one
    picture."""
    if value_of(body.value("sequential_image_generation")) != "auto":
        return None
    options = value_of(body.value("sequential_image_generation_options"))
    most = options.get("max_images") if isinstance(options, dict) else None
    return most if type(most) is int and 0 < most <= _SERIES_MAX else _SERIES_MAX


def _is_qwen(body: Body) -> bool:
    raw = body.value("input")
    return raw is not None and raw.startswith(b"{") and body.value("prompt") is None


def _qwen_parameters(body: Body) -> dict[str, Any]:
    value = value_of(body.value("parameters"))
    return value if isinstance(value, dict) else {}


def _qwen_content(body: Body) -> tuple[str, int]:
    """Return the text of a request in Qwen's form, and its number of pictures."""
    messages = Members(value_of(required_value(body, "input")) or {}, "input").objects("messages")
    texts: list[str] = []
    pictures = 0
    for message in messages:
        for item in message.objects("content"):
            pictures += item.text("image") is not None
            texts.append(item.text("text") or "")
    prompt = "\n".join(text for text in texts if text)
    if not prompt:
        what = "input.messages must hold a text"
        raise RequestFault("missing_parameter", "input.messages", what)
    return prompt, pictures


def _content(body: Body, operation: ImageOperation, files: Sequence[str] | None) -> tuple[str, int]:
    """Return the prompt, and the number of pictures."""
    prompt = value_of(body.value("prompt"))
    if operation != "image_variations":
        required_value(body, "prompt")
        if not isinstance(prompt, str):
            raise RequestFault("invalid_type", "prompt", "prompt must be a string")
    pictures = 0
    if operation != "image_generations" or body.value("image") is not None:
        pictures = _count_pictures(body, files)
    return (prompt if isinstance(prompt, str) else ""), pictures


def _count_pictures(body: Body, files: Sequence[str] | None) -> int:
    if files is not None:
        count = sum(name in ("image", "image[]") for name in files)
        if not count:
            raise RequestFault("missing_parameter", "image", "image is required: a file")
        return count
    for name in ("images", "image"):
        value = value_of(body.value(name))
        if value is not None:
            return len(addresses_of(value, name))
    raise RequestFault("missing_parameter", "images", "images is required")


def pictures_of(facts: ImageFacts) -> list[str]:
    """Return the addresses or data URLs of the pictures in a JSON request."""
    for name in ("images", "image"):
        value = value_of(facts.body.value(name))
        if value is not None:
            return addresses_of(value, name)
    return []


def addresses_of(value: Any, name: str) -> list[str]:
    """Return the addresses in an address, an object with `image_url`, or an array of these. Raises
    RequestFault.
    """
    image_inputs: list[str] = []
    for i, item in enumerate(value if isinstance(value, list) else [value]):
        url = item.get("image_url") if isinstance(item, dict) else item
        if not isinstance(url, str) or not url:
            at = f"{name}[{i}]" if isinstance(value, list) else name
            raise RequestFault("invalid_type", at, f"{at} must be an address or a data URL")
        image_inputs.append(url)
    return image_inputs


def _normalise_size(size: str) -> str:
    """Return a size as `WxH`; other words are unchanged."""
    match = _SIZE.fullmatch(size)
    return f"{match[1]}x{match[2]}" if match else size


def _text_bytes(raw: bytes, prompt: str) -> int:
    """Return an upper bound of the text: pictures in the body are counted separately."""
    return min(len(raw), len(prompt.encode("utf-8", "replace")) + 4096)


def _word(members: RawMembers, name: str) -> str:
    value = member_bytes(members, name) or b""
    return _normalise_size(str(msgspec.json.decode(value))) if value.startswith(b'"') else ""


def _first(members: RawMembers) -> dict[str, Any]:
    try:
        data = msgspec.json.decode(member_bytes(members, "data") or b"[]")
    except NOT_JSON:
        return {}
    return data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}


def _object(members: RawMembers, name: str) -> dict[str, Any]:
    value = value_of(member_bytes(members, name))
    return value if isinstance(value, dict) else {}
