"""The page for strangers stays true: its example runs with nothing of ours but the folder."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from dialects.chat.chat import ChatRequest, Dialect, Message, Text, Upstream
from dialects.chat.fold import unfold
from dialects.codec import Target
from dialects.codecs import CODECS
from tests.dialects import neutral

ROOM = Path(__file__).parents[2] / "dialects"
PAGE = (ROOM / "README.md").read_text()
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)


def block(language: str) -> str:
    (match,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(match)


def test_the_example_prints_what_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "dialects").symlink_to(ROOM)
    (tmp_path / "example.py").write_text(block("python"))
    done = subprocess.run(
        [sys.executable, "-B", "example.py"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == block("text")


def request(*, stream: bool) -> ChatRequest:
    return neutral.request(
        Message("user", (Text("How are you?"),)), output_cap=9, stream=stream, include_usage=stream
    )


@pytest.fixture(scope="module")
def translation() -> Any:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    return names["Translation"]


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_any_dialect_into_any_other(translation: Any, client: Dialect, upstream: Dialect) -> None:
    body = CODECS[client].encode(request(stream=False), Upstream("m")).body
    translated = translation(body, client, upstream, "u", Target("m"))
    assert b"How are you?" in translated.encoded.body
    upstream_answer = CODECS[upstream].write_answer(
        neutral.answer(Text("Quite well."), finish="stop"), request(stream=False)
    )
    assert b"Quite well." in translated.answer(upstream_answer)
    json.loads(translated.answer(upstream_answer))


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_a_stream_of_any_dialect_into_any_other(
    translation: Any, client: Dialect, upstream: Dialect
) -> None:
    target = Target("m", stream=True)
    body = CODECS[client].encode(request(stream=True), Upstream("m")).body
    translated = translation(body, client, upstream, "u", target)
    writer = CODECS[upstream].encoder(request(stream=True), target)
    events = unfold(neutral.answer(Text("Quite well."), finish="stop"))
    frames = [*(writer.feed(event) for event in events), writer.end()]
    assert b"Quite well." in b"".join(translated.stream(frames))
    assert b"broke off" in b"".join(translated.stream(frames[:2]))


FACE = (
    "codec", "request_read", "request_decode", "request_encode", "answer_decode", "answer_encode",
    "stream_decode", "stream_encode", "errors", "usage", "wire",
)  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_the_same_files(dialect: Dialect) -> None:
    assert [name for name in FACE if not (ROOM / dialect / f"{name}.py").is_file()] == []
    for name in FACE:
        assert f"`{name}" in PAGE


def test_what_the_page_names_is_there() -> None:
    files = {path.stem for path in ROOM.rglob("*.py")} | {path.name for path in ROOM.rglob("*.py")}
    _, _, named = PAGE.partition("## Where things are")
    for name in re.findall(r"`(?:\.\./)?([a-z_]+(?:\.py)?)`", named):
        assert name in files | {"decode", "encode", "read"}, name
