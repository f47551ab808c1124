"""Conversations: who may see them, and one function for each way in which they are written.

TurnRefused       the turn cannot be begun; `field` says what is wrong with it
  ConversationBusy    an answer is being written in this conversation
"""

import datetime as dt
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext

from accounts.access import Actor, require
from accounts.keys import playground_key
from accounts.models import Membership, Organisation, User
from lib import clock
from lib.ids import new_id, parse_id
from playground.events import SoFar, append_frames, ring_all, so_far
from playground.models import Conversation, Message, MessageRole, Run, RunState
from playground.rules.render import Frame

TEXT_MAX = 1_000_000
_TITLE = 80
_CHATS_SHOWN = 100
PROCESS = f"{socket.gethostname()[:60]}:{os.getpid()}"


class TurnRefused(ValueError):
    """The turn cannot be begun; the text says why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class ConversationBusy(TurnRefused):
    """An answer is being written already."""

    def __init__(self) -> None:
        super().__init__("text", gettext("An answer is being written. Wait for it, or stop it."))


@dataclass(frozen=True)
class Turn:
    """One Send: the run, and the messages that it reads and writes. `fresh` = made just now."""

    run: Run
    conversation: Conversation
    user_message: Message
    assistant_message: Message
    fresh: bool
    began_conversation: bool = False
    wrote_user_message: bool = False


@dataclass(frozen=True)
class Asked:
    """What a form asks for. `retry` is a user message that shall be answered once more."""

    model: str
    text: str
    token: UUID
    conversation: Conversation | None = None
    retry: UUID | None = None


def organisation_of(actor: Actor) -> Organisation:
    """The organisation of whoever came in by `organisation_page`."""
    return cast(Organisation, actor.organisation)


def person_of(actor: Actor) -> User:
    """The person of whoever came in by `organisation_page`."""
    return cast(User, actor.user)


# Access -----------------------------------------------------------------------------------------


def visible_conversations(actor: Actor) -> QuerySet[Conversation]:
    """The conversations of the actor, last used first: a chat is read by its author alone."""
    require(actor, "playground.read")
    return Conversation.objects.filter(organisation=actor.organisation, user=actor.user).order_by(
        "-updated_at"
    )


def access_conversation(actor: Actor, id: str) -> Conversation:
    """One conversation of the actor. Http404 when it is another's or none."""
    found = visible_conversations(actor).filter(id=_id(id)).first()
    if found is None:
        raise Http404
    return found


def access_run(actor: Actor, id: str) -> Run:
    """One run in a conversation of the actor. Http404 when it is another's or none."""
    runs = Run.objects.select_related(
        "conversation__organisation", "assistant_message__run", "user_message"
    )
    found = runs.filter(id=_id(id), conversation__in=visible_conversations(actor)).first()
    if found is None:
        raise Http404
    return found


def _id(text: str) -> UUID:
    id = parse_id(text)
    if id is None:
        raise Http404
    return id


# Reading ----------------------------------------------------------------------------------------


def latest_path(conversation: Conversation, leaf: Message | None = None) -> list[Message]:
    """The messages from the first one to `leaf`, by default to the newest."""
    by_id = {message.id: message for message in conversation.messages.select_related("run")}
    if leaf is None and by_id:
        # Ids of one millisecond have no order, but an answer is never its own parent.
        parents = {message.parent_id for message in by_id.values()}
        leaf = by_id[max(by_id.keys() - parents)]
    path: list[Message] = []
    while leaf is not None:
        path.append(leaf)
        leaf = by_id.get(leaf.parent_id) if leaf.parent_id else None
    return path[::-1]


def history(turn: Turn) -> list[dict[str, str]]:
    """What is sent to the model: the path to the user's message; answers without text are left."""
    return [
        {"role": message.role, "content": message.content}
        for message in latest_path(turn.conversation, turn.user_message)
        if message.content
    ]


# Writing ----------------------------------------------------------------------------------------


def begin_turn(actor: Actor, asked: Asked) -> Turn:
    """Write the user's message, the empty answer and the run; a token that was used gives its turn.

    Raises TurnRefused for a text that is empty or too long, ConversationBusy.
    """
    require(actor, "playground.use")
    before = _turn_of_token(actor, asked.token)
    if before is not None:
        return before
    if asked.retry is None and not asked.text.strip():
        raise TurnRefused("text", gettext("Write a message first."))
    if len(asked.text) > TEXT_MAX:
        raise TurnRefused("text", gettext("The message is too long."))
    try:
        with transaction.atomic():
            return _write_turn(actor, asked)
    except IntegrityError as error:
        if "one_run_at_a_time" in str(error):
            raise ConversationBusy from error
        # The same form was sent twice at once, and the other one was first.
        before = _turn_of_token(actor, asked.token)
        if before is None:
            raise
        return before


def _write_turn(actor: Actor, asked: Asked) -> Turn:
    conversation, now = asked.conversation, clock.now()
    began = conversation is None
    if conversation is None:
        conversation = _new_conversation(actor, asked)
    else:
        Conversation.objects.filter(id=conversation.id).update(model=asked.model, updated_at=now)
    if asked.retry is not None:
        user_message = _message_to_retry(conversation, asked.retry)
    else:
        path = [] if began else latest_path(conversation)
        user_message = Message.objects.create(
            conversation=conversation,
            parent=path[-1] if path else None,
            role=MessageRole.USER,
            content=asked.text.replace("\x00", ""),
        )
    request_id = new_id()
    answer = Message.objects.create(
        conversation=conversation,
        parent=user_message,
        role=MessageRole.ASSISTANT,
        model=asked.model,
        state=RunState.RUNNING,
        request_id=request_id,
    )
    run = Run.objects.create(
        conversation=conversation,
        user_message=user_message,
        assistant_message=answer,
        user=person_of(actor),
        model=asked.model,
        token=asked.token,
        request_id=request_id,
        process=PROCESS,
    )
    answer.run = run
    answer.save(update_fields=["run"])
    return Turn(run, conversation, user_message, answer, True, began, asked.retry is None)


def _new_conversation(actor: Actor, asked: Asked) -> Conversation:
    return Conversation.objects.create(
        organisation=organisation_of(actor),
        team=playground_key(organisation_of(actor)).team,
        user=person_of(actor),
        title=_title(asked.text),
        model=asked.model,
    )


def _title(text: str) -> str:
    """The first line that says something, without the marks of Markdown before it."""
    lines = (line.strip().lstrip("#>*-` ") for line in text.splitlines())
    return next((line for line in lines if line), text.strip())[:_TITLE]


def _message_to_retry(conversation: Conversation, id: UUID) -> Message:
    message = conversation.messages.filter(id=id, role=MessageRole.USER).first()
    if message is None:
        raise Http404
    return message


def _turn_of_token(actor: Actor, token: UUID) -> Turn | None:
    runs = Run.objects.select_related("conversation", "user_message", "assistant_message")
    run = runs.filter(user=actor.user, token=token).first()
    if run is None:
        return None
    return Turn(run, run.conversation, run.user_message, run.assistant_message, fresh=False)


def forget_turn(turn: Turn) -> None:
    """Take back a turn that was refused before it cost anything: its text is the composer's."""
    with transaction.atomic():
        if turn.began_conversation:
            turn.conversation.delete()
            return
        turn.assistant_message.delete()
        if turn.wrote_user_message:
            turn.user_message.delete()


def ask_to_stop(run: Run) -> None:
    """Mark a run to be stopped, and ring: whichever process carries it ends it."""
    with transaction.atomic():
        Run.objects.filter(id=run.id, ended_at=None, stop_at=None).update(stop_at=clock.now())
        ring_all(run.id)


def end_run(
    run_id: UUID,
    state: RunState,
    outcome: Mapping[str, Any],
    written: SoFar,
    frames: Sequence[Frame],
) -> bool:
    """End a run: the message gets its whole text, the events their last frames. False = it had
    ended before."""
    with transaction.atomic():
        run = Run.objects.select_for_update().filter(id=run_id, ended_at=None).first()
        if run is None:
            return False
        append_frames(run_id, written.seq + 1, frames)
        now = clock.now()
        Run.objects.filter(id=run_id).update(state=state, ended_at=now, outcome=dict(outcome))
        Message.objects.filter(id=run.assistant_message_id).update(
            content=written.text, reasoning=written.reasoning, state=state
        )
        Conversation.objects.filter(id=run.conversation_id).update(updated_at=now)
        ring_all(run_id)
        with connection.cursor() as cursor:  # unlike its frames, the answer itself is durable
            cursor.execute("SET LOCAL synchronous_commit = on")
    return True


def lost_runs(before: dt.datetime) -> QuerySet[Run]:
    """Runs whose carrier has not been heard of since `before`."""
    return Run.objects.filter(ended_at=None, heartbeat_at__lt=before).select_related(
        "conversation__organisation", "assistant_message", "user_message"
    )


def written_so_far(run: Run) -> SoFar:
    """The text that a running run has written."""
    return so_far(run.id)


def chats_shown(actor: Actor) -> list[Conversation]:
    """The conversations of the list, last used first."""
    return list(visible_conversations(actor)[:_CHATS_SHOWN])


def running_conversations(actor: Actor) -> dict[UUID, Run]:
    """The runs that go on now, by conversation."""
    runs = Run.objects.filter(
        ended_at=None,
        conversation__organisation=actor.organisation,
        conversation__user=actor.user,
    )
    return {run.conversation_id: run for run in runs}


def may_still_read(actor: Actor) -> bool:
    """Whether the person of an open page is still a member who may sign in."""
    return Membership.objects.filter(
        user=actor.user, user__is_active=True, organisation=actor.organisation
    ).exists()
