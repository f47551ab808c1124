"""Hostile texts on their way to a reader: shown, copied, downloaded and opened as texts."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest

from content.log.kept import Kept
from lib import clock
from lib.ids import id_text, new_id
from playground.models import Conversation, Message
from tests.content.log.entries import ANSWER, keep
from tests.playground.content_log.test_opening import player
from tests.playground.hostile import HOSTILE
from tests.support.cast import Cast, make_key, signed_in
from tests.usage.rows import credit, happen
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db

_MORE = ["\x00", "\u202eevil", "a\r\nb\rc", "{{ actor }}{% url 'root' %}", "'; rm -rf ~ #"]
# A request with half a surrogate pair is rejected.
_TEXTS = [text for text in [*HOSTILE, *_MORE] if text == text.encode(errors="ignore").decode()]
# What a page of ours has never, wherever it comes from.
_NEVER = {"iframe", "object", "embed", "base", "video", "audio", "marquee", "style", "math-evil"}


def messages() -> Iterator[dict[str, Any]]:
    for number, text in enumerate(_TEXTS):
        call = {"id": text, "type": "function", "function": {"name": text, "arguments": text}}
        yield {"role": "system", "content": text}
        picture = {"type": "image_url", "image_url": {"url": text}}
        # What a data URL contains is checked before a request is kept.
        pictures = [] if text.startswith("data:") else [picture]
        words = {"type": "text", "text": f"{number} {text}"}
        yield {"role": "user", "content": [words, *pictures]}
        yield {"role": "assistant", "content": text, "reasoning_content": text,
               "tool_calls": [call]}  # fmt: skip
        yield {"role": "tool", "tool_call_id": text, "content": text}


def hostile(people: Cast) -> tuple[UsageRecord, UUID]:
    """A kept request of a session: everything in it is hostile, its answer too."""
    key, _ = make_key(people.core, "agent", user=people.alice)
    credit(key)
    session = new_id()
    record = happen(key, clock.now() - dt.timedelta(minutes=5), session_id=session)
    body = json.dumps({"model": "gpt-5", "messages": list(messages())}).encode()
    choice = {
        **ANSWER["choices"][0],
        "message": {"role": "assistant", "content": "\n\n".join(_TEXTS)},
    }
    answer = json.dumps(ANSWER | {"choices": [choice]}).encode()
    keep(record, Kept(body, answer, error=_TEXTS[0]), session_id=session)
    return record, session


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.handlers: list[str] = []
        self.never: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.never += [tag] if tag in _NEVER else []
        for name, value in attrs:
            self.handlers += [name] if re.match(r"on|hx-on|data-hx|style$", name) else []
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "srcset", "action", "hx-get", "hx-post"):
                self.loads.append(value or "")


def assert_harmless(page: str) -> None:
    elements = _Elements()
    elements.feed(page)
    assert elements.handlers == []
    assert elements.never == []
    assert [url for url in elements.loads if not url.startswith("/")] == []
    assert [
        url for url in elements.links if re.match(r"\s*(javascript|data|vbscript)", url, re.I)
    ] == []


def test_pages_show_hostile_texts_as_texts(people: Cast) -> None:
    player(people)
    record, session = hostile(people)
    browser = signed_in(people.bob)
    for page in (f"requests/{id_text(record.request_id)}", f"sessions/{id_text(session)}"):
        shown = browser.post(f"/o/acme/{page}/conversation", {"reason": "a <b>reason</b>"})
        assert shown.status_code == 200
        body = shown.content.decode()
        assert "window.pwned" in body
        assert_harmless(body)


def test_files_contain_hostile_texts_unchanged(people: Cast) -> None:
    player(people)
    record, session = hostile(people)
    browser = signed_in(people.bob)
    for page in (f"requests/{id_text(record.request_id)}", f"sessions/{id_text(session)}"):
        data = {"reason": "why", "file": "lines"}
        content = browser.post(f"/o/acme/{page}/conversation", data).content
        (line,) = [json.loads(one) for one in content.split(b"\n") if one]
        assert json.loads(line["request"])["messages"] == list(messages())
    data = {"reason": "why", "file": "body"}
    url = f"/o/acme/requests/{id_text(record.request_id)}/conversation"
    answer = browser.post(url, data)
    assert json.loads(answer.content)["messages"] == list(messages())
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment;")


def test_command_in_the_page_is_the_command(people: Cast) -> None:
    player(people)
    key, _ = make_key(people.core, "agent", user=people.alice)
    credit(key)
    record = happen(key, clock.now() - dt.timedelta(minutes=5))
    for_shell = "\"> <img src=x onerror=alert(1)> ' \u2028 😀"
    body = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": for_shell}]},
                      ensure_ascii=False, indent=1).replace("\n", "\r\n")  # fmt: skip
    keep(record, Kept(body.encode()))
    url = f"/o/acme/requests/{id_text(record.request_id)}/conversation"
    page = signed_in(people.bob).post(url, {"reason": "why"}).content.decode()
    copied: list[str] = []

    class Buttons(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            copied.extend(value or "" for name, value in attrs if name == "data-copy-text")

    Buttons().feed(page)
    (command,) = [text for text in copied if text.startswith("curl")]
    assert body.replace("'", "'\\''") in command
    assert '"Authorization: Bearer $WEIR_API_KEY"' in command
    assert_harmless(page)


def test_hostile_request_opens_as_a_chat(people: Cast) -> None:
    player(people)
    record, _ = hostile(people)
    browser = signed_in(people.bob)
    url = f"/o/acme/requests/{id_text(record.request_id)}/conversation/open"
    answer = browser.post(url, {"reason": "why"})
    assert answer.status_code in (302, 303)
    assert Message.objects.filter(conversation=Conversation.objects.get()).count() > len(_TEXTS)
    assert_harmless(browser.get(answer["Location"]).content.decode())
