"""What the playground answers to what a person does: where it leads, which toast it shows, what it
asks of the relay, and what takes the place of what was there."""

import datetime as dt
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from html import escape
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from content.prompts.settings import Settings
from dialects.errors.errors import RequestFault
from lib import clock
from lib.ids import id_text, new_id
from lib.network.egress import Unreachable
from playground.attachments import attachments
from playground.chats.export_format import write_file
from playground.chats.export_import import export_conversation
from playground.chats.sharing import revoke_link, share_branch
from playground.conversations.conversations import delete_conversation, delete_message
from playground.models import Conversation, Message, Run, RunState
from playground.panel.presets import save_preset
from relay.errors import DatabaseAway
from relay.upstream.failures import UpstreamFailed
from tests.house.outlines.outline import below_the_banners, outline_of
from tests.house.outlines.scenes.playground_media import (
    _MODELS as _MEDIA,
)
from tests.house.outlines.scenes.playground_media import (
    _made,
    _task,
)
from tests.house.outlines.scenes.playground_pages import (
    _MODELS,
    _compared,
    _full_chat,
    _prompt,
)
from tests.house.outlines.scenes.scene import Scene
from tests.house.outlines.scenes.talk import Talk, charged, place_of, serve
from tests.isolation.who import Who
from tests.isolation.world import World
from tests.playground.asking import (
    JSON,
    STREAM,
    PlannedRelay,
    Visitor,
    chunks,
    outcome,
    said,
    toast_of,
    whole,
)
from tests.support.cast import actor
from tests.usage.rows import happen

_HEADERS: Final = (
    "Location", "HX-Redirect", "HX-Push-Url", "HX-Retarget", "HX-Reswap", "Content-Disposition",
    "Content-Range", "Accept-Ranges", "Permissions-Policy", "X-Robots-Tag", "X-Accel-Buffering",
    "x-weir-hold",
)  # fmt: skip
_USUAL: Final = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "private, no-store"}
_POLICY: Final = "default-src 'none'"
_AT: Final = re.compile(r"at=[^\"&\s]+")
# What a message has below it is in other scenes.
_LEFT_OUT: Final = (
    "<article", "<button", "<form", "<header", "<input name=as_before", "<input name=conversation",
    "<input name=model", "<input name=retry", "<input name=token", "<time",
)  # fmt: skip
Form = Mapping[str, Any]
# What a scene begins with: an address and a form.
Begin = Callable[[World], tuple[str, Form]]


def _text_of(answer: Any, relay: PlannedRelay, *, shows: bool) -> str:
    """What an answer says, as elements of HTML for an outline."""
    lines = [str(answer.status_code)]
    lines += [f"{name}: {answer[name]}" for name in _HEADERS if name in answer]
    lines += [f"{name}: {answer[name]}" for name, usual in _USUAL.items()
              if name in answer and answer[name] != usual]  # fmt: skip
    policy = answer.get("Content-Security-Policy", "")
    if policy.startswith((_POLICY, "sandbox")):
        lines.append(f"Content-Security-Policy: {policy}")
    trigger = answer.get("HX-Trigger", "")
    if toast := toast_of(answer) if trigger.startswith("{") else {}:
        events = [name for name in json.loads(trigger) if name != "toast"]
        lines.append(f"toast {json.dumps(toast, ensure_ascii=False)} {' '.join(events)}")
    elif trigger:
        lines.append(f"triggers {trigger}")
    lines += [f"message: {text}" for text in said(answer)]
    lines += _asked(relay.bounds, answer) + _asked(relay.calls, answer)
    text = (answer.whole if answer.streaming else answer.content).decode(errors="replace")
    body = ""
    if shows and "<hx-partial" in text:
        plain = re.sub(r"^data: ?", "", text, flags=re.MULTILINE)
        lines += [line for line in outline_of(f"<div>{plain}") if not line.startswith(_LEFT_OUT)]
    elif shows and "<" in text:
        body = below_the_banners(text)
    elif shows and text:
        lines.append(text)
    return "".join(f"<p>{escape(_AT.sub('at=◷', line))}</p>" for line in lines) + body


def _asked(calls: Sequence[Mapping[str, Any]], answer: Any) -> list[str]:
    """What the relay was asked, in no order: several may ask at once."""
    person = answer.asgi_request.user.pk
    named = [{name: value == person if name == "user" else value for name, value in call.items()}
             for call in calls]  # fmt: skip
    return sorted(f"asks {json.dumps(call, default=str)}" for call in named)


def _act(
    begin: Begin,
    *,
    htmx: bool = True,
    shows: bool = True,
    relay: Callable[[], PlannedRelay] = PlannedRelay,
    role: str = "owner",
    get: bool = False,
    **headers: str,
) -> Callable[[World], str]:
    def make(world: World) -> str:
        path, form = begin(world)
        visitor = Visitor(world.clients[Who(role)], relay())
        named = ({"hx_request": "true"} if htmx else {}) | headers
        answer = visitor.get(path, **named) if get else visitor.post(path, form, **named)
        return _text_of(answer, visitor.relay, shows=shows)

    return make


def _both(title: str, begin: Begin, **over: Any) -> list[Scene]:
    """The act as htmx sends it, and as a browser without scripts does."""
    return [
        Scene(title, _act(begin, **over)),
        Scene(f"{title}, without scripts", _act(begin, htmx=False, shows=False, **over)),
    ]


def _at(name: str, world: World, *arguments: Any) -> str:
    return reverse(name, args=[world.acme.slug, *arguments])


def _to(name: str, form: Form | None = None, *, models: Any = None) -> Begin:
    """An act at an address without an object; `models` are served then."""

    def begin(world: World) -> tuple[str, Form]:
        if models:
            serve(models)
        return _at(name, world), form or {}

    return begin


def _talk(world: World, **fields: Any) -> Talk:
    talk = Talk(place_of(world), "A chat", **fields)
    talk.ask("How deep?")
    talk.answer("Deep.", charged(11_000_000))
    Conversation.objects.filter(id=talk.chat.id).update(leaf=talk.last)
    return talk


def _of_chat(name: str, form: Form | None = None, **fields: Any) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        return _at(name, world, id_text(_talk(world, **fields).chat.id)), form or {}

    return begin


def _of_answer(name: str, form: Form | None = None, **fields: Any) -> Begin:
    """An act on the answer of a chat."""

    def begin(world: World) -> tuple[str, Form]:
        last = _talk(world, **fields).last
        assert last is not None
        return _at(name, world, last.text_id), form or {}

    return begin


# Chats ------------------------------------------------------------------------------------------


def _restored_chat(world: World) -> tuple[str, Form]:
    talk = _talk(world)
    delete_conversation(talk.chat)
    return _at("chat_restore", world, id_text(talk.chat.id)), {}


def _restored_message(world: World) -> tuple[str, Form]:
    last = _talk(world).last
    assert last is not None
    delete_message(last)
    return _at("message_restore", world, last.text_id), {}


def _renamed(world: World) -> str:
    """The chat is open beside its list."""
    path, form = _of_chat("chat_change", {"title": "Locks"})(world)
    page = path.removesuffix("/change")
    begin: Begin = lambda _: (path, form)  # noqa: E731
    return _act(begin, hx_current_url=f"http://testserver{page}")(world)


def _imported(*titles: str) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        chats = [write_file(export_conversation(_talk(world).chat)) | {"title": title}
                 for title in titles]  # fmt: skip
        document = chats[0] if len(chats) == 1 else {"weir_chats": 1, "chats": chats}
        file = SimpleUploadedFile("chats.json", json.dumps(document).encode())
        return _at("chat_import", world), {"chat": file}

    return begin


def _file(data: bytes) -> Form:
    return {"chat": SimpleUploadedFile("chats.json", data)}


def _changed_many(act: str, **more: str) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        ids = [id_text(_talk(world).chat.id) for _ in range(2)]
        _talk(world)
        return _at("history_change", world), {"act": act, "id": ids, **more}

    return begin


def _all_changed(world: World) -> tuple[str, Form]:
    for title in ("Rivers", "Lakes"):
        Talk(place_of(world), title, folder="Waters")
    return f"{_at('history_change', world)}?folder=Waters", {"act": "archive", "all": "1"}


def _undone(world: World) -> tuple[str, Form]:
    now = clock.now()
    for _ in range(2):
        Talk(place_of(world), "Gone", deleted_at=now)
    at = now.isoformat().replace("+", "%2B")
    return f"{_at('history_undo', world)}?at={at}", {}


def _exported_many(world: World) -> tuple[str, Form]:
    for title in ("Rivers", "Lakes"):
        Talk(place_of(world), title, folder="Waters", model="")
    return f"{_at('history_export', world)}?folder=Waters", {"all": "1"}


def _exported(form: str) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        return _at("chat_export", world, id_text(_full_chat(world).chat.id), form), {}

    return begin


def _link(world: World) -> tuple[Any, str]:
    return share_branch(
        actor(place_of(world).user, world.acme), _talk(world).chat, days=7, members_only=False,
        system_shown=False, cost_shown=False,
    )  # fmt: skip


def _revoked(world: World) -> tuple[str, Form]:
    return _at("share_revoke", world, id_text(_link(world)[0].id)), {}


def _shared(*, gone: bool) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        link, token = _link(world)
        if gone:
            revoke_link(actor(place_of(world).user, world.acme), id_text(link.id))
        return reverse("shared", args=[token]), {}

    return begin


def _seen_as(*, now: bool) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        talk = _talk(world)
        assert talk.last is not None
        seen = talk.last.text_id if now else ""
        return f"{_at('in_step', world, id_text(talk.chat.id))}?seen={seen}", {}

    return begin


def _question(name: str) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        message = Talk(place_of(world), "A chat").ask("How deep?")
        return _at(name, world, message.text_id), {}

    return begin


def _rated(form: Form) -> Begin:
    """The answer of a request that the books have."""

    def begin(world: World) -> tuple[str, Form]:
        last = _talk(world).last
        assert last is not None
        happen(place_of(world).key, clock.now(), request_id=last.request_id)
        return _at("message_rate", world, last.text_id), form

    return begin


def _summarised(world: World) -> tuple[str, Form]:
    talk = Talk(place_of(world), "A chat")
    talk.ask("How deep?")
    answer = talk.answer("Deep.", charged(1), parts={"summary": [{"text": "Depth."}]})
    return _at("summary_drop", world, answer.text_id), {}


_CHATS: Final = (
    Scene("chat that is renamed beside its page", _renamed),
    *_both("chat that gets a folder", _of_chat("chat_change", {"folder": "Rivers"})),
    Scene("chat whose name is too long", _act(_of_chat("chat_change", {"title": "x" * 121}))),
    *_both("chat that is deleted", _of_chat("chat_delete")),
    Scene("chat that is restored", _act(_restored_chat)),
    Scene("import of no file", _act(_to("chat_import"))),
    Scene("import of a file that is no chat", _act(_to("chat_import", _file(b'{"a": [}')))),
    Scene("import of a file that is no text", _act(_to("chat_import", _file(b"\xff")))),
    Scene("import of a chat", _act(_imported("Rivers"))),
    Scene("import of two chats", _act(_imported("Rivers", "Lakes"))),
    *_both("several chats: archive", _changed_many("archive")),
    *(
        Scene(f"several chats: {act}", _act(_changed_many(act, folder_name="Waters")))
        for act in ("unarchive", "delete", "folder")
    ),
    Scene("several chats: all of a folder", _act(_all_changed)),
    Scene("several chats: none", _act(_to("history_change", {"act": "delete"}))),
    Scene(
        "several chats: a folder without a valid name",
        _act(_changed_many("folder", folder_name="x" * 81)),
    ),
    *_both("several chats: undo", _undone),
    Scene("several chats: undo of no time", _act(_to("history_undo"), shows=False)),
    Scene("several chats as a file", _act(_exported_many, htmx=False)),
    *(
        Scene(f"chat as a file: {form}", _act(_exported(form), get=True, htmx=False))
        for form in ("md", "json")
    ),
    Scene("link that is made", _act(_of_chat("share_create", {"days": "30", "who": "members"}))),
    *_both("link that is revoked", _revoked),
    Scene("link that is opened", _act(_shared(gone=False), get=True, htmx=False, shows=False)),
    Scene("link that is gone", _act(_shared(gone=True), get=True, htmx=False)),
    Scene("chat that is in step", _act(_seen_as(now=True), get=True)),
    Scene("chat that has gone on elsewhere", _act(_seen_as(now=False), get=True)),
    *_both("question that is edited", _question("message_edit"), get=True),
    *_both("answer that is edited", _of_answer("message_edit"), get=True),
    *_both("answer in the words of a person", _of_answer("message_save", {"content": "9 m"})),
    Scene("version that is shown", _act(_of_answer("message_show"))),
    Scene("message that is deleted", _act(_of_answer("message_delete"))),
    Scene("message that is restored", _act(_restored_message)),
    Scene("branch of a chat", _act(_of_answer("message_branch"))),
    Scene(
        "branch of a temporary chat",
        _act(_of_answer("message_branch", ends_at=clock.now() + dt.timedelta(days=9)), shows=False),
    ),
    Scene("answer that is kept alone", _act(_of_answer("keep"))),
    Scene("turns that are sent in full again", _act(_summarised)),
    Scene("log of a chat, without scripts", _act(_of_chat("log"), get=True, htmx=False)),
    *(
        Scene(
            f"answer that is rated: {score or 'no more'}",
            _act(_rated({"score": score})),
        )
        for score in ("100", "0", "")
    ),
    *_both("answer that is commented on", _rated({"comment": "Right"})),
    Scene("comment that is too long", _act(_rated({"comment": "x" * 4_001}), shows=False)),
    Scene(
        "answer that is rated without a request", _act(_of_answer("message_rate", {"score": "0"}))
    ),
    Scene("question that is rated", _act(_question("message_rate"), shows=False)),
)


# Settings, presets, prompts and tools -----------------------------------------------------------


def _preset(name: str) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        by = actor(place_of(world).user, world.acme)
        preset = save_preset(by, "Mine", Settings(), shared=False)
        return _at(name, world, preset.text_id), {"model": "river-2"}

    return begin


def _labelled(name: str, *arguments: str, form: Form | None = None, query: str = "") -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        _prompt(world)
        return _at(name, world, "rivers", *arguments) + query, form or {}

    return begin


_TOOL: Final = json.dumps({"name": "look", "parameters": {"type": "object"}})
_OPENAPI: Final = {
    "openapi": "3.1.0",
    "paths": {
        "/gates": {"get": {"operationId": "list_gates", "summary": "List gates"}},
        "/gates/{id}": {
            "put": {
                "operationId": "move_gate",
                "parameters": [{"name": "id", "in": "path", "schema": {"type": "nothing"}}],
            }
        },
    },
}
_SETTINGS: Final = (
    *_both("payer that is chosen", _to("payer_choose", {"key": "", "project": "dykes"})),
    Scene("payer that is none", _act(_to("payer_choose", {"key": id_text(new_id())}))),
    Scene(
        "settings that are saved",
        _act(
            _to("preferences_save", {"leaving": "stop", "default_model": "", "sends": "ctrl"}),
            htmx=False,
        ),
    ),
    Scene(
        "settings of which one is refused",
        _act(_to("preferences_save", {"leaving": "stop", "default_model": "gone"}), htmx=False),
    ),
    Scene(
        "settings that are all refused",
        _act(
            _to(
                "preferences_save",
                {
                    "leaving": "keep",
                    "default_model": "gone",
                    "title_model": "gone",
                    "key": "gone",
                    "shown_key": "",
                    "sends": "enter",
                    "edit": "N",
                },
            ),
            htmx=False,
        ),
    ),
    Scene(
        "settings that the page cannot send",
        _act(_to("preferences_save", {"leaving": "linger"}), shows=False),
    ),
    Scene(
        "rules that are saved",
        _act(_to("playground_rules_save", {"minutes": "5", "organisation_model": ""}), htmx=False),
    ),
    Scene(
        "preset that is saved",
        _act(_to("preset_save", {"model": "river-2", "preset_name": "Mine"}, models=_MODELS)),
    ),
    Scene("preset without a name of its own", _act(_to("preset_save", {"preset_name": " "}))),
    Scene(
        "preset with a setting that is none",
        _act(
            _to(
                "preset_save",
                {"preset_name": "Mine", "model": "river-2", "p.temperature": "x"},
                models=_MODELS,
            )
        ),
    ),
    *_both("preset that is deleted", _preset("preset_delete")),
    *_both(
        "prompt that is saved",
        _to(
            "prompt_save",
            {"model": "river-2", "prompt_name": "Dykes", "prompt_note": "First"},
            models=_MODELS,
        ),
    ),
    Scene("prompt without a name", _act(_to("prompt_save", {"model": "river-2"}))),
    Scene(
        "label that is put on a version",
        _act(_labelled("prompt_label_move", form={"label": "beta", "version": "2"})),
    ),
    Scene(
        "label that is none",
        _act(_labelled("prompt_label_move", form={"label": "7", "version": "2"})),
    ),
    Scene(
        "label that is about to move",
        _act(_labelled("prompt_label_move", query="?v=2&label=beta"), get=True),
    ),
    Scene(
        "label that is rolled back",
        _act(_labelled("prompt_label_roll_back", "beta", form={"version": "3"})),
    ),
    Scene(
        "label that was rolled back meanwhile",
        _act(_labelled("prompt_label_roll_back", "beta", form={"version": "1"})),
    ),
    Scene(
        "label that is about to go back",
        _act(_labelled("prompt_label_roll_back", "beta"), get=True),
    ),
    Scene("label that is removed", _act(_labelled("prompt_label_remove", "beta"))),
    Scene(
        "label that is about to be removed",
        _act(_labelled("prompt_label_remove", "beta"), get=True),
    ),
    Scene(
        "version that is put in production", _act(_labelled("prompt_production", form={"v": "1"}))
    ),
    Scene(
        "tools that are added",
        _act(_to("tools_add", {"tool": [_TOOL], "tools": '[{"name": "look"}, {"name": "see"}]'})),
    ),
    Scene("tools that are none", _act(_to("tools_add", {"tool": ["{}"]}))),
    Scene(
        "tools that are too many",
        _act(
            _to(
                "tools_add",
                {"tool": [_TOOL], "tools": json.dumps([{"name": f"t{n}"} for n in range(64)])},
            )
        ),
    ),
    Scene(
        "description of an API",
        _act(
            _to(
                "tools_read",
                {"file": SimpleUploadedFile("api.json", json.dumps(_OPENAPI).encode())},
            )
        ),
    ),
    Scene("description that is missing", _act(_to("tools_read"))),
    Scene(
        "description that is none",
        _act(_to("tools_read", {"file": SimpleUploadedFile("api.json", b"{}")})),
    ),
    Scene(
        "schema of an example",
        _act(_to("schema_from_example", {"schema": '{"depth": 7, "gates": [{"open": true}]}'})),
    ),
    Scene("schema of no example", _act(_to("schema_from_example", {"schema": "{\n[}"}))),
    Scene(
        "model that is a favourite",
        _act(_to("model_favourite", {"model": "river-2"}, models=_MODELS)),
    ),
    Scene("model of new chats", _act(_to("model_default", {"model": "river-2"}, models=_MODELS))),
)


# Answers ----------------------------------------------------------------------------------------


def _says(text: str = "It is deep.", **over: Any) -> Callable[[], PlannedRelay]:
    return lambda: PlannedRelay([STREAM, *chunks({"content": text}), outcome(**over)])


def _plans(*items: Any, **fields: Any) -> Callable[[], PlannedRelay]:
    return lambda: PlannedRelay(list(items), **fields)


_FAULT: Final = RequestFault("invalid_value", None, "Not so.")
_TOO_DEAR: Final = RequestFault("max_cost_exceeded", None, "It could cost 43 dollars.")
_SENT: Final = {"model": "river-2", "text": "How deep?", "key": "", "project": ""}


def _sent(form: Form | None = None) -> Begin:
    return _to("run_create", _SENT | dict(form or {}), models=_MODELS)


def _sent_to_chat(**form: str) -> Begin:
    """A second turn; `seen` in the form is the id of the last message."""

    def begin(world: World) -> tuple[str, Form]:
        serve(_MODELS)
        talk = _talk(world)
        question, answer = talk.chat.messages.order_by("id")
        ids = {"question": question.text_id, "answer": answer.text_id}
        named = {name: ids.get(value, value) for name, value in form.items()}
        return _at("run_create", world), {
            **_SENT, "conversation": id_text(talk.chat.id), **named,
        }  # fmt: skip

    return begin


def _sent_while_busy(world: World) -> tuple[str, Form]:
    serve(_MODELS)
    talk = Talk(place_of(world), "A busy chat")
    talk.answer("", state=RunState.RUNNING, parent=talk.ask("How deep?"))
    return _at("run_create", world), {**_SENT, "conversation": id_text(talk.chat.id)}


def _running(name: str, form: Form | None = None) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        talk = Talk(place_of(world), "A busy chat")
        talk.answer("", state=RunState.RUNNING, parent=talk.ask("How deep?"))
        run = Run.objects.get(conversation=talk.chat)
        id = id_text(run.batch) if name.startswith("batch") else run.text_id
        return _at(name, world, id), form or {}

    return begin


def _streamed(name: str) -> Begin:
    """What a page that comes late reads of an answer that has ended."""

    def begin(world: World) -> tuple[str, Form]:
        path, _ = _running(name)(world)
        now = clock.now()
        run = Run.objects.latest("id")
        Run.objects.filter(id=run.id).update(state=RunState.DONE, ended_at=now, outcome={})
        Message.objects.filter(id=run.assistant_message_id).update(
            state=RunState.DONE, content="Deep."
        )
        return f"{path}?after=7", {}

    return begin


def _bound(form: Form | None = None) -> Begin:
    return _to("bound", _SENT | dict(form or {}), models=_MODELS)


def _added_column(model: str) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        path = _compared(world, RunState.DONE, RunState.DONE)
        return f"{path}/columns", {"model": model}

    return begin


def _voted(winner: str) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        _compared(world, RunState.DONE, RunState.DONE, blind=True)
        batch = Run.objects.latest("id").batch
        return _at("vote", world, id_text(batch)), {"winner": winner}

    return begin


def _to_summarise(world: World) -> tuple[str, Form]:
    serve(_MODELS)
    talk = _talk(world)
    return _at("chat_summarise", world), {**_SENT, "conversation": id_text(talk.chat.id)}


def _title_cost(model: str) -> Begin:
    return _to("title_cost", {"title_model": model}, models=_MODELS)


def _called(form: Form) -> Callable[..., Callable[[World], str]]:
    """A call of the session's endpoint, which takes JSON."""

    def planned(relay: Callable[[], PlannedRelay]) -> Callable[[World], str]:
        def make(world: World) -> str:
            visitor = Visitor(world.clients[Who("owner")], relay())
            visitor.get(_at("history", world))
            answer = visitor.post_json(reverse("pg_chat"), form)
            return _text_of(answer, visitor.relay, shows=True)

        return make

    return planned


_call: Final = _called({"model": "river-2", "group": "vip", "messages": []})
_ANSWERS: Final = (
    *_both("message that is sent", _sent(), relay=_says()),
    Scene(
        "message to two models",
        _act(_sent({"model": ["river-2", "brook-3"], "compare": "1"}), relay=_says()),
    ),
    Scene("message of a temporary chat", _act(_sent({"temporary": "1"}), relay=_says())),
    Scene("message behind the last one", _act(_sent_to_chat(seen="answer"), relay=_says())),
    Scene("message of a page that saw less", _act(_sent_to_chat(seen="question"), relay=_says())),
    *(
        Scene(
            f"message that is sent again: {name}",
            _act(_sent_to_chat(**{name: of}, seen="answer"), relay=_says()),
        )
        for name, of in (("retry", "question"), ("instead", "question"), ("as_before", "answer"))
    ),
    *_both("message without words", _sent({"text": " "}), relay=_says()),
    Scene(
        "retry with a model that is none",
        _act(_sent_to_chat(retry="question", model="gone"), relay=_says()),
    ),
    Scene("message to a busy chat", _act(_sent_while_busy, relay=_says())),
    *_both("answer that is stopped", _running("run_stop", {"shown": "3"})),
    *_both("comparison that is stopped", _running("batch_stop")),
    Scene("stream of an answer", _act(_streamed("run_events"), get=True, htmx=False)),
    Scene("stream of a comparison", _act(_streamed("batch_events"), get=True, htmx=False)),
    Scene("cost of a message to one model", _act(_bound())),
    Scene(
        "cost of a message to two models",
        _act(_bound({"model": ["river-2", "brook-3"], "project": "dykes"})),
    ),
    Scene("cost of a message to no model", _act(_bound({"model": "gone"}))),
    Scene("cost that is refused", _act(_bound(), relay=_plans(bound_result=_FAULT))),
    Scene("cost beyond a limit", _act(_bound(), relay=_plans(bound_result=_TOO_DEAR))),
    Scene("cost without a database", _act(_bound(), relay=_plans(bound_result=DatabaseAway()))),
    Scene("model that is added to a comparison", _act(_added_column("brook-3"), relay=_says())),
    Scene("model that cannot be added", _act(_added_column("gone"))),
    Scene("vote for an answer", _act(_voted("1"))),
    Scene("summary of what fits", _act(_to_summarise, relay=_plans(JSON, whole("x"), outcome()))),
    Scene("cost of a name by a model", _act(_title_cost("river-2"))),
    Scene("cost of a name by none", _act(_title_cost(""))),
    Scene("cost of a name by a model that is gone", _act(_title_cost("gone"))),
    Scene(
        "cost of a name that is refused",
        _act(_title_cost("river-2"), relay=_plans(bound_result=_FAULT)),
    ),
    Scene(
        "cost of a name without a database",
        _act(_title_cost("river-2"), relay=_plans(bound_result=DatabaseAway())),
    ),
    Scene("call that is streamed", _call(_says())),
    Scene("call that is answered at once", _call(_plans(JSON, whole("Deep."), outcome()))),
    Scene(
        "call that is refused", _call(_plans(outcome(402, "insufficient_balance", message="No.")))
    ),
    Scene("call with a key that has ended", _call(_plans(principal=_FAULT))),
)


# Media ------------------------------------------------------------------------------------------


_PICTURE: Final = {"data": [{"b64_json": "iVBORw0KGgoAAAANSUhEUgAAAAgAAAANAAAAAAAAAAAA"}]}


def _answers(body: Any, **over: Any) -> Callable[[], PlannedRelay]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda: PlannedRelay([JSON, data, outcome(**over)])


def _ordered(form: Form) -> Begin:
    usual = {"kind": "image", "model": "painter-2", "prompt": "A weir", "key": ""}
    return _to("media_create", usual | dict(form), models=_MEDIA)


def _bounded(form: Form) -> Begin:
    usual = {"kind": "image", "model": "painter-2", "prompt": "A weir", "key": ""}
    return _to("media_bound", usual | dict(form), models=_MEDIA)


def _media(name: str, *arguments: Any, query: str = "", **fields: Any) -> Begin:
    def begin(world: World) -> tuple[str, Form]:
        kind, task = fields.pop("kind", "image"), fields.get("task")
        given = {"model": "painter-2", "charge_nano": 5, **fields}
        run = _made(world, kind, "A weir", **given)
        if task:
            _task(run, "succeeded")
        fields["kind"] = kind
        return _at(name, world, run.text_id, *arguments) + query, {}

    return begin


async def _pieces() -> AsyncIterator[bytes]:
    for piece in (b"some ", b"bytes"):
        yield piece


def _content(status: int = 200) -> Callable[[], PlannedRelay]:
    headers = {"content-type": "video/webm", "content-length": "10"}
    return lambda: PlannedRelay(
        content=SimpleNamespace(status=status, headers=headers, pieces=_pieces)
    )


def _embedded(form: Form, name: str = "embedding_run") -> Begin:
    usual = {"model": "text-embedding-3-small", "text": "Rivers\n\nLakes", "dimensions": "2"}
    return _to(name, usual | dict(form), models=_MEDIA)


_VECTORS: Final = {
    "object": "list", "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3},
    "data": [{"object": "embedding", "index": n, "embedding": [one, -0.25]}
             for n, one in enumerate((0.5, -0.75))],
}  # fmt: skip
_FAILED: Final = UpstreamFailed("timeout", "timeout", "It took too long.")
_VIDEO: Final = {"kind": "video", "model": "sora-2", "task": "video_9"}
_SONG: Final = {"kind": "music", "model": "suno_music", "task": "suno_9", "operation": "suno_music"}


def _spoken(form: Form | None = None, name: str = "realtime_ticket") -> Begin:
    usual = {"model": "gpt-realtime", "key": "", "project": "dykes", "voice": "ash"}
    return _to(name, usual | dict(form or {}), models=_MEDIA)


_MEDIA_ACTS: Final = (
    *_both(
        "image that is ordered", _ordered({"n": "2", "size": "1024x1024"}), relay=_answers(_PICTURE)
    ),
    Scene(
        "image of two models",
        _act(_ordered({"compare": "gpt-image-1", "project": "dykes"}), relay=_answers(_PICTURE)),
    ),
    *_both("image without a prompt", _ordered({"prompt": " "})),
    Scene(
        "speech that is ordered",
        _act(
            _ordered(
                {"kind": "speech", "model": "tts-1", "prompt": "Rivers meander", "voice": "coral"}
            ),
            relay=_answers(b"sound"),
        ),
    ),
    Scene(
        "video that is ordered",
        _act(
            _ordered({"kind": "video", "model": "sora-2", "seconds": "8", "size": "1280x720"}),
            relay=_answers({"id": "video_7"}),
        ),
    ),
    Scene("cost of an image", _act(_bounded({"n": "2"}))),
    Scene(
        "cost of an image without a prompt by two models",
        _act(_bounded({"prompt": "", "compare": "gpt-image-1"})),
    ),
    Scene("cost of an image of no model", _act(_bounded({"model": "gone"}))),
    Scene(
        "cost of an image that is refused", _act(_bounded({}), relay=_plans(bound_result=_FAULT))
    ),
    Scene(
        "cost of an image without a database",
        _act(_bounded({}), relay=_plans(bound_result=DatabaseAway())),
    ),
    Scene("result that is done", _act(_media("media_run"), get=True, shows=False)),
    Scene(
        "result that is awaited",
        _act(_media("media_run", state=RunState.RUNNING), get=True, shows=False),
    ),
    Scene("result without scripts", _act(_media("media_run"), get=True, htmx=False)),
    *_both("result that is stopped", _media("media_stop", state=RunState.RUNNING)),
    *_both("result that is deleted", _media("media_delete")),
    Scene(
        "result that is deleted while it is made",
        _act(_media("media_delete", state=RunState.RUNNING), shows=False),
    ),
    Scene(
        "video that is played",
        _act(
            _media("media_video", **_VIDEO),
            get=True,
            htmx=False,
            relay=_content(206),
            range="bytes=0-9",
        ),
    ),
    Scene(
        "video that is downloaded",
        _act(
            _media("media_video", query="?download=1", **_VIDEO),
            get=True,
            htmx=False,
            relay=_content(),
        ),
    ),
    Scene(
        "video beyond its end",
        _act(_media("media_video", **_VIDEO), get=True, htmx=False, relay=_content(416)),
    ),
    Scene(
        "video that its provider does not give",
        _act(_media("media_video", **_VIDEO), get=True, htmx=False, relay=_plans(content=_FAILED)),
    ),
    Scene(
        "video that is gone",
        _act(
            _media("media_video", **_VIDEO),
            get=True,
            htmx=False,
            shows=False,
            relay=_plans(content=_FAULT),
        ),
    ),
    Scene(
        "video that is an image",
        _act(_media("media_video"), get=True, htmx=False, shows=False, relay=_content()),
    ),
    Scene(
        "song that is played",
        _act(_media("media_clip", 1, **_SONG), get=True, htmx=False, relay=_content()),
    ),
    Scene(
        "song that is a video",
        _act(
            _media("media_clip", 1, **_VIDEO), get=True, htmx=False, shows=False, relay=_content()
        ),
    ),
    Scene(
        "video that is a song",
        _act(_media("media_video", **_SONG), get=True, htmx=False, shows=False, relay=_content()),
    ),
    Scene(
        "transcript as subtitles",
        _act(
            _media(
                "media_subtitles",
                kind="transcription",
                facts={"segments": [[0, 2.5, "Rivers"], [61.25, 3_664, "meander"]]},
            ),
            get=True,
            htmx=False,
        ),
    ),
    Scene(
        "subtitles of an image", _act(_media("media_subtitles"), get=True, htmx=False, shows=False)
    ),
    Scene("vectors of lines", _act(_embedded({}), relay=_answers(_VECTORS))),
    Scene("vectors of no lines", _act(_embedded({"text": " "}))),
    Scene(
        "vectors that are refused",
        _act(
            _embedded({}),
            relay=_answers(b"", status=402, kind="insufficient_balance", message="No money."),
        ),
    ),
    Scene("vectors that cannot be read", _act(_embedded({}), relay=_answers(b"{}"))),
    Scene("vectors with a key that has ended", _act(_embedded({}), relay=_plans(principal=_FAULT))),
    Scene(
        "vectors without a database", _act(_embedded({}), relay=_plans(principal=DatabaseAway()))
    ),
    Scene("cost of lines", _act(_embedded({}, "embedding_bound"))),
    Scene("cost of no lines", _act(_embedded({"text": ""}, "embedding_bound"))),
    Scene(
        "cost of lines that is refused",
        _act(_embedded({}, "embedding_bound"), relay=_plans(bound_result=_FAULT)),
    ),
    Scene(
        "cost of lines without a database",
        _act(_embedded({}, "embedding_bound"), relay=_plans(bound_result=DatabaseAway())),
    ),
    Scene("connection that is opened", _act(_spoken({"output": "text", "turns": "manual"}))),
    Scene("connection to no model", _act(_spoken({"model": "gemini-3.8-live"}))),
    Scene("cost of an answer by voice", _act(_spoken(name="realtime_bound"))),
    Scene("cost of an answer by no model", _act(_spoken({"model": ""}, "realtime_bound"))),
    Scene(
        "cost of an answer by voice that is refused",
        _act(_spoken(name="realtime_bound"), relay=_plans(bound_result=_FAULT)),
    ),
    Scene(
        "cost of an answer by voice without a database",
        _act(_spoken(name="realtime_bound"), relay=_plans(bound_result=DatabaseAway())),
    ),
)


# Files from addresses ---------------------------------------------------------------------------


def _fetched(came: Any) -> Callable[[World], str]:
    """The answer to an address of which this comes."""

    async def fetch(url: str) -> tuple[str, bytes]:
        if isinstance(came, Exception):
            raise came
        return url.rpartition("/")[2], came

    def make(world: World) -> str:
        with mock.patch.object(attachments, "fetch_file", fetch):
            return _act(_to("file_fetch", {"url": " https://example.org/notes.txt "}))(world)

    return make


_FILES: Final = (
    Scene("file from an address", _fetched(b"Mind the gap.")),
    Scene("file of no known kind", _fetched(b"MZ\x00\x01")),
    Scene("file from an address that is closed", _fetched(Unreachable())),
    Scene("file from an address that is slow", _fetched(TimeoutError())),
)
SCENES: Final = (*_CHATS, *_SETTINGS, *_ANSWERS, *_MEDIA_ACTS, *_FILES)
