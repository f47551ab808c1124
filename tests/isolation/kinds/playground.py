"""Whatever of the playground an address names: chats and what is in them, media, prompts."""

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from content.models import Prompt, PromptVersion
from content.prompts.settings import Settings
from lib import clock
from lib.ids import id_text, new_id, parse_id
from playground.models import (
    Attachment,
    Conversation,
    MediaRun,
    Message,
    Preset,
    Run,
    RunState,
    ShareLink,
)
from tests.isolation.world import Kind, Place, World, no_slug, personal


def _chat(world: World, at: Place) -> str:
    return id_text(_run_of(at).conversation_id)


def _run_of(at: Place) -> Run:
    """A chat of one question and its answer."""
    chat = Conversation.objects.create(
        organisation=at.organisation, team=at.team, user=at.user, model="m-1",
        title=f"Chat {at.word}",
    )  # fmt: skip
    question = Message.objects.create(
        conversation=chat, role="user", content=f"Question {at.word}", model="m-1"
    )
    answer = Message.objects.create(
        conversation=chat, parent=question, role="assistant", model="m-1",
        content=f"```html\n<p>{at.word}</p>\n```\n",
    )  # fmt: skip
    run = Run.objects.create(
        conversation=chat, user_message=question, assistant_message=answer, user=at.user,
        model="m-1", token=new_id(), request_id=new_id(), state=RunState.DONE, process="gone",
        ended_at=clock.now(),
        outcome={"status": 200, "kind": None, "finish_reason": "stop", "meters": {}},
    )  # fmt: skip
    Message.objects.filter(pk=answer.pk).update(run=run, request_id=run.request_id)
    return run


def _run(world: World, at: Place) -> str:
    return id_text(_run_of(at).id)


def _batch(world: World, at: Place) -> str:
    return id_text(_run_of(at).batch)


def _message(world: World, at: Place) -> str:
    return id_text(_run_of(at).assistant_message_id)


def _rated(world: World, at: Place) -> str:
    """An answer with its request, so that it can be rated."""
    run = _run_of(at)
    Message.objects.filter(pk=run.assistant_message_id).update(request_id=run.request_id)
    return id_text(run.assistant_message_id)


def _question(world: World, at: Place) -> str:
    return id_text(_run_of(at).user_message_id)


def _deleted_chat(world: World, at: Place) -> str:
    run = _run_of(at)
    Conversation.objects.filter(pk=run.conversation_id).update(deleted_at=clock.now())
    return id_text(run.conversation_id)


def _file(world: World, at: Place) -> str:
    attachment = Attachment.objects.create(
        organisation=at.organisation, user=at.user, name=f"{at.word}.txt", kind="text",
        media_type="text/plain", size=len(at.word), data=at.word.encode(),
        unsent_until=clock.now() + dt.timedelta(hours=1),
    )  # fmt: skip
    return id_text(attachment.id)


def _medium(world: World, at: Place) -> str:
    return str(parse_id(_file(world, at)))


def _media_run(world: World, at: Place) -> str:
    media_run = MediaRun.objects.create(
        organisation=at.organisation, user=at.user, kind="transcription",
        operation="transcriptions", model=f"m-{at.word}", prompt=f"Prompt {at.word}",
        token=new_id(), state="done", ended_at=clock.now(), text=f"Said {at.word}",
        facts={"segments": [[0, 1, f"Said {at.word}"]]}, outcome={}, body={},
    )  # fmt: skip
    return id_text(media_run.id)


def _preset(world: World, at: Place) -> str:
    preset = Preset.objects.create(
        organisation=at.organisation, user=at.user, name=f"Preset {at.word}",
        settings=Settings().stored(),
    )  # fmt: skip
    return id_text(preset.id)


def _share(world: World, at: Place) -> str:
    run = _run_of(at)
    share_link = ShareLink.objects.create(
        conversation=run.conversation, user=at.user, digest=new_id().bytes, snapshot={}
    )
    return id_text(share_link.id)


def _prompt(world: World, at: Place) -> str:
    prompt = Prompt.objects.create(
        organisation=at.organisation, user=at.user, slug=f"prompt-{at.word}",
        name=f"Prompt {at.word}", shared=False, labels={"production": [2, 1]},
    )  # fmt: skip
    for number in (1, 2):
        PromptVersion.objects.create(
            prompt=prompt, number=number, user=at.user, model="m-1", settings=Settings().stored()
        )
    return prompt.slug


def _private(name: str, make: Callable[[World, Place], str], **over: Any) -> Kind:
    """What is written or sent in the playground: its author's alone."""
    return personal(name, "playground.read", make, private=True, **over)


CHAT: Final = _private("chat", _chat)
DELETED_CHAT: Final = _private("deleted chat", _deleted_chat)
RUN: Final = _private("run", _run)
BATCH: Final = _private("batch", _batch)
MESSAGE: Final = _private("message", _message)
RATED: Final = _private("rated answer", _rated)
QUESTION: Final = _private("question", _question)
FILE: Final = _private("file", _file)
MEDIUM: Final = _private("medium", _medium, missing=lambda: str(new_id()))
MEDIA_RUN: Final = _private("media run", _media_run)
PRESET: Final = _private("preset", _preset)
SHARE: Final = _private("share", _share)
PROMPT: Final = personal("prompt", "prompts.read", _prompt, missing=no_slug, private=True)
