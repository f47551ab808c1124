"""Code of a request sends exactly this request: each snippet is run.

The shell, the Python and the JavaScript of every call run against a server that keeps what arrives;
each call has a base URL of its own, by which its request is found again. One process of each
language runs all of them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

from gateway.code_examples.realtime_snippets import (
    gemini_live_snippet,
    live_snippet,
    realtime_snippet,
)
from gateway.code_examples.snippets import (
    FORMS,
    LANGUAGES,
    Language,
    SnippetRequest,
    convert_to_form,
    snippet,
)
from reference.operations.all_pages import PAGES
from stack.test_programs import javascript
from tests.fakes.media import form_of
from tests.runner.programs import need_javascript_clients
from tests.support.golden_texts import GoldenTexts

KEY = "sk-weir-key-of-the-environment"
LIMIT_S = 120
HARD = (
    'It\'s "quoted" \\ $HOME `id` $(id) %s {x} ${y}\n\ttab 你好 😀 \u202e\u200b\u2028\x7f\U000e0041'
)
FILE = "a file.bin"
CONTENT = b"\x89PNG\r\n--content"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city, which is given by its name in English",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "__proto__": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]
CHATS: dict[str, dict[str, Any]] = {
    "short": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "hard": {
        "model": 'a/"b"',
        "messages": [{"role": "system", "content": "Brief."}, {"role": "user", "content": HARD}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.3,
        "max_completion_tokens": 50,
        "top_k": 7,
        "max_cost": "0.01",
        "stop": ["'", "--"],
    },
    "tools": {
        "model": "m",
        "messages": [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
        "tools": TOOLS,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "max_tokens": 30_000,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
        },
        "seed": 2**53 - 1,
        "logit_bias": {"5": -1.5},
        "user": "u",
    },
}
OTHERS = {
    "embeddings": SnippetRequest(
        "embeddings",
        "/v1/embeddings",
        {"model": "m", "input": ["a", "b"], "encoding_format": "float"},
    ),
    "moderations": SnippetRequest("moderations", "/v1/moderations", {"model": "m", "input": "x"}),
    "completions": SnippetRequest(
        "completions", "/v1/completions", {"model": "m", "prompt": "x", "top_k": 1}
    ),
    "count_tokens": SnippetRequest(
        "count_tokens",
        "/v1/messages/count_tokens",
        {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    ),
    "responses_input_tokens": SnippetRequest(
        "responses_input_tokens", "/v1/responses/input_tokens", {"model": "m", "input": "x"}
    ),
    "rerank": SnippetRequest(
        "rerank", "/v1/rerank", {"model": "m", "query": "q", "documents": ["a", "b"]}
    ),
    "gemini": SnippetRequest(
        "stream_generate_content",
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": HARD}]}]},
    ),
    "image_generations": SnippetRequest(
        "image_generations", "/v1/images/generations", {"model": "m", "prompt": HARD, "n": 2}
    ),
    "image_edits": SnippetRequest(
        "image_edits", "/v1/images/edits", {"model": "m", "prompt": "x"}, files={"image": FILE}
    ),
    "image_variations": SnippetRequest(
        "image_variations", "/v1/images/variations", {"model": "m"}, files={"image": FILE}
    ),
    "speech": SnippetRequest(
        "speech", "/v1/audio/speech", {"model": "m", "input": "x", "voice": "alloy"}
    ),
    "transcriptions": SnippetRequest(
        "transcriptions",
        "/v1/audio/transcriptions",
        {"model": "m", "language": "en"},
        files={"file": FILE},
    ),
    "translations": SnippetRequest(
        "translations", "/v1/audio/translations", {"model": "m"}, files={"file": FILE}
    ),
    "videos": SnippetRequest(
        "videos", "/v1/videos", {"model": "m", "prompt": "x", "seconds": "4", "size": "1280x720"}
    ),
    "video": SnippetRequest("video", "/v1/videos/video_1", method="GET", argument="video_1"),
    "generations": SnippetRequest(
        "video_generations", "/v1/video/generations", {"model": "m", "prompt": "x", "duration": 4}
    ),
    "kling": SnippetRequest(
        "kling_text2video", "/kling/v1/videos/text2video", {"model_name": "m", "prompt": HARD}
    ),
    "kling-image": SnippetRequest(
        "kling_image2video", "/kling/v1/videos/image2video", {"model_name": "m", "image": "x"}
    ),
    "jimeng": SnippetRequest(
        "jimeng_videos",
        "/jimeng?Action=CVSync2AsyncSubmitTask&Version=2022-08-31",
        {"req_key": "m", "prompt": "x"},
    ),
    "models": SnippetRequest("models", "/v1/models", method="GET"),
    "response": SnippetRequest("response", "/v1/responses/resp_1", method="GET", argument="resp_1"),
    "items": SnippetRequest(
        "response_items", "/v1/responses/resp_1/input_items", method="GET", argument="resp_1"
    ),
    "gone": SnippetRequest("response", "/v1/responses/resp_1", method="DELETE", argument="resp_1"),
}
# The calls of all operations, as the reference shows them. A session is no such call
# (tests/relay/realtime/test_realtime_clients.py, tests/relay/realtime/live/test_live_code.py,
# tests/relay/realtime/gemini_live/test_gemini_live_code.py),
# and what is not offered has no example.
PAGES_CALLED = {
    slug: page
    for slug, page in PAGES.items()
    if slug not in ("realtime", "live", "live-sessions", "not-offered")
}
OF_PAGES = {
    f"page-{slug}": SnippetRequest(
        page.operations[0],
        page.path,
        page.example,
        "POST" if page.example else "GET",
        page.argument,
        page.files,
    )
    for slug, page in PAGES_CALLED.items()
}
CALLS = {
    **{
        f"{name}-{form}": convert_to_form(form, body).request
        for name, body in CHATS.items()
        for form in FORMS
    },
    **OTHERS,
    **OF_PAGES,
}
# What each of them is, where no program runs it: those of pages are in the outlines.
CODES = GoldenTexts(Path(__file__).with_name("codes.txt"))
TEXT = {"type": "text", "text": "hello"}
ANSWERS: dict[str, dict[str, Any]] = {
    "chat/completions": {"choices": [{"message": {"content": "hello"}}]},
    "responses": {
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "hello"}]}]
    },
    "messages": {"content": [TEXT]},
    "count_tokens": {"input_tokens": 1},
    "completions": {"choices": [{"text": "hello"}]},
    "embeddings": {"data": [{"embedding": [0.5]}]},
    "moderations": {"results": [{"flagged": False}]},
    "models": {"object": "list", "data": [{"id": "m"}]},
    "videos": {"id": "video_1", "status": "queued", "progress": 0},
    "video_1": {"id": "video_1", "status": "queued", "progress": 0},
    "input_items": {"object": "list", "data": []},
    "generations": {"created": 1, "data": [{"b64_json": "aGk="}]},
    "edits": {"created": 1, "data": [{"url": "https://a.example"}]},
    "variations": {"created": 1, "data": [{"url": "https://a.example"}]},
    "transcriptions": {"text": "hello"},
    "translations": {"text": "hello"},
}


class Arrived(NamedTuple):
    method: str
    path: str
    authorized: bool
    body: Any


class _Keeping(BaseHTTPRequestHandler):
    arrived: dict[str, Arrived]

    def _answer(self) -> None:
        raw = self._body()
        _, place, path = self.path.split("/", 2)
        body = form_of(raw, {name.lower(): value for name, value in self.headers.items()})
        if body is None and raw:
            body = json.loads(raw)
        inputs = (self.headers.get("authorization", ""), self.headers.get("x-api-key", ""))
        self.arrived[place] = Arrived(
            self.command, f"/{path}", f"Bearer {KEY}" in inputs or KEY in inputs, body
        )
        words = path.split("?")[0].removeprefix("v1/").split("/")
        known = ANSWERS.get("/".join(words)) or ANSWERS.get(words[-1]) or {}
        streams = (isinstance(body, dict) and body.get("stream") is True) or "alt=sse" in path
        message = b"data: [DONE]\n\n" if streams else json.dumps(known).encode()
        if path.endswith("/speech"):
            message = CONTENT
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streams else "application/json")
        self.send_header("content-length", str(len(message)))
        self.end_headers()
        self.wfile.write(message)

    def _body(self) -> bytes:
        """Of a length that is told, or in chunks: a form whose files are read while it is sent."""
        if "content-length" in self.headers or self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        raw = b""
        while size := int(self.rfile.readline(), 16):
            raw += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return raw

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def keeping() -> Iterator[tuple[str, dict[str, Arrived]]]:
    handler = type("Handler", (_Keeping,), {"arrived": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.arrived  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def _write(folder: Path, language: Language, url: str, suffix: str) -> None:
    for name, call in CALLS.items():
        code = snippet(call, language, f"{url}/{language}.{name}")
        (folder / f"{name}{suffix}").write_text(code + "\n")
    for file in {file for call in CALLS.values() for file in call.files.values()}:
        (folder / file).write_bytes(CONTENT)


RUN_PYTHON = """
import pathlib, runpy
for path in sorted(pathlib.Path(".").glob("*.py")):
    runpy.run_path(str(path))
"""
RUN_JAVASCRIPT = """
import { readdirSync } from "node:fs";
for (const name of readdirSync(".").sort()) if (name.endsWith(".mjs")) await import("./" + name);
"""


@pytest.fixture(scope="module")
def arrived(
    keeping: tuple[str, dict[str, Arrived]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Arrived]:
    """What came of all snippets, by language and call."""
    url, arrived = keeping
    need_javascript_clients()
    environment = {"PATH": os.environ["PATH"], "WEIR_API_KEY": KEY, "NO_PROXY": "*"}
    works: tuple[tuple[Language, str, list[str]], ...] = (
        ("curl", ".sh", ["sh", "-ec", "for one in *.sh; do sh -e $one; done"]),
        ("python", ".py", [sys.executable, "-c", RUN_PYTHON]),
        ("javascript", ".mjs", ["node", "--input-type=module", "-e", RUN_JAVASCRIPT]),
    )
    for language, suffix, command in works:
        folder = tmp_path_factory.mktemp(language)
        _write(folder, language, url, suffix)
        (folder / "node_modules").symlink_to(javascript.CLIENTS / "node_modules")
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S
        )
        assert done.returncode == 0, done.stderr
    return arrived


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_code_sends_the_request_that_it_was_made_of(
    arrived: dict[str, Arrived], language: Language, name: str
) -> None:
    call, came = CALLS[name], arrived[f"{language}.{name}"]
    if call.files:
        came = came._replace(
            body={
                name: (value[0], value[2]) if isinstance(value, tuple) else value
                for name, value in came.body.items()
            }
        )
    files = {name: (file, CONTENT) for name, file in call.files.items()}
    body = {**(call.body or {}), **files} if files else call.body
    assert came == Arrived(call.method, call.path, True, body)


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_is_as_a_reader_has_seen_it(language: Language) -> None:
    url, shown = "https://hub.example", {}
    for name, call in CALLS.items():
        if not name.startswith("page-"):
            shown[f"{language}, {name}"] = snippet(call, language, url)
    shown[f"{language}, live"] = live_snippet(language, url, "/v1/live/sessions", "m")
    shown[f"{language}, gemini live"] = gemini_live_snippet(language, url, "/v1beta/live", "m")
    session = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {"output": {"voice": "marin"}},
        "instructions": HARD,
    }
    shown[f"{language}, realtime"] = realtime_snippet(language, url, "/v1/realtime", "m", session)
    CODES.check(language, shown)


def test_chat_is_shown_in_three_forms() -> None:
    body = CHATS["hard"]
    text = convert_to_form("responses", body)
    assert text.request.body is not None
    assert text.request.body["instructions"] == "Brief."
    assert text.request.body["max_output_tokens"] == 50
    assert text.request.body["max_cost"] == "0.01"
    assert "stop" in text.dropped
    claude = convert_to_form("messages", body)
    assert claude.request.body is not None
    assert claude.request.body["system"] == "Brief."
    assert claude.request.body["stop_sequences"] == ["'", "--"]
    assert convert_to_form("chat_completions", body).request.body == body


@pytest.mark.parametrize(
    ("operation", "body", "head"),
    [
        ("chat_completions", {"stream": True}, "curl -N "),
        ("chat_completions", {"stream": False}, "curl https"),
        ("stream_generate_content", {}, "curl -N "),
        ("generate_content", {}, "curl https"),
    ],
)
def test_curl_shows_a_stream_as_it_arrives(operation: str, body: dict[str, Any], head: str) -> None:
    code = snippet(SnippetRequest(operation, "/x", body), "curl", "https://hub.example")
    assert code.replace("'", "").startswith(head)


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_shows_no_key_and_no_invisible_character(language: Language) -> None:
    for call in CALLS.values():
        code = snippet(call, language, "https://hub.example")
        assert "WEIR_API_KEY" in code
        assert not set(code) & set("\u202e\u200b\u2028\x7f\U000e0041")


@pytest.mark.parametrize(
    ("language", "address"),
    [
        ("curl", "https://hub.example/v1beta/live"),
        ("python", "https://hub.example"),
        ("javascript", "wss://hub.example/v1beta/live"),
    ],
)
def test_session_with_gemini_is_opened_at_the_hub(language: Language, address: str) -> None:
    """Google's client adds the path itself."""
    code = gemini_live_snippet(language, "https://hub.example", "/v1beta/live", "m")
    assert any(f"{quote}{address}{quote}" in code for quote in "\"'")
