"""Google's Gemini: whole responses as frames, SSE or one JSON array, seals on parts."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.fakes.answer import Piece, blocks, compact, minus
from tests.fakes.books import Row
from tests.fakes.directives import Directives, Fault
from tests.fakes.media import picture
from tests.fakes.question import (
    Conversation,
    Problem,
    Question,
    Wrong,
    from_base64,
    looks_sealed,
    positive,
    seal_of,
)
from tests.fakes.story import Ask, Plan, Stream, Talk
from tests.fakes.wire import Answer, Signal, Step, whole

_FIELDS = (
    "contents systemInstruction tools toolConfig safetySettings generationConfig cachedContent "
    "serviceTier store labels"
)
_CONFIG_FIELDS = (
    "temperature topP topK maxOutputTokens stopSequences candidateCount seed presencePenalty "
    "frequencyPenalty responseMimeType responseSchema responseJsonSchema responseLogprobs logprobs "
    "responseModalities speechConfig imageConfig thinkingConfig mediaResolution "
    "enableEnhancedCivicAnswers responseFormat"
)
_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED", 404: "NOT_FOUND", 413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_FINISH = {
    "stop": "STOP", "stop_sequence": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP",
    "content_filter": "SAFETY",
}  # fmt: skip
# What Google documents for calls that its models did not make.
_EXCUSES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_JSON = "application/json; charset=UTF-8"
_GOOGLE = "type.googleapis.com/google.rpc."


def _camel(name: str) -> str:
    first, *more = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in more)


def _fields(value: Any) -> dict[str, Any]:
    """An object with its names in camel case; both spellings are equals here."""
    if not isinstance(value, dict):
        return {}
    return {_camel(name): member for name, member in value.items()}


def _unknown(value: Any, known: Iterable[str], path: str = "") -> list[str]:
    """The unknown fields as they are spelt."""
    names = value if isinstance(value, dict) else {}
    return sorted(f"{path}{name}" for name in names if _camel(name) not in known)


class GeminiTalk(Talk):
    """A path `…/models/{model}:{action}`."""

    dialect = "gemini"
    json_type = _JSON
    prefix = "gem-"
    array = False  # an answer, an error too, is one JSON array
    makes = ""  # AUDIO or IMAGE, where it is asked for

    def __init__(self, model: str, query: Mapping[str, str]) -> None:
        self.model = model
        self.query = query

    def credential(
        self, headers: Mapping[str, str], query: Mapping[str, str]
    ) -> tuple[str, str | None]:
        if "x-goog-api-key" not in headers and "key" in query:
            return "key", query["key"]
        return "x-goog-api-key", headers.get("x-goog-api-key")

    def no_key(self, value: str | None) -> Problem:
        if value is None:
            return Problem(403, "Method doesn't allow unregistered callers.")
        return Problem(400, "API key not valid. Please pass a valid API key.", code="bad_key")

    def error(self, problem: Problem) -> Any:
        status = _STATUS.get(problem.status, "INVALID_ARGUMENT")
        error: dict[str, Any] = {
            "code": problem.status,
            "message": problem.message,
            "status": status,
        }
        if problem.code == "bad_key":
            info = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            error["details"] = [{"@type": f"{_GOOGLE}ErrorInfo", **info}]
        elif problem.code == "rate":
            error["details"] = [{"@type": f"{_GOOGLE}QuotaFailure", "violations": []}]
            if problem.param is not None:
                info = {"@type": f"{_GOOGLE}RetryInfo", "retryDelay": problem.param}
                error["details"].append(info)
        values = {"error": error}
        return [values] if self.array else values

    def overloaded(self) -> Any:
        return {"error": {"code": 503, "message": "Model overloaded.", "status": "UNAVAILABLE"}}

    def unknown(self, name: str) -> Problem:
        text = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
        return Problem(400, text)

    def adapt(self, problem: Problem) -> Problem:
        problem = replace(problem, code=None, param=None)
        match problem.fault:
            case Fault("F5", "401"):
                return replace(problem, status=400, code="bad_key")
            case Fault("F6", "422"):
                return replace(problem, status=400)
            case Fault("F6", "context"):
                text = "The input token count exceeds the maximum number of tokens allowed 128000."
                return replace(problem, message=text)
            case Fault("F7"):
                text = f"models/{self.model} is not found for API version v1beta."
                return replace(problem, message=text)
            case Fault("F8", variant, _):
                waits = problem.headers
                delay = f"{waits['retry_after']}s" if variant in ("seconds", "huge") else None
                if variant == "ms":
                    delay = f"{int(waits['retry_after_ms']) / 1000:.3f}s"
                if variant == "junk":
                    delay = waits["retry_after"]
                headers = waits if variant == "date" else {}
                return replace(problem, code="rate", param=delay, headers=headers)
            case Fault("F9"):
                return replace(problem, status=402, message="Prepaid credit is used up.")
            case Fault("F10", "529"):
                return replace(problem, status=503, message="Model overloaded.")
        return problem

    def head_fields(self, row: Row) -> dict[str, str]:
        return {"server-timing": f"gfet4t7; dur={row.seq}"}

    def usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """Thoughts stand outside the candidates' count, the cached inside the prompt's."""
        prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
        thoughts = usage["completion_tokens_details"]["reasoning_tokens"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        values = {
            "promptTokenCount": minus(prompt, self._found),
            "candidatesTokenCount": minus(completion, thoughts),
            "totalTokenCount": usage["total_tokens"],
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": minus(prompt, self._found)}],
        }
        if self.makes:
            text = minus(completion, thoughts)
            values["candidatesTokensDetails"] = [{"modality": self.makes, "tokenCount": text}]
        if cached:
            values["cachedContentTokenCount"] = cached
        if thoughts:
            values["thoughtsTokenCount"] = thoughts
        if self._found:
            values["toolUsePromptTokenCount"] = self._found
        return values

    # What its searches found.
    _found = 0


class Generate(GeminiTalk):
    """`:generateContent` and `:streamGenerateContent`."""

    fields = frozenset(_FIELDS.split())
    blocks_with_200 = True
    spine = b'"text": "'
    line = b'data: {"candidates":[{"content":{"parts":[{"text":"'

    def __init__(self, model: str, query: Mapping[str, str], *, stream: bool) -> None:
        super().__init__(model, query)
        self.operation = "stream_generate_content" if stream else "generate_content"
        self.as_stream = stream
        self.array = stream and query.get("alt") != "sse"
        if self.array:
            self.stream_type = _JSON
            self.line = b'[{"candidates":[{"content":{"parts":[{"text":"'
        else:
            self.stream_type = "text/event-stream"

    # ---- reading

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        unknown = _unknown(body, self.fields)
        body = _fields(body)
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            raise Wrong(400, "* GenerateContentRequest.contents: contents is not specified")
        config = _fields(body.get("generationConfig"))
        positive(config, "maxOutputTokens", "candidateCount")
        wanted = config.get("responseModalities") or []
        self.makes = next((kind for kind in ("AUDIO", "IMAGE") if kind in wanted), "")
        received = Conversation()
        received.turn()
        for part in _fields(body.get("systemInstruction")).get("parts") or ():
            received.system(part.get("text", ""))
        _hear(received, contents)
        declared = _declared(body.get("tools") or [])
        for tool in declared:
            received.count(f"{tool.get('name', '')} {tool.get('description', '')}")
        unknown += _unknown(
            body.get("generationConfig"), _CONFIG_FIELDS.split(), "generationConfig."
        )
        return Question.of(
            self.model,
            received,
            stream=self.as_stream,
            choices=config.get("candidateCount") or 1,
            cap=config.get("maxOutputTokens"),
            tools=[tool["name"] for tool in declared],
            form=_form(config),
            unknown=unknown,
        )

    def check(self, body: dict[str, Any], wish: Directives) -> None:
        """Whose name asks for it (`gemini-3…`, `#seals`) wants its first call of a step sealed."""
        self._found = wish.searches * wish.found
        wanted = wish.seals or self.model.startswith("gemini-3")
        contents = body["contents"]
        asked = [i for i, content in enumerate(contents) if _asks(content)]
        for i, content in enumerate(contents):
            parts = [_fields(part) for part in content.get("parts") or ()]
            calls = [part for part in parts if "functionCall" in part]
            in_turn = not asked or i > asked[-1]
            if wanted and calls and in_turn and not calls[0].get("thoughtSignature"):
                text = "Function call is missing a thought_signature in functionCall parts."
                raise Wrong(400, f"{text} Position {i + 1}.")

    def blocked(self, ask: Ask) -> bytes:
        """Gemini refuses a prompt with a 200 and no candidate."""
        usage = ask.report(ask.counted(0)) or {}
        body = {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": usage,
            "modelVersion": self.model,
            "responseId": ask.row.id,
        }
        if not ask.question.stream:
            return _pretty(body)
        return b"[%b]" % compact(body) if self.array else b"data: %b\r\n\r\n" % compact(body)

    # ---- answering

    def response(self, ask: Ask, candidates: list[Any], usage: Any = None) -> dict[str, Any]:
        values: dict[str, Any] = {"candidates": candidates}
        if usage is not None:
            values["usageMetadata"] = usage
        return values | {"modelVersion": self.model, "responseId": ask.row.id}

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        cut = ask.is_fault("F38")
        result = blocks(pieces)
        candidates = []
        for choice, finish in enumerate(plan.finish):
            parts: list[dict[str, Any]] = []
            if self.makes:
                parts, result = [make_part(self.makes, ask, len(pieces))], []
            for block in result:
                if block.choice == choice and not (cut and block.kind == "call"):
                    parts += _parts(block.kind, block.text, block.name, not _calls(parts))
            if ask.wish.reasoning and parts and not _calls(parts):
                parts[-1]["thoughtSignature"] = signature(parts[-1].get("text", ""))
            content: dict[str, Any] = {"role": "model"}
            if parts:
                content["parts"] = parts
            word = "MALFORMED_FUNCTION_CALL" if cut else _FINISH.get(finish, finish)
            candidate = {"content": content, "finishReason": word, "index": choice}
            if ask.wish.searches:
                queries = [f"weir {number}" for number in range(ask.wish.searches)]
                candidate["groundingMetadata"] = {"webSearchQueries": queries}
            candidates.append(candidate)
        usage = None
        if ask.wish.usage != "none":
            usage = ask.report(ask.counted(plan.hidden + len(pieces)))
        return _pretty(self.response(ask, candidates, usage))

    def stream(self, ask: Ask, plan: Plan) -> Stream:
        return GeminiStream(ask, plan, self)


def make_part(kind: str, ask: Ask, tokens: int) -> dict[str, Any]:
    """A picture, or 50 ms of silence for each token."""
    if kind == "AUDIO":
        media_type, raw = "audio/L16;codec=pcm;rate=24000", bytes(2400 * tokens)
    else:
        media_type, raw = "image/png", picture(f"{ask.name}-{ask.seed}")
    return {"inlineData": {"mimeType": media_type, "data": base64.b64encode(raw).decode()}}


def _pretty(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"


def signature(text: str) -> str:
    return seal_of("gemini", text)


def _calls(parts: list[dict[str, Any]]) -> bool:
    return any("functionCall" in part for part in parts)


def _parts(kind: str, text: str, name: str, sealed: bool) -> list[dict[str, Any]]:
    """The parts of one block; a call that the cap has cut is not shown."""
    if kind == "content":
        return [{"text": text}]
    if kind == "reasoning_content":
        return [{"text": text, "thought": True}]
    try:
        part: dict[str, Any] = {"functionCall": {"name": name, "args": json.loads(text)}}
    except ValueError:
        return []
    if sealed:
        part["thoughtSignature"] = signature(name)
    return [part]


def _declared(tools: list[Any]) -> list[dict[str, Any]]:
    return [
        declaration
        for tool in tools
        for declaration in _fields(tool).get("functionDeclarations") or ()
    ]


def _form(config: dict[str, Any]) -> dict[str, Any] | None:
    if config.get("responseMimeType") != "application/json":
        return None
    schema = config.get("responseJsonSchema") or config.get("responseSchema") or {}
    return dict(schema)


def _asks(content: dict[str, Any]) -> bool:
    """Whether a content is words of the user, not only results."""
    if content.get("role", "user") != "user":
        return False
    return any("functionResponse" not in _fields(part) for part in content.get("parts") or ())


def _hear(received: Conversation, contents: list[Any]) -> None:
    waiting: list[str] = []  # the calls of the content before
    for i, content in enumerate(contents):
        role, parts = content.get("role", "user"), content.get("parts")
        if role not in ("user", "model", "function"):
            raise Wrong(400, "Please use a valid role: user, model.")
        if not isinstance(parts, list) or not parts:
            raise Wrong(400, f"* GenerateContentRequest.contents[{i}].parts: must not be empty.")
        turn = received.turn(role="assistant" if role == "model" else role)
        calls: list[str] = []
        answered = 0
        for j, inputs in enumerate(parts):
            part = _fields(inputs)
            place = f"contents[{i}].parts[{j}]"
            _seal(received, part)
            match part:
                case {"thought": True}:
                    pass
                case {"text": str(text)}:
                    received.say(text)
                case {"functionCall": dict(call)}:
                    if not isinstance(call.get("args", {}), dict):
                        raise Wrong(400, f"Invalid value at '{place}.function_call.args'")
                    calls.append(call.get("name", ""))
                    received.called(call.get("name", ""), compact(call.get("args", {})).decode())
                case {"functionResponse": dict(response)}:
                    answered += 1
                    if response.get("name") not in waiting:
                        text = f"Invalid value at '{place}.function_response.name'"
                        raise Wrong(400, text)
                    received.result(_text_of(response.get("response")))
                case {"inlineData": dict(data)}:
                    _see(received, _fields(data))
                case {"fileData": dict(data)}:
                    received.tokens += 1
                case {"executableCode": _} | {"codeExecutionResult": _}:
                    received.tokens += 1
                case _:
                    text = "required oneof field 'data' must have one initialized field"
                    raise Wrong(400, f"* GenerateContentRequest.{place}.data: {text}")
        if waiting and answered != len(waiting):
            text = (
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )
            raise Wrong(400, text)
        waiting = calls
        turn.user = role == "user" and bool(turn.texts)


def _seal(received: Conversation, part: dict[str, Any]) -> None:
    seal = part.get("thoughtSignature")
    if seal is None or seal in _EXCUSES:
        return
    seal = _standard(seal)
    if not looks_sealed("gemini", seal):
        raise Wrong(400, "Thought signature is not valid.")
    name = (part.get("functionCall") or {}).get("name")
    if name is not None and seal != signature(name):
        raise Wrong(400, "Corrupted thought signature.")
    received.seals += 1


def _text_of(response: Any) -> str:
    match response:
        case {"result": str(text), **more} if not more:
            return text
        case {"output": str(text), **more} if not more:
            return text
        case {"error": str(text), **more} if not more:
            return f"error: {text}"
        case dict():
            return json.dumps(response, ensure_ascii=False)
    raise Wrong(400, "Invalid value at 'function_response.response'")


def _see(received: Conversation, data: dict[str, Any]) -> None:
    media_type = data.get("mimeType")
    if not isinstance(media_type, str):
        raise Wrong(400, "Unable to process input: mimeType is missing.")
    kind = media_type.split("/")[0]
    kind = kind if kind in ("image", "audio", "video") else "file"
    received.see(from_base64(kind, media_type, _standard(data.get("data"))))


def _standard(data: Any) -> Any:
    """Bytes come in either alphabet of base64; the official client uses the one for URLs."""
    return data.replace("-", "+").replace("_", "/") if isinstance(data, str) else data


class GeminiStream(Stream):
    """Frames with the new parts; a call is whole in one frame; the last one has the finish."""

    def __init__(self, ask: Ask, plan: Plan, talk: Generate) -> None:
        super().__init__(ask, plan)
        self.talk = talk
        self.eol = b"\r\n"
        self.end = b"\r\n\r\n"
        odd = (b"event: message_stop", b"id: 5", b"retry: 1", b"")
        self.lead = self.eol.join(odd) if ask.is_fault("F31") else b""
        self.begun = False
        self.name = self.args = ""
        self.called = [False] * ask.question.choices
        tail = {"modelVersion": talk.model, "responseId": ask.row.id}
        self.tail = b"," + compact(tail)[1:]

    def frame(self, data: bytes) -> bytes:
        if not self.talk.array:
            return self.lead + self.data + data + self.end
        opening, self.begun = b"\n,\r\n" if self.begun else b"[", True
        return opening + data

    def response(
        self, choice: int, parts: list[Any], finish: str | None = None, *, usage: bool = True
    ) -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": choice}
        if finish is not None:
            candidate["finishReason"] = finish
        data = b'{"candidates":[' + compact(candidate) + b"]"
        if usage and (text := self.usage_now()) is not None:
            data += b',"usageMetadata":' + compact(text)
        return self.frame(data + self.tail)

    @property
    def with_usage(self) -> bool:
        """Usage is in every frame, as the real one does it, unless it is asked for elsewhere."""
        return self.ask.wish.usage not in ("none", "start", "finish", "early", "twice")

    def comment(self, number: int) -> bytes:
        return b"\r\n" if self.talk.array else super().comment(number)

    def opening(self) -> Iterator[Step]:
        self.count = self.told.hidden
        wish = self.ask.wish
        if wish.usage in ("early", "start"):
            early = compact({"usageMetadata": self.ask.report(self.ask.counted(1))})
            yield from self.emit(self.frame(early))
        if self.told.hidden:
            empty = self.response(0, [{"text": ""}], usage=self.with_usage)
            yield from self.emit(empty, self.told.hidden)

    def write(self, piece: Piece) -> bytes:
        if piece.kind == "call":
            self.name, self.args = piece.text, ""
            return b""
        parts = _parts(piece.kind, piece.text, self.name, not self.called[piece.choice])
        if self.talk.makes:
            parts = [make_part(self.talk.makes, self.ask, 1)]
        if piece.kind == "arguments":
            self.args += piece.text
            parts = _parts("call", self.args, self.name, not self.called[piece.choice])
            if not parts:
                return b""
            self.called[piece.choice] = True
        return self.response(piece.choice, parts, usage=self.with_usage)

    def broken(self) -> bytes:
        return self.frame(b'{"candidates":[{"content":{"parts":[{"text":"cut')

    def garbled(self) -> bytes:
        text = b'{"candidates":[{"content":{"parts":[{"text":" \xff\xfe\xc3("}],"role":"model"},'
        return self.frame(text + b'"index":0}]' + self.tail)

    def failure(self) -> bytes:
        data = self.frame(compact(self.talk.overloaded()))
        return data + b"]" if self.talk.array else data

    def cut_call(self) -> Iterator[Step]:
        """The frame of the call breaks off inside its arguments."""
        call = compact({"functionCall": {"name": self.name, "args": {"city": "上海"}}})[:-4]
        yield self.frame(b'{"candidates":[{"content":{"parts":[' + call).removesuffix(self.end)

    def closing(self) -> Iterator[Step]:
        ask, wish = self.ask, self.ask.wish
        last = len(self.told.finish) - 1
        for choice, finish in enumerate(self.told.finish):
            word: str | None = _FINISH.get(finish, finish)
            if ask.is_fault("F38"):
                word = "MALFORMED_FUNCTION_CALL"
            part = {"text": ""}
            if wish.reasoning and not self.called[choice]:
                part["thoughtSignature"] = signature("")
            usage = wish.usage not in ("none", "start") and choice == last
            word = None if wish.nodone else word
            held = self.held if choice == last else 0
            yield from self.emit(self.response(choice, [part], word, usage=usage), held)
            if usage and wish.usage == "twice":
                again = compact({"usageMetadata": self.usage_now()})
                yield from self.emit(self.frame(again))
        if wish.linger:
            yield Signal.HOLD
        if ask.is_fault("F30"):
            yield self.response(0, [{"text": ""}], "MAX_TOKENS")
            yield self.response(0, [{"text": " after the end"}], usage=False)
        if self.talk.array and not wish.nodone:
            yield from self.emit((b"" if self.begun else b"[") + b"]")


class CountTokens(GeminiTalk):
    """`:countTokens`"""

    operation = "count_tokens"
    free = True
    streams = False
    fields = frozenset(("contents", "generateContentRequest"))

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        unknown = _unknown(body, self.fields)
        body = _fields(body)
        inner = _fields(body.get("generateContentRequest")) or body
        contents = inner.get("contents")
        if not isinstance(contents, list) or not contents:
            raise Wrong(400, "* CountTokensRequest.contents: contents is not specified")
        received = Conversation()
        received.turn()
        for part in _fields(inner.get("systemInstruction")).get("parts") or ():
            received.system(part.get("text", ""))
        _hear(received, contents)
        for tool in _declared(inner.get("tools") or []):
            received.count(f"{tool.get('name', '')} {tool.get('description', '')}")
        return Question.of(self.model, received, unknown=unknown)

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        total = ask.row.prompt_tokens
        details = [{"modality": "TEXT", "tokenCount": total}]
        return _pretty({"totalTokens": total, "promptTokensDetails": details})


class Embed(GeminiTalk):
    """`:embedContent` and `:batchEmbedContents`; neither says what it counts."""

    streams = False

    def __init__(self, model: str, query: Mapping[str, str], *, batch: bool) -> None:
        super().__init__(model, query)
        self.batch = batch
        self.operation = "batch_embed_contents" if batch else "embed_content"
        one = "content taskType title outputDimensionality model embedContentConfig"
        self.fields = frozenset(("requests",) if batch else one.split())
        self.wanted: list[tuple[str, int | None]] = []

    def read(self, body: dict[str, Any], headers: Mapping[str, str]) -> Question:
        unknown = _unknown(body, self.fields)
        body = _fields(body)
        asked = body.get("requests") if self.batch else [body]
        if not isinstance(asked, list) or not asked:
            raise Wrong(400, "* BatchEmbedContentsRequest.requests: requests is not specified")
        received = Conversation()
        for option in asked:
            one = _fields(option)
            parts = _fields(one.get("content")).get("parts")
            if not isinstance(parts, list) or not parts:
                raise Wrong(400, "* EmbedContentRequest.content: contents is not specified")
            received.turn(user=True)
            text = " ".join(part.get("text", "") for part in parts)
            received.say(text)
            self.wanted.append((text, one.get("outputDimensionality")))
        return Question.of(self.model, received, unknown=unknown)

    def plain(self, ask: Ask, plan: Plan, pieces: list[Piece]) -> bytes:
        results = [{"values": vector(text, size or ask.wish.dims)} for text, size in self.wanted]
        return _pretty({"embeddings": results} if self.batch else {"embedding": results[0]})


def vector(text: str, size: int) -> list[float]:
    """A vector of that length for a text: the same each time, exact as a 32-bit float."""
    results: list[float] = []
    block = 0
    while len(results) < size:
        digest = hashlib.sha256(f"{block}\n{text}".encode()).digest()
        results += [(byte - 128) / 128 for byte in digest]
        block += 1
    return results[:size]


def models(names: tuple[str, ...]) -> dict[str, Any]:
    return {"models": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "description": "A fake",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    }


def listing(body: dict[str, Any]) -> Answer:
    return whole(200, _pretty(body), _JSON)
