"""Pages around the chats of the playground: its desk, panel, comparisons, links and prompts."""

import datetime as dt
import json
import struct
from functools import partial
from typing import Any, Final

from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.models import Organisation, Role
from billing.models import Budget, BudgetScope
from content.models import Prompt, PromptVersion
from content.prompts.settings import Settings
from lib import clock
from lib.ids import id_text, new_id
from playground.chats.sharing import share_branch
from playground.models import (
    Preference,
    Preset,
    RunEvent,
    RunState,
    ShareLink,
)
from tests.house.outlines.scenes.scene import Scene
from tests.house.outlines.scenes.talk import Talk, charged, file_of, place_of, serve
from tests.isolation.world import Place, World
from tests.support import cast
from tests.support.cast import actor

_HTMX: Final = {"HX-Request": "true"}
_CHAT: Final = {"in_text": 250_000_000, "out_text": 2_000_000_000}
_MODELS: Final = {
    "gpt-5-mini": _CHAT,
    "river-2": {"in_text": 310_000_000, "out_text": 1_700_000_000},
    "brook-3": {"in_text": 370_000_000, "out_text": 1_900_000_000},
}
PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 8, 13) + bytes(9)
_TOOL: Final = {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}


def _root(world: World) -> str:
    return f"/o/{world.acme.slug}/playground"


def _at(path: str) -> Any:
    """The address of a page that needs the models to be served, and nothing more."""

    def make(world: World) -> str:
        serve(_MODELS)
        return f"{_root(world)}{path}"

    return make


def _alone(path: str) -> Any:
    return lambda world: f"{_root(world)}{path}"


def _presets(at: Place) -> Preset:
    shared = {"organisation": at.organisation, "shared": True}
    Preset.objects.create(
        user=cast.member(at.organisation, "rita", Role.DEVELOPER), name="Preset of Rita",
        settings=Settings().stored(), **shared,
    )  # fmt: skip
    settings = Settings(
        params={"temperature": 0.3, "max_output": 701, "reasoning": "high", "stop": ["END"]},
        system="You speak {{language}} to {{reader}}.", variables={"language": "Dutch"},
        tools=[_TOOL], tool_choice="required", serial=True, strict=True, schema={"type": "object"},
        max_cost="0.07", trim=True,
    )  # fmt: skip
    return Preset.objects.create(
        user=at.user, name="Own preset", settings=settings.stored(), **shared
    )


def _new_chat(world: World) -> str:
    place = place_of(world)
    serve(_MODELS)
    Budget.objects.create(
        organisation=world.acme, scope=BudgetScope.PROJECT, subject="dykes", amount_nano=71 * 10**9,
        period="month", anchor=1,
    )  # fmt: skip
    Preference.objects.update_or_create(
        user=place.user, defaults={"enter_sends": False, "keys": {"regenerate": "J"}}
    )
    preset = _presets(place)
    return f"{_root(world)}?m=gpt-5-mini&preset={preset.text_id}&panel=params&tmp=1&text=Hello"


def _open_chat(world: World) -> str:
    place = place_of(world)
    serve(_MODELS)
    talk = Talk(
        place, "A temporary chat", model="river-2", key=place.key, project="dykes",
        ends_at=clock.now() + dt.timedelta(minutes=40), visit=new_id(),
    )  # fmt: skip
    asked = talk.ask("How deep?", [file_of(new_id(), "map.png", "image", "image/png", 5_300)])
    talk.answer("", {"unwatched_ms": 9_000}, state=RunState.RUNNING)
    return f"{_root(world)}/c/{id_text(talk.chat.id)}?edit={asked.text_id}"


def _chat_of(role: str, world: World, **fields: Any) -> str:
    place = world.places[role]
    serve(_MODELS)
    talk = Talk(place, "A chat to read", **fields)
    talk.answer("It is read.", charged(73_000_000), parent=talk.ask("Who reads?"))
    return f"{_root(world)}/c/{id_text(talk.chat.id)}"


def _chat_while_suspended(world: World) -> str:
    Organisation.objects.filter(id=world.acme.id).update(suspended_at=clock.now())
    return _chat_of("owner", world)


def _of_one(path: str, **fields: Any) -> Any:
    """The address of a part that is about one answer, whose message has these fields."""

    def make(world: World) -> str:
        talk = Talk(place_of(world), "One answer")
        talk.answer("An answer", charged(79_000_000), parent=talk.ask("A question"), **fields)
        return f"{_root(world)}/messages/{_last_id(talk)}/{path}"

    return make


def _last_id(talk: Talk) -> str:
    assert talk.last is not None
    return talk.last.text_id


def _edited_question(world: World) -> str:
    talk = Talk(place_of(world), "An edited question")
    files = [file_of(new_id(), "map.png", "image", "image/png", 5_300)]
    return f"{_root(world)}/messages/{talk.ask('How deep?', files).text_id}/_f/edit"


def _menu_of_chat(world: World) -> str:
    talk = Talk(
        place_of(world), "A kept chat", folder="Rivers", pinned=True, archived_at=clock.now(),
        title_request_id=new_id(),
    )  # fmt: skip
    return f"{_root(world)}/c/{id_text(talk.chat.id)}/_f/menu"


def _full_chat(world: World) -> Talk:
    """A chat with all that a link shows."""
    talk = Talk(place_of(world), "A shared chat")
    talk.ask("What of it?", [file_of(new_id(), "map.png", "image", "image/png", 5_300)])
    run = charged(83_000_000) | {"settings": {"system": "You are brief."}}
    call = {"id": "c", "name": "get_weather", "arguments": '{"city": "Ghent"}'}
    talk.answer("", run, reasoning="I ask.", parts={"calls": [call]})
    result = {"call_id": "c", "name": "get_weather", "content": "It rains.", "failed": False}
    talk.say("tool", parts={"results": [result]})
    talk.answer("It **rains**.", charged(89_000_000) | {"settings": run["settings"]})
    talk.answer("Unpriced", {"outcome": {}}, parent=talk.ask("And now?"))
    return talk


def _shared_chat(world: World, *, shown: bool) -> str:
    talk, place = _full_chat(world), place_of(world)
    _, token = share_branch(
        actor(place.user, world.acme), talk.chat, days=7, members_only=shown, system_shown=shown,
        cost_shown=shown,
    )  # fmt: skip
    return f"/s/{token}"


def _links(world: World) -> str:
    talk, now = Talk(place_of(world), "A chat with links"), clock.now()
    ends = {"expires_at": now + dt.timedelta(days=30), "views": 1_021}
    for fields in ({"revoked_at": now}, ends, {"views": 3}):
        ShareLink.objects.create(
            conversation=talk.chat, user=talk.at.user, digest=new_id().bytes, snapshot={}, **fields
        )
    return f"{_root(world)}/c/{id_text(talk.chat.id)}/share"


# Beside the chat --------------------------------------------------------------------------------


def _run_with_all(world: World, *, ended: bool = True) -> str:
    talk = Talk(place_of(world), "A run")
    talk.ask("How deep?")
    head = {"dropped": ["top_k", "seed"], "output_cap": 1_319, "content_type": "text/event-stream"}
    run = charged(97_000_000, hold_nano=101_000_000, expected_nano=103_000_000, head=head)
    state = RunState.DONE if ended else RunState.RUNNING
    answer = talk.answer("Deep.", run if ended else {}, state=state)
    assert answer.run is not None
    at = answer.run.started_at + dt.timedelta(milliseconds=37)
    RunEvent.objects.create(run=answer.run, seq=1, html="", wire="data: {}", at=at)
    RunEvent.objects.create(run=answer.run, seq=2, html="<p>", text="Deep", at=at)
    return f"{_root(world)}/runs/{answer.run.text_id}/_f"


def _debug_of_run(world: World) -> str:
    return f"{_run_with_all(world)}/debug"


def _debug_of_running(world: World) -> str:
    return f"{_run_with_all(world, ended=False)}/debug"


def _refused_code(world: World) -> str:
    talk = Talk(place_of(world), "A run")
    talk.ask("How deep?")
    settings = {"raw": {"logit_bias": {"5": 7}, "seed": 3}}
    answer = talk.answer("Deep.", charged(97_000_000) | {"settings": settings})
    assert answer.run is not None
    return f"{_root(world)}/runs/{answer.run.text_id}/_f/code?form=messages&lang=python"


def _model_options(world: World) -> str:
    place = place_of(world)
    serve(_MODELS)
    Preference.objects.update_or_create(
        user=place.user,
        defaults={"favourite_models": ["river-2"], "default_model": "river-2"},
    )
    Talk(place, "Used last", model="brook-3")
    return f"{_root(world)}/_f/models"


# Comparisons ------------------------------------------------------------------------------------


_NUMBERS: Final = ("first", "second", "third", "fourth")


def _compared(world: World, *states: RunState, blind: bool = False) -> str:
    """A comparison of a column in each of these states."""
    serve(_MODELS)
    names = [*_MODELS, "m-1"][: len(states)]
    columns = [
        {"model": name, "settings": {}, "preset": f"preset of {name}"}
        | ({"blind": True} if blind else {})
        for name in names
    ]
    talk = Talk(place_of(world), "A comparison", columns=columns)
    asked, batch = talk.ask("Which is best?"), new_id()
    for number, (name, state) in enumerate(zip(names, states, strict=True)):
        run: dict[str, Any] = {"batch": batch, "column": number}
        if state != RunState.RUNNING:
            run |= charged(
                107_000_000 + 2_000_000 * number, ttft_ms=409 - 10 * number,
                total_ms=2_003 + 100 * number, meters={"in_text": 7, "out_text": 211 + number},
            )  # fmt: skip
        text = "" if state == RunState.RUNNING else f"The {_NUMBERS[number]} of all"
        talk.answer(text, run, parent=asked, model=name, column=number, state=state)
    return f"{_root(world)}/c/{id_text(talk.chat.id)}"


def _comparison(*states: RunState, path: str = "", blind: bool = False) -> Any:
    return lambda world: _compared(world, *states, blind=blind) + path


# Prompts and settings ---------------------------------------------------------------------------


def _prompt(world: World) -> str:
    place = place_of(world)
    prompt = Prompt.objects.create(
        organisation=world.acme, user=place.user, slug="rivers", name="Rivers", shared=True,
        labels={"production": [2], "beta": [3, 1]},
    )  # fmt: skip
    for number, system in enumerate(("Be {{mood}}.", "Be {{mood}} and {{size}}.", "Stay."), 1):
        PromptVersion.objects.create(
            prompt=prompt, number=number, user=place.user, model=f"river-{number}",
            note=("", "Two words", "One word")[number - 1],
            settings=Settings(system=system, params={"temperature": number / 10}).stored(),
        )  # fmt: skip
    return f"/o/{world.acme.slug}/prompts/rivers"


def _prompt_without_labels(world: World) -> str:
    place = place_of(world)
    prompt = Prompt.objects.create(
        organisation=world.acme, user=place.user, slug="lakes", name="Lakes", shared=True
    )
    PromptVersion.objects.create(
        prompt=prompt, number=1, user=place.user, model="lake-1", settings={}
    )
    return f"/o/{world.acme.slug}/prompts/lakes"


def _found_prompts(world: World) -> str:
    _prompt(world)
    _prompt_without_labels(world)
    return f"/o/{world.acme.slug}/prompts/_f/pick"


def _no_such_prompt(world: World) -> str:
    return f"/o/{world.acme.slug}/prompts/_f/pick?q=no+such+words"


_DRAFT: Final = {"text": "How deep?", "project": "dykes", "key": ""}
_DONE: Final = RunState.DONE
SCENES: Final = (
    Scene("new chat with a preset", _new_chat),
    Scene("temporary chat that is answered", _open_chat),
    Scene("chat of one who may not send", partial(_chat_of, "viewer"), "viewer"),
    Scene("chat while the organisation is suspended", _chat_while_suspended),
    Scene("desk of one who may not send", _at(""), "viewer"),
    Scene("answer that is edited", _of_one("_f/edit"), headers=_HTMX),
    Scene("question with a file that is edited", _edited_question, headers=_HTMX),
    Scene(
        "probabilities of tokens",
        _of_one(
            "_f/tokens",
            parts={
                "tokens": [
                    {
                        "text": "An",
                        "logprob": -0.05,
                        "top": [["An", -0.05], ["A", -3.1], ["My", -4.2]],
                    },
                    {"text": " answer", "logprob": -1.3, "top": []},
                ]
            },
        ),
        headers=_HTMX,
    ),
    Scene("menu of a kept chat", _menu_of_chat, headers=_HTMX),
    Scene("chat that is shared", partial(_shared_chat, shown=True)),
    Scene("chat that is shared without its cost", partial(_shared_chat, shown=False), "viewer"),
    Scene("links to a chat", _links, headers=_HTMX),
    Scene("run with all that is known of it", _debug_of_run, headers=_HTMX),
    Scene("run that goes on", _debug_of_running, headers=_HTMX),
    Scene("code that leaves something out", _refused_code, headers=_HTMX),
    Scene("models to pick from", _model_options, headers=_HTMX),
    Scene(
        "files that are attached",
        _alone("/files"),
        headers=_HTMX,
        posted={
            "files": [
                SimpleUploadedFile("map.png", PNG),
                SimpleUploadedFile("notes.txt", b"Mind the gap."),
                SimpleUploadedFile("tool.exe", b"MZ\x00\x01"),
            ]
        },
    ),
    Scene(
        "draft of a request",
        _at("/_f/draft/debug"),
        headers=_HTMX,
        posted=_DRAFT | {"model": "gpt-5-mini"},
    ),
    Scene(
        "draft of a comparison as code",
        _at("/_f/draft/code?draft_column=1"),
        headers=_HTMX,
        posted=_DRAFT | {"model": ["gpt-5-mini", "river-2"], "preset": ["", ""]},
    ),
    Scene(
        "draft that is refused",
        _at("/_f/draft/debug"),
        headers=_HTMX,
        posted=_DRAFT | {"model": "gpt-5-mini", "system": "Speak {{language}}."},
    ),
    Scene(
        "tools that are valid",
        _alone("/_f/check/tools"),
        headers=_HTMX,
        posted={"tools": json.dumps([_TOOL])},
    ),
    Scene(
        "schema that is too loose",
        _alone("/_f/check/schema"),
        headers=_HTMX,
        posted={"strict": "on", "schema": '{"type": "object", "properties": {"a": {}}}'},
    ),
    Scene(
        "body with unknown members",
        _alone("/_f/check/raw"),
        headers=_HTMX,
        posted={"raw": '{"temperature": 0.3, "depth": 5, "width": 7}'},
    ),
    Scene(
        "parameters that another model left",
        _at("/_f/params"),
        headers=_HTMX,
        posted={"model": "gpt-5-mini", "p.temperature": "0.3", "p.max_output": "701"},
    ),
    Scene(
        "variables of a prompt",
        _at("/_f/variables"),
        headers=_HTMX,
        posted={"model": "river-2", "system": "{{language}}, {{reader}}", "var.reader": "Ann"},
    ),
    Scene(
        "preset without a name",
        _at("/presets"),
        headers=_HTMX,
        posted={"model": "river-2", "preset_name": "Own", "preset_shared": "on"},
    ),
    Scene("comparison that is new", _at("/compare?m=river-2&m=gpt-5-mini")),
    Scene("comparison that is new and blind", _at("/compare?blind=1&m=river-2&m=river-2")),
    Scene("comparison that has ended", _comparison(_DONE, _DONE, RunState.FAILED)),
    Scene("comparison that goes on", _comparison(_DONE, RunState.STOPPED, RunState.RUNNING)),
    Scene("comparison without a vote", _comparison(_DONE, _DONE, blind=True)),
    Scene("words that differ", _comparison(_DONE, _DONE, path="/_f/diff?a=0&b=1"), headers=_HTMX),
    Scene(
        "words that differ without names",
        _comparison(_DONE, _DONE, path="/_f/diff?a=1&b=0", blind=True),
        headers=_HTMX,
    ),
    Scene("prompt with several versions", lambda world: f"{_prompt(world)}?v=2"),
    Scene("prompt of one who may not send", _prompt, "viewer"),
    Scene("prompt without labels", _prompt_without_labels),
    Scene("prompts to pick from", _found_prompts, headers=_HTMX),
    Scene("prompts that are searched for", _no_such_prompt, headers=_HTMX),
)
