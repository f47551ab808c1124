"""The README's examples run with nothing but the folder and msgspec."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dialects.chat.chat import ChatRequest, Message, Text
from dialects.chat.events import Broken, ToolCallStart, UpstreamError
from dialects.chat.fold import unfold
from dialects.endpoints.codecs import CODECS, TEXT_CODECS
from dialects.json.raw_json import ReadFault
from dialects.translation import (
    AnswerFault,
    Dialect,
    DialectError,
    RequestFault,
    StreamTranslator,
    Target,
    Upstream,
    translate,
    write_error,
)
from tests.dialects import neutral

ROOM = Path(__file__).parents[2] / "dialects"
PAGE = (ROOM / "README.md").read_text()
DIALECTS: tuple[Dialect, ...] = tuple(CODECS)


def run_alone(folder: Path, script: str) -> str:
    """Run a script that can import the standard library, dialects and msgspec, and nothing else."""
    (folder / "dialects").symlink_to(ROOM)
    (folder / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    path = f"import sys\nsys.path.insert(0, {str(folder)!r})\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", path + script],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_readme_examples_print_what_it_says(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE, re.DOTALL)
    assert len(blocks) == 4
    printed = run_alone(tmp_path, "\n".join(code for code, _ in blocks))
    assert printed == "".join(text for _, text in blocks)


def test_every_module_imports_with_msgspec_alone(tmp_path: Path) -> None:
    files = [path for path in ROOM.rglob("*.py") if path.name != "__init__.py"]
    modules = [".".join(path.relative_to(ROOM.parent).with_suffix("").parts) for path in files]
    script = f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
    assert run_alone(tmp_path, script + "print('all')\n") == "all\n"


def request(*, stream: bool) -> ChatRequest:
    return neutral.request(
        Message("user", (Text("How are you?"),)), output_cap=9, stream=stream, include_usage=stream
    )


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_any_dialect_into_any_other(client: Dialect, upstream: Dialect) -> None:
    body = CODECS[client].encode(request(stream=False), Upstream("m")).body
    translated = translate(body, client, upstream, "u", target=Target("m"))
    assert b"How are you?" in translated.body
    upstream_answer = CODECS[upstream].write_answer(
        neutral.answer(Text("Quite well."), finish="stop"), request(stream=False)
    )
    assert b"Quite well." in translated.answer(upstream_answer)
    json.loads(translated.answer(upstream_answer))


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_a_stream_of_any_dialect_into_any_other(client: Dialect, upstream: Dialect) -> None:
    target = Target("m", stream=True)
    body = CODECS[client].encode(request(stream=True), Upstream("m")).body
    translated = translate(body, client, upstream, "u", target=target)
    writer = CODECS[upstream].encoder(request(stream=True), target)
    events = unfold(neutral.answer(Text("Quite well."), finish="stop"))
    frames = [*(writer.feed(event) for event in events), writer.end()]
    if (framing := CODECS[upstream].framing(lambda: 0)) is not None:
        frames = [framing.feed(frame) for frame in frames]
    stream = translated.stream()
    assert b"Quite well." in b"".join(map(stream.feed, frames)) + stream.end()
    assert (stream.failure, stream.complete) == (None, True)

    cut = translated.stream()
    told = b"".join(map(cut.feed, frames[:2])) + cut.end()
    assert b"ended too early" in told
    assert isinstance(cut.failure, Broken)
    assert not cut.complete


def test_both_limits_of_a_model_and_its_flags_are_passed() -> None:
    body = b'{"model":"m","temperature":1.5,"messages":[{"role":"user","content":"Hi"}]}'
    upstream = Upstream("u", frozenset({"temperature_max_1"}), output_cap=7)
    sent = json.loads(translate(body, "openai", "anthropic", upstream).body)
    assert (sent["max_tokens"], sent["temperature"]) == (7, 1)


def test_ids_and_times_come_from_the_caller() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    answer = b'{"type":"message","content":[{"type":"text","text":"A"}],"stop_reason":"end_turn"}'

    def read(**given: Any) -> tuple[str, int]:
        whole = json.loads(translate(body, "openai", "anthropic", "u", **given).answer(answer))
        return whole["id"], whole["created"]

    assert read() == read()
    assert read(request_id="a", received_at=7)[0] != read(request_id="b", received_at=7)[0]
    assert read(request_id="a", received_at=7)[1] == 7


def test_parameters_without_a_counterpart_are_named() -> None:
    body = b'{"model":"m","seed":1,"suffix":"x","messages":[{"role":"user","content":"Hi"}]}'
    assert "seed" in translate(body, "openai", "anthropic", "u").dropped


def test_lone_surrogate_removes_nothing_from_an_answer() -> None:
    """F15a."""
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    answer = (
        rb'{"type":"message","content":[{"type":"text","text":"A\ud83d"}],"stop_reason":"end_turn"}'
    )
    whole = json.loads(translate(body, "openai", "anthropic", "u").answer(answer))
    assert whole["choices"][0]["message"]["content"] == "A\ufffd"


def test_a_stream_that_reports_an_error_ends_with_one() -> None:
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}'
    stream = translate(body, "openai", "anthropic", "u").stream()
    frame = b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'
    told = stream.feed(b"event: error\ndata: " + frame + b"\n\n") + stream.end()
    assert told.count(b'"server_overloaded"') == 1
    assert isinstance(stream.failure, UpstreamError)
    assert stream.quantities.missing


def test_a_stream_can_be_renamed_and_cut_at_its_length() -> None:
    """F18, with two choices of which one has finished."""
    client = CODECS["openai"].encoder(request(stream=True), Target())
    decoder = CODECS["openai"].translating_decoder(request(stream=True), "")
    translator = StreamTranslator(decoder, client, 2, "asked")
    frame = (
        b'{"model":"own","choices":[{"index":0,"delta":{"content":"A"},"finish_reason":"stop"}]}'
    )
    told = b"".join(step.raw for step in translator.feed(b"data: " + frame + b"\n\n"))
    assert b'"model":"asked"' in told
    assert b'"own"' not in told
    ending = translator.cut()
    assert ending.count(b'"finish_reason":"length"') == 1
    assert b'"index":1' in ending
    assert ending.endswith(b"data: [DONE]\n\n")


NAMELESS = {"name": "f", "arguments": "{}"}
OPENAI_CALL = {"choices": [{"index": 0, "delta": {"tool_calls": [{"function": NAMELESS}]}}]}
RESPONSES_CALL = {"output": [{"type": "function_call", **NAMELESS}], "status": "completed"}


@pytest.mark.parametrize(
    ("upstream", "whole", "frame"),
    [
        ("openai", {"choices": [{"message": OPENAI_CALL["choices"][0]["delta"]}]}, OPENAI_CALL),
        ("responses", RESPONSES_CALL,
         {"type": "response.completed", "response": RESPONSES_CALL}),
    ],
)  # fmt: skip
def test_ids_of_calls_differ_between_requests(
    upstream: Dialect, whole: dict[str, Any], frame: dict[str, Any]
) -> None:
    """The gateway makes them. An answer may have no id of its own."""
    codec = CODECS[upstream]
    ids = []
    for request_id in ("r1", "r1", "r2"):
        asked = msgspec.structs.replace(request(stream=True), request_id=request_id)
        answer = codec.translate_answer(json.dumps(whole).encode(), asked, "")
        decoder = codec.translating_decoder(asked, "")
        steps = decoder.feed(b"data: " + json.dumps(frame).encode() + b"\n\n")
        events = [*answer.events, *(event for step in steps for event in step.events)]
        ids.append({event.id for event in events if isinstance(event, ToolCallStart)})
    first, again, other = ids
    assert first == again != other
    assert len(first) == len(other) == 1
    assert all(id_.startswith("call_") for id_ in first | other)


def forwarded(client: Dialect | str, path: dict[str, Any], body: dict[str, Any]) -> Any:
    codec = CODECS[client] if client in CODECS else TEXT_CODECS[client]  # type: ignore[index]
    target = Target(**path)
    return codec, codec.decoder(codec.read(json.dumps(body).encode(), target), target)


PROMPT = {"model": "m", "prompt": "a", "stream": True, "n": 3}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "a"}], "stream": True, "n": 3}
GEMINI = {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"candidateCount": 3}}


@pytest.mark.parametrize(
    ("client", "body", "path", "name", "pieces"),
    [
        ("openai", CHAT, {}, "choices", [{"delta": {"content": "A"}, "finish_reason": "stop"},
                                         {"index": 1, "delta": {"content": "B"}}]),
        ("completions", PROMPT, {}, "choices", [{"text": "A", "finish_reason": "stop"},
                                                {"index": 1, "text": "B"}]),
        ("gemini", GEMINI, {"model": "m", "stream": True}, "candidates",
         [{"content": {"parts": [{"text": "A"}]}, "finishReason": "STOP"},
          {"index": 1, "content": {"parts": [{"text": "B"}]}}]),
    ],
)  # fmt: skip
def test_a_forwarded_stream_of_several_choices_is_cut_at_its_length(
    client: str,
    body: dict[str, Any],
    path: dict[str, Any],
    name: str,
    pieces: list[dict[str, Any]],
) -> None:
    """F18, F30: each choice ends once."""
    codec, decoder = forwarded(client, path, body)
    decoder.feed(b"data: " + json.dumps({name: pieces}).encode() + b"\n\n")
    lines = [line[6:] for line in codec.cut(decoder).splitlines() if line.startswith(b"data: {")]
    ends = [choice for line in lines for choice in json.loads(line)[name]]
    reasons = {choice.get("finish_reason") or choice["finishReason"] for choice in ends}
    assert [choice["index"] for choice in ends] == [1, 2]
    assert reasons in ({"length"}, {"MAX_TOKENS"})
    for at in (1, 2):
        last = pieces[0] | {"index": at}
        decoder.feed(b"data: " + json.dumps({name: [last]}).encode() + b"\n\n")
    assert b"index" not in codec.cut(decoder)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", 502),
        (b"{", 502),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', 503),
    ],
)
def test_failed_answer_becomes_a_client_error(answer: bytes, status: int) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    with pytest.raises(AnswerFault) as caught:
        translate(body, "openai", "anthropic", "u").answer(answer)
    got, raw = write_error("openai", caught.value, request_id="req_1")
    assert (got, json.loads(raw)["request_id"]) == (status, "req_1")


def test_an_error_of_the_upstream_keeps_its_status_code_and_wait() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    fault = translate(body, "openai", "anthropic", "u").read_error(429, {"retry-after": "3"}, b"{}")
    status, raw = write_error("gemini", fault)
    assert (status, json.loads(raw)["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert b'"retryDelay":"3s"' in raw


def test_errors_are_one_tree() -> None:
    assert set(DialectError.__subclasses__()) == {RequestFault, AnswerFault, ReadFault}


def test_unknown_dialect_is_named_with_the_known_ones() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
    with pytest.raises(ValueError, match="'grok': use one of openai, responses, anthropic, gemini"):
        translate(body, "openai", "grok", "u")  # type: ignore[arg-type]


FILES = (
    "codec", "errors", "usage",
    "request/read", "request/decode", "request/encode",
    "answer/decode", "answer/encode", "answer/wire", "answer/events", "answer/finish_reasons",
    "stream/decode", "stream/encode",
)  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_the_same_files(dialect: Dialect) -> None:
    assert [name for name in FILES if not (ROOM / dialect / f"{name}.py").is_file()] == []
    for name in FILES:
        assert f"`{name}`" in PAGE


def test_the_readme_names_existing_files() -> None:
    files = {path.stem for path in ROOM.rglob("*.py")} | {path.name for path in ROOM.rglob("*.py")}
    _, _, named = PAGE.partition("## Where things are")
    for name in re.findall(r"`(?:\.\./)?([a-z_]+(?:\.py)?)`", named):
        assert name in files | {"decode", "encode", "read"}, name
