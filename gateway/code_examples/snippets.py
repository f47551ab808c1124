"""A request as code that sends exactly this request: curl, Python and JavaScript.

Python and JavaScript use the provider's own client if it has a method for the operation, and a
plain HTTP call otherwise. The key is never in the code, which reads it from `WEIR_API_KEY`.

    SnippetRequest       the request: operation, path, body as read from JSON
    convert_to_form      converts a body of Chat Completions to another chat form
    snippet              returns a request as code

JavaScript has no integers above 2**53: its snippet sends a larger one in a body rounded.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from dialects.anthropic.request import encode as messages
from dialects.chat.chat import Upstream
from dialects.openai.request import decode as chat_completions
from dialects.responses.request import encode as responses
from gateway.code_examples.literals import literal, text_literal
from gateway.code_examples.realtime_snippets import (
    TEXT_SESSION,
    gemini_live_snippet,
    live_snippet,
    realtime_snippet,
)

Language = Literal["curl", "python", "javascript"]
Form = Literal["chat_completions", "responses", "messages"]
LANGUAGES: Final[tuple[Language, ...]] = ("curl", "python", "javascript")
FORMS: Final[tuple[Form, ...]] = ("chat_completions", "responses", "messages")
KEY_NAME: Final = "WEIR_API_KEY"

# The client refuses a request whose answer it expects to take more than ten minutes, unless a
# timeout is set (@anthropic-ai/sdk and anthropic, `calculateNonstreaming…`).
_PATIENT_ABOVE_TOKENS: Final = 8_192
_PATIENCE_S: Final = 1_800
_PLAIN_WORD: Final = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class SnippetRequest:
    """A request: `operation` as in usage records, `path` below the base URL. `argument` is the
    path's parameter (a model, a response) for the clients' methods. With `files` (names by form
    field), the members of the body are the other form fields."""

    operation: str
    path: str
    body: Mapping[str, Any] | None = None
    method: str = "POST"
    argument: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        """Whether the answer is streamed as events."""
        return self.operation == "stream_generate_content" or (
            self.body is not None and self.body.get("stream") is True
        )


@dataclass(frozen=True, slots=True)
class Formed:
    """A request in a chat form, and the parameters that this form cannot express."""

    request: SnippetRequest
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Method:
    """How a client library is called, and how its result is read. `known` are Python's parameters;
    others go into `extra_body`. JavaScript sends the body as it is."""

    client: Literal["openai", "anthropic"]
    python: str
    javascript: str
    known: frozenset[str] = frozenset()
    python_read: str = "print(answer)"
    javascript_read: str = "console.log(answer);"
    python_events: str = ""
    javascript_events: str = ""
    # Whether the JavaScript code reads or writes files, and where curl stores an answer.
    uses_files: bool = False
    written_to: str = ""


def _name_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CHAT: Final = _Method(
    client="openai",
    python="client.chat.completions.create",
    javascript="client.chat.completions.create",
    known=_name_set(
        "messages model audio frequency_penalty function_call functions logit_bias logprobs"
        " max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction"
        " presence_penalty prompt_cache_key reasoning_effort response_format safety_identifier seed"
        " service_tier stop store stream stream_options temperature tool_choice tools top_logprobs"
        " top_p user verbosity web_search_options"
    ),
    python_read="print(answer.choices[0].message.content)",
    javascript_read="console.log(answer.choices[0].message.content);",
    python_events="for chunk in stream:\n"
    "    if chunk.choices:\n"
    '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
    javascript_events="for await (const chunk of stream) {\n"
    '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");\n'
    "}",
)
_RESPONSES: Final = _Method(
    client="openai",
    python="client.responses.create",
    javascript="client.responses.create",
    known=_name_set(
        "background conversation include input instructions max_output_tokens max_tool_calls"
        " metadata model parallel_tool_calls previous_response_id prompt prompt_cache_key reasoning"
        " safety_identifier service_tier store stream stream_options temperature text tool_choice"
        " tools top_logprobs top_p truncation user"
    ),
    python_read="print(answer.output_text)",
    javascript_read="console.log(answer.output_text);",
    python_events="for event in stream:\n"
    '    if event.type == "response.output_text.delta":\n'
    '        print(event.delta, end="", flush=True)',
    javascript_events="for await (const event of stream) {\n"
    '  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);\n'
    "}",
)
_MESSAGES: Final = _Method(
    client="anthropic",
    python="client.messages.create",
    javascript="client.messages.create",
    known=_name_set(
        "max_tokens messages model cache_control container metadata output_config service_tier"
        " stop_sequences stream system thinking tool_choice tools"
    ),
    python_read=(
        'for part in answer.content:\n    if part.type == "text":\n        print(part.text)'
    ),
    javascript_read=(
        "for (const part of answer.content) {\n"
        '  if (part.type === "text") console.log(part.text);\n}'
    ),
    python_events="for event in stream:\n"
    '    if event.type == "content_block_delta" and event.delta.type == "text_delta":\n'
    '        print(event.delta.text, end="", flush=True)',
    javascript_events="for await (const event of stream) {\n"
    '  if (event.type === "content_block_delta" && event.delta.type === "text_delta") {\n'
    "    process.stdout.write(event.delta.text);\n"
    "  }\n"
    "}",
)


def _pictures(method: str, known: str) -> _Method:
    javascript = {"create_variation": "createVariation"}.get(method, method)
    return _Method(
        "openai",
        f"client.images.{method}",
        f"client.images.{javascript}",
        _name_set(known),
        "print(answer.data[0].url or len(answer.data[0].b64_json))",
        "console.log(answer.data[0].url ?? answer.data[0].b64_json.length);",
        uses_files=method != "generate",
    )


def _transcription_method(method: str) -> _Method:
    return _Method(
        "openai",
        f"client.audio.{method}.create",
        f"client.audio.{method}.create",
        _name_set(
            "file model chunking_strategy include language prompt response_format stream"
            " temperature timestamp_granularities"
        ),
        "print(answer.text)",
        "console.log(answer.text);",
        uses_files=True,
    )


_METHODS: Final[Mapping[str, _Method]] = {
    "chat_completions": _CHAT,
    "responses": _RESPONSES,
    "responses_compact": _Method(
        "openai",
        "client.responses.compact",
        "client.responses.compact",
        _name_set("model input instructions previous_response_id prompt_cache_key"),
        "print(answer.output)",
        "console.log(answer.output);",
    ),
    "responses_input_tokens": _Method(
        "openai",
        "client.responses.input_tokens.count",
        "client.responses.inputTokens.count",
        _name_set(
            "model conversation input instructions parallel_tool_calls previous_response_id"
            " reasoning text tool_choice tools truncation"
        ),
        "print(answer.input_tokens)",
        "console.log(answer.input_tokens);",
    ),
    "messages": _MESSAGES,
    "count_tokens": _Method(
        "anthropic",
        "client.messages.count_tokens",
        "client.messages.countTokens",
        _name_set("messages model cache_control output_config system thinking tool_choice tools"),
        "print(answer.input_tokens)",
        "console.log(answer.input_tokens);",
    ),
    "client_secret": _Method(
        client="openai",
        python="client.realtime.client_secrets.create",
        javascript="client.realtime.clientSecrets.create",
        known=_name_set("expires_after session"),
        python_read="print(answer.value)",
        javascript_read="console.log(answer.value);",
    ),
    "completions": _Method(
        client="openai",
        python="client.completions.create",
        javascript="client.completions.create",
        known=_name_set(
            "model prompt best_of echo frequency_penalty logit_bias logprobs max_tokens n"
            " presence_penalty seed stop stream stream_options suffix temperature top_p user"
        ),
        python_read="print(answer.choices[0].text)",
        javascript_read="console.log(answer.choices[0].text);",
        python_events="for chunk in stream:\n"
        "    if chunk.choices:\n"
        '        print(chunk.choices[0].text, end="", flush=True)',
        javascript_events="for await (const chunk of stream) {\n"
        '  process.stdout.write(chunk.choices[0]?.text ?? "");\n'
        "}",
    ),
    "embeddings": _Method(
        "openai",
        "client.embeddings.create",
        "client.embeddings.create",
        _name_set("input model dimensions encoding_format user"),
        "print(len(answer.data[0].embedding))",
        "console.log(answer.data[0].embedding.length);",
    ),
    "moderations": _Method(
        "openai",
        "client.moderations.create",
        "client.moderations.create",
        _name_set("input model"),
        "print(answer.results[0].flagged)",
        "console.log(answer.results[0].flagged);",
    ),
    "image_generations": _pictures(
        "generate",
        "model prompt background moderation n output_compression"
        " output_format partial_images quality response_format size stream style user",
    ),
    "image_edits": _pictures(
        "edit",
        "image prompt background input_fidelity mask model n"
        " output_compression output_format partial_images quality response_format size stream user",
    ),
    "image_variations": _pictures("create_variation", "image model n response_format size user"),
    "speech": _Method(
        "openai",
        "client.audio.speech.create",
        "client.audio.speech.create",
        _name_set("input model voice instructions response_format speed stream_format"),
        'answer.write_to_file("speech.mp3")',
        'fs.writeFileSync("speech.mp3", Buffer.from(await answer.arrayBuffer()));',
        uses_files=True,
        written_to="speech.mp3",
    ),
    "transcriptions": _transcription_method("transcriptions"),
    "translations": _transcription_method("translations"),
    "models": _Method(
        "openai",
        "client.models.list",
        "client.models.list",
        python_read="for model in answer:\n    print(model.id)",
        javascript_read="for await (const model of answer) console.log(model.id);",
    ),
    "model": _Method("openai", "client.models.retrieve", "client.models.retrieve"),
    "response": _Method("openai", "client.responses.retrieve", "client.responses.retrieve"),
    "videos": _Method(
        "openai",
        "client.videos.create",
        "client.videos.create",
        _name_set("prompt input_reference model seconds size"),
        "print(answer.id, answer.status)",
        "console.log(answer.id, answer.status);",
    ),
    "video": _Method(
        "openai",
        "client.videos.retrieve",
        "client.videos.retrieve",
        python_read="print(answer.status, answer.progress)",
        javascript_read="console.log(answer.status, answer.progress);",
    ),
    "response_items": _Method(
        "openai",
        "client.responses.input_items.list",
        "client.responses.inputItems.list",
        python_read="for item in answer:\n    print(item)",
        javascript_read="for await (const item of answer) console.log(item);",
    ),
}
_PATHS: Final[Mapping[Form, str]] = {
    "chat_completions": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}


def convert_to_form(form: Form, body: Mapping[str, Any]) -> Formed:
    """Convert a Chat Completions body to a request in `form`, with the relay's codecs. Raises
    RequestFault for an invalid body, and for a request that the form cannot express."""
    if form == "chat_completions":
        return Formed(SnippetRequest(form, _PATHS[form], body))
    request = chat_completions.decode(msgspec.json.encode(body), request_id="", received_at=0)
    upstream = Upstream(str(body["model"]))
    encode = responses.encode if form == "responses" else messages.encode
    encoded = encode(request, upstream)
    members: dict[str, Any] = json.loads(encoded.body)
    if "max_cost" in body:  # Weir's own field, which every form has
        members["max_cost"] = body["max_cost"]
    return Formed(SnippetRequest(form, _PATHS[form], members), encoded.dropped)


def snippet(request: SnippetRequest, language: Language, base_url: str) -> str:
    """Return the code. `base_url` excludes the API's path (`https://hub.example`)."""
    if request.operation == "realtime":
        return realtime_snippet(
            language, base_url, request.path, request.argument, request.body or TEXT_SESSION
        )
    if request.operation == "live_sessions":
        return live_snippet(language, base_url, request.path, request.argument)
    if request.operation == "live_session":
        return gemini_live_snippet(language, base_url, request.path, request.argument)
    if language == "curl":
        return _curl(request, base_url)
    method = _METHODS.get(request.operation) if request.method in ("GET", "POST") else None
    if language == "python":
        return _python(request, base_url, method) if method else _httpx_python(request, base_url)
    return (
        _javascript(request, base_url, method)
        if method
        else _javascript_with_fetch(request, base_url)
    )


def _curl(request: SnippetRequest, base_url: str) -> str:
    head = "curl -N" if request.streams else "curl"
    if request.method not in ("GET", "POST"):
        head += f" -X {request.method}"
    lines = [
        f"{head} {quote_word(base_url + request.path)}",
        f'  -H "Authorization: Bearer ${KEY_NAME}"',
    ]
    if request.files:
        lines += [f"  -F {quote_word(f'{name}=@{file}')}" for name, file in request.files.items()]
        lines += [
            f"  -F {quote_word(f'{name}={value}')}" for name, value in (request.body or {}).items()
        ]
    elif request.body is not None:
        payload = literal(request.body, "json", used=6)
        lines += ['  -H "Content-Type: application/json"', f"  -d {quote_word(payload)}"]
    method = _METHODS.get(request.operation)
    if method is not None and method.written_to:
        lines.append(f"  --output {method.written_to}")
    return " \\\n".join(lines)


def quote_word(text: str) -> str:
    """Quote one word for a POSIX shell."""
    return text if _PLAIN_WORD.fullmatch(text) else "'" + text.replace("'", "'\\''") + "'"


# The providers' clients --------------------------------------------------------------------------


def _python(request: SnippetRequest, base_url: str, method: _Method) -> str:
    name = {"openai": "OpenAI", "anthropic": "Anthropic"}[method.client]
    arguments = []
    if request.argument:
        arguments.append(text_literal(request.argument, "python"))
    for part, file in request.files.items():
        arguments.append(f'{part}=open({text_literal(file, "python")}, "rb")')
    more = {}
    for member, value in (request.body or {}).items():
        if member in method.known:
            arguments.append(f"{member}={literal(value, 'python', depth=1, used=len(member) + 2)}")
        else:
            more[member] = value
    if more:
        arguments.append(f"extra_body={literal(more, 'python', depth=1, used=12)}")
    if _needs_long_timeout(request, method):
        arguments.append(f"timeout={_PATIENCE_S}")
    target = "stream" if request.streams else "answer"
    return "\n".join(
        [
            "import os",
            "",
            f"from {method.client} import {name}",
            "",
            f"client = {name}(",
            f"    base_url={text_literal(_client_url(base_url, method), 'python')},",
            f'    api_key=os.environ["{KEY_NAME}"],',
            ")",
            f"{target} = {method.python}({_join_arguments(arguments, '    ')})",
            method.python_events if request.streams else method.python_read,
        ]
    )


def _javascript(request: SnippetRequest, base_url: str, method: _Method) -> str:
    name, package = {
        "openai": ("OpenAI", "openai"),
        "anthropic": ("Anthropic", "@anthropic-ai/sdk"),
    }[method.client]
    arguments = []
    if request.argument:
        arguments.append(text_literal(request.argument, "javascript"))
    if request.files:
        arguments.append(_javascript_form_members(request))
    elif request.body is not None:
        arguments.append(literal(request.body, "javascript", used=len(method.javascript) + 24))
    if _needs_long_timeout(request, method):
        arguments.append(f"{{ timeout: {_PATIENCE_S}_000 }}")
    target = "stream" if request.streams else "answer"
    imports = ['import fs from "node:fs";', ""] if method.uses_files else []
    return "\n".join(
        [
            *imports,
            f'import {name} from "{package}";',
            "",
            f"const client = new {name}({{",
            f"  baseURL: {text_literal(_client_url(base_url, method), 'javascript')},",
            f"  apiKey: process.env.{KEY_NAME},",
            "});",
            f"const {target} = await {method.javascript}({', '.join(arguments)});",
            method.javascript_events if request.streams else method.javascript_read,
        ]
    )


def _javascript_form_members(request: SnippetRequest) -> str:
    """Return the members of a form in JavaScript."""
    lines = [
        f"  {name}: fs.createReadStream({text_literal(file, 'javascript')}),"
        for name, file in request.files.items()
    ]
    lines += [
        f"  {name}: {literal(value, 'javascript', depth=1)},"
        for name, value in (request.body or {}).items()
    ]
    return "\n".join(["{", *lines, "}"])


def _client_url(base_url: str, method: _Method) -> str:
    return base_url if method.client == "anthropic" else f"{base_url}/v1"


def _needs_long_timeout(request: SnippetRequest, method: _Method) -> bool:
    cap = (request.body or {}).get("max_tokens")
    return (
        method is _MESSAGES
        and not request.streams
        and isinstance(cap, int)
        and cap > _PATIENT_ABOVE_TOKENS
    )


def _join_arguments(arguments: list[str], indent: str) -> str:
    if len(arguments) < 2 and not any("\n" in argument for argument in arguments):
        return ", ".join(arguments)
    return "\n" + "".join(f"{indent}{argument},\n" for argument in arguments)


# Operations without a client method -------------------------------------------------------------


def _httpx_python(request: SnippetRequest, base_url: str) -> str:
    arguments = [
        text_literal(base_url + request.path, "python"),
        f'headers={{"Authorization": f"Bearer {{os.environ[\'{KEY_NAME}\']}}"}}',
    ]
    if request.body is not None:
        arguments.append(f"json={literal(request.body, 'python', depth=1, used=6)}")
    arguments.append("timeout=600")
    head = "import os\n\nimport httpx\n\n"
    if request.streams:
        laid = _join_arguments(['"POST"', *arguments], "    ")
        return (
            f"{head}with httpx.stream({laid}) as answer:\n"
            "    for line in answer.iter_lines():\n"
            "        print(line)"
        )
    laid = _join_arguments(arguments, "    ")
    return f"{head}answer = httpx.{request.method.lower()}({laid})\nprint(answer.json())"


def _javascript_with_fetch(request: SnippetRequest, base_url: str) -> str:
    lines = [
        f"const answer = await fetch({text_literal(base_url + request.path, 'javascript')}, {{",
    ]
    if request.method != "GET":
        lines.append(f'  method: "{request.method}",')
    lines.append("  headers: {")
    lines.append(f"    Authorization: `Bearer ${{process.env.{KEY_NAME}}}`,")
    if request.body is not None:
        lines.append('    "Content-Type": "application/json",')
    lines.append("  },")
    if request.body is not None:
        body = literal(request.body, "javascript", depth=1, used=24)
        lines.append(f"  body: JSON.stringify({body}),")
    lines.append("});")
    if request.streams:
        lines.append("for await (const bytes of answer.body) process.stdout.write(bytes);")
    else:
        lines.append("console.log(await answer.json());")
    return "\n".join(lines)
