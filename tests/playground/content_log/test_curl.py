"""The command that sends a kept request again: a shell makes of it the same bytes."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.content_log.curl import INLINE_MAX, PATHS, curl_command
from relay.endpoints.table import ENDPOINTS, find_endpoint

# In place of curl: its arguments, each before a zero byte.
_ECHO = "curl() { printf '%s\\0' \"$@\"; }; WEIR_API_KEY='se\"cret'; "
_URL = "https://weir.example"


def arguments_of(command: str, shell: str) -> list[bytes]:
    ran = subprocess.run([shell, "-c", _ECHO + command], capture_output=True, check=True)
    return ran.stdout.split(b"\0")[:-1]


def command(body: bytes, operation: str = "chat_completions", model: str = "gpt-5") -> str:
    made = curl_command(_URL, operation, model, body, stream=False, file="body.json")
    assert made is not None
    return made.text


@given(
    st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=60),
    st.sampled_from(["", " ", "\r\n", "\t\n "]),
)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_shell_runs_the_command_to_the_same_bytes(shell: str, words: str, space: str) -> None:
    for ascii in (True, False):
        message = {"model": "gpt-5", "messages": [{"role": "user", "content": words}]}
        body = (space + json.dumps(message, ensure_ascii=ascii, indent=1) + space).encode()
        *_, option, sent = arguments_of(command(body), shell)
        assert (option, sent) == (b"--data-raw", body)


@pytest.mark.parametrize("words", ["'", "'\\''", "$(id)`id`", '"!!"', "\\", "@/etc/passwd", "😀"])
def test_quotes_and_expansions_of_a_shell_stay_text(words: str) -> None:
    body = json.dumps({"model": words, "prompt": words}, ensure_ascii=False).encode()
    url, *middle, _, sent = arguments_of(command(body, "generate_content", words), "sh")
    assert sent == body
    assert middle[:2] == [b"-H", b'Authorization: Bearer se"cret']
    assert url.startswith(b"https://weir.example/v1beta/models/")


def test_large_body_is_read_from_a_file() -> None:
    body = json.dumps({"model": "gpt-5", "input": "a" * INLINE_MAX}).encode()
    made = curl_command(_URL, "responses", "gpt-5", body, stream=True, file="body.json")
    assert made is not None
    assert made.file == "body.json"
    assert made.text.startswith("curl -N https://weir.example/v1/responses ")
    assert made.text.endswith("--data-binary @body.json")


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("messages", b'{"anthropic_version": "bedrock-2023-05-31", "messages": []}'),
        ("transcriptions", b"--boundary\r\n"),
        ("chat_completions", b"\xff\xfe"),
        ("chat_completions", b"[" * 100_000),
        ("unheard_of", b'{"model": "gpt-5"}'),
    ],
)
def test_what_cannot_be_sent_again_has_no_command(operation: str, body: bytes) -> None:
    assert curl_command(_URL, operation, "gpt-5", body, stream=False, file="a") is None


@pytest.mark.parametrize("operation", PATHS)
def test_each_path_leads_to_its_operation(operation: str) -> None:
    path = PATHS[operation].partition("?")[0].replace("{model}", "gpt-5")
    endpoint = find_endpoint(path)
    assert endpoint is not None
    assert endpoint.operation == operation
    assert "POST" in endpoint.methods


def test_every_operation_that_takes_json_has_a_path() -> None:
    ours = [row for path, row in ENDPOINTS.items() if path.startswith("/v1/")]
    taken = {row.operation for row in ours if row.handler.__name__ == "generate"}
    # Forms, and tasks, which the content log does not keep.
    others = {"image_edits", "image_variations", "transcriptions", "translations", "videos",
              "video_generations", "kling_text2video", "kling_image2video"}  # fmt: skip
    assert taken - others <= set(PATHS)
