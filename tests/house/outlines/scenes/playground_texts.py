"""Conversations of the content log."""

import datetime as dt
import json
from typing import Any, Final

from content.log.kept import Kept
from lib import clock
from lib.ids import id_text, new_id
from tests.content.log.entries import ANSWER, keep
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import World
from tests.usage.rows import happen

_READER: Final = "custom reader"
_WHY: Final = {"reason": "A complaint"}
_SYSTEM: Final = {"role": "system", "content": "Answer in one word."}
_PDF: Final = "data:application/pdf;base64,JVBERi0="
_ASKED: Final[list[dict[str, Any]]] = [
    _SYSTEM,
    {"role": "user", "content": [
        {"type": "text", "text": "What is on these?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/weir.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "file", "file": {"filename": "notes.pdf", "file_data": _PDF}},
    ]},
    {"role": "assistant", "content": "A **weir**.", "reasoning_content": "I look.", "tool_calls": [
        {"id": "c", "type": "function",
         "function": {"name": "get_depth", "arguments": '{"at": 3}'}},
    ]},
    {"role": "tool", "tool_call_id": "c", "content": "5 metres"},
    {"role": "user", "content": "How deep?"},
]  # fmt: skip


def _answer(text: str) -> bytes:
    choice = {**ANSWER["choices"][0], "message": {"role": "assistant", "content": text}}
    return json.dumps(ANSWER | {"choices": [choice]}).encode()


def _request(messages: list[dict[str, Any]]) -> bytes:
    return json.dumps({"model": "gpt-5", "messages": messages}).encode()


def _entry(world: World) -> str:
    record = happen(world.places["colleague"].key, clock.now() - dt.timedelta(hours=1))
    keep(
        record,
        Kept(
            _request(_ASKED), _answer("It is *5* metres."), broken=True, error="It broke off.",
            failures=("timed out", "overloaded"),
        ),
        session_id=new_id(),
    )  # fmt: skip
    return f"/o/{world.acme.slug}/requests/{id_text(record.request_id)}/conversation"


def _vectors(world: World) -> str:
    record = happen(world.places["colleague"].key, clock.now() - dt.timedelta(hours=1))
    kept = Kept(
        b'{"input": "Rivers"}', b'{"data": []}', left_out=("answer",), final=b'{"state": "done"}'
    )
    keep(record, kept, operation="embeddings")
    return f"/o/{world.acme.slug}/requests/{id_text(record.request_id)}/conversation"


def _session(world: World) -> str:
    key, session = world.places["colleague"].key, new_id()
    first = [{"role": "user", "content": "List the gates"}]
    more = [*first, {"role": "assistant", "content": "Two gates"},
            {"role": "user", "content": "Close one"}]  # fmt: skip
    branch = [*first, {"role": "assistant", "content": "One gate"},
              {"role": "user", "content": "Open it"}]  # fmt: skip
    other = [_SYSTEM, {"role": "user", "content": "Count boats"}]
    steps = (
        (first, "Two gates"), (more, ""), (more, "Closed"), (branch, "Opened"), (other, "Seven"),
    )  # fmt: skip
    for number, (messages, text) in enumerate(steps):
        agent = {"name": "Mend the weir"} | ({"agent": "mason"} if number else {})
        record = happen(
            key, clock.now() - dt.timedelta(minutes=30 - number), 10**6 * (11 + 2 * number),
            session_id=session, session=agent,
        )  # fmt: skip
        body = _request(messages)
        kept = Kept(body, _answer(text)) if text else Kept(body, error="The upstream is away.")
        keep(record, kept, session_id=session, status=200 if text else 502)
    return f"/o/{world.acme.slug}/sessions/{id_text(session)}/conversation"


SCENES: Final = (
    Scene("conversation with parts of each kind", _entry, _READER, _WHY),
    Scene("conversation before its reason is given", _entry, _READER),
    Scene("conversation without a reason", _entry, _READER, {"reason": " "}),
    Scene("texts of a request that is no chat", _vectors, _READER, _WHY),
    Scene("conversation of a session", _session, _READER, _WHY),
    Scene("conversation of a session without a reason", _session, _READER, {"reason": ""}),
)
