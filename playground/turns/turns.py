"""Turns: a question and the run that answers it. Starts, stops and ends them.

TurnRefused       the turn cannot be started; `field` says what is wrong with it
  ConversationBusy    an answer is being written in this conversation
"""

import datetime as dt
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext

from accounts.access.access import require
from accounts.access.actors import Actor, organisation_of, person_of
from lib import clock
from lib.ids import new_id, new_ids
from playground.answers.events import (
    PartialAnswer,
    answer_up_to,
    append_frames,
    notify_all,
    partial_answer,
)
from playground.attachments.attachments import mark_sent
from playground.compare.rules import COLUMNS_MAX
from playground.conversations.conversations import current_path, path_to
from playground.conversations.temporary_chats import STANDS_IDLE, STANDS_LEFT
from playground.conversations.title_rules import first_words
from playground.models import (
    Attachment,
    Conversation,
    Message,
    MessageRole,
    NamedBy,
    Run,
    RunState,
)
from playground.payers.paying import Payer
from playground.preferences.preferences import preference_of, unwatched_ms_of
from playground.rendering.render import Frame
from playground.turns.request import ChatMessage, Stored

TEXT_MAX = 1_000_000
ARRIVAL = dt.timedelta(seconds=10)
"""By then, the page that sent a turn, or was rendered, has opened its stream."""


class TurnRefused(ValueError):
    """The turn cannot be started; the text says why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class ConversationBusy(TurnRefused):
    """An answer is being written already."""

    def __init__(self) -> None:
        super().__init__(
            "text", gettext("An answer is still being written. Wait for it, or stop it.")
        )


@dataclass(frozen=True)
class Turn:
    """One answer to generate: the run, and the messages that it reads and writes. `fresh`: the run
    was just created; `user_message` is the message that it answers, a question or results of
    tools."""

    run: Run
    conversation: Conversation
    user_message: Message
    assistant_message: Message
    fresh: bool


@dataclass(frozen=True)
class Column:
    """Which model to ask, and how (in the stored form of its settings); `preset` is the id of the
    preset of these settings. `again` is the place in a comparison of the answer that it repeats or
    continues."""

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    preset: str = ""
    again: int | None = None


@dataclass(frozen=True)
class TurnForm:
    """The request of a form. `payer` pays for all of it. `retry` is a user message to answer again,
    `instead` a message that the text replaces as a new version. `results` are results of tools, and
    `answered` is the answer that called the tools."""

    columns: Sequence[Column]
    text: str
    token: UUID
    payer: Payer
    conversation: Conversation | None = None
    retry: UUID | None = None
    instead: UUID | None = None
    answered: UUID | None = None
    results: Sequence[Mapping[str, Any]] = ()
    files: Sequence[Attachment] = ()
    compare: bool = False
    blind: bool = False
    temporary: bool = False


# Reading ----------------------------------------------------------------------------------------


def request_path(run: Run) -> list[ChatMessage]:
    """Return the path of messages to send to the model."""
    return [
        ChatMessage(message.role, message.content, message.parts, message.reasoning)
        for message in _without_refused(path_to(run.user_message))
    ]


def messages_before(form: TurnForm, column: int = 0) -> list[Message]:
    """Return the path that a column of the form continues."""
    if form.conversation is None:
        return []
    parent = _parent_of(form.conversation, form, column, began=False)
    return _without_refused(path_to(parent)) if parent else []


def _without_refused(path: Iterable[Message]) -> list[Message]:
    """Leave out prompts that were refused. Results of tools stay: their calls need them."""
    history: list[Message] = []
    for message in path:
        if message.state != RunState.REFUSED:
            history.append(message)
        elif history and history[-1].role == MessageRole.USER:
            history.pop()
    return history


def draft_of(form: TurnForm, column: int = 0) -> list[ChatMessage]:
    """Return what would be sent to a column if the form were sent now. Nothing is written."""
    return draft_after(messages_before(form, column), form)


def draft_after(path: Iterable[Message], form: TurnForm) -> list[ChatMessage]:
    """Return what would be sent if the form continued this path."""
    messages = [
        ChatMessage(message.role, message.content, message.parts, message.reasoning)
        for message in path
    ]
    files = {"files": [facts_of(file) for file in form.files]} if form.files else {}
    return [*messages, ChatMessage("user", form.text, files)]


def files_of(path: Iterable[ChatMessage], organisation_id: UUID) -> dict[str, Stored]:
    """Return the files that a path refers to."""
    file_ids = [UUID(file["id"]) for message in path for file in message.parts.get("files", ())]
    attachments = Attachment.objects.filter(id__in=file_ids, organisation_id=organisation_id)
    return {
        str(file.id): Stored(file.name, file.kind, file.media_type, bytes(file.data))
        for file in attachments
    }


def facts_of(file: Attachment) -> dict[str, Any]:
    """Return what a message stores of its file."""
    return {"id": str(file.id), "name": file.name, "kind": file.kind, "size": file.size,
            "media_type": file.media_type, "facts": file.facts}  # fmt: skip


# Writing ----------------------------------------------------------------------------------------


def begin_turns(actor: Actor, form: TurnForm) -> list[Turn]:
    """Write the question, an empty answer and a run for each column. A token that was used before
    returns its existing turns.

    Raises TurnRefused for a text that is empty or too long, and ConversationBusy.
    """
    require(actor, "playground.use")
    before = _turns_of_token(actor, form.token)
    if before:
        return before
    again = form.retry is not None or form.answered is not None
    if not again and not form.text.strip() and not form.files:
        raise TurnRefused("text", gettext("Write a message first."))
    if len(form.text) > TEXT_MAX:
        raise TurnRefused("text", gettext("The message is too long."))
    try:
        with transaction.atomic():
            return _write_turns(actor, form)
    except IntegrityError as error:
        _refuse_if_busy(error)
        # The same form was sent twice concurrently, and the other request was first.
        before = _turns_of_token(actor, form.token)
        if not before:
            raise
        return before


def add_column(
    actor: Actor, conversation: Conversation, column: Column, token: UUID, payer: Payer
) -> Turn:
    """Send a further model the last question of a comparison. It becomes the next column, and its
    answer a version after the turns of the first column. Raises TurnRefused, ConversationBusy."""
    require(actor, "playground.use")
    try:
        return _add_column_once(actor, conversation, column, token, payer)
    except IntegrityError as error:
        _refuse_if_busy(error)
        raise


def _refuse_if_busy(error: IntegrityError) -> None:
    if "one_run_at_a_time" in str(error):
        raise ConversationBusy from error


def _add_column_once(
    actor: Actor, conversation: Conversation, column: Column, token: UUID, payer: Payer
) -> Turn:
    with transaction.atomic():
        locked = Conversation.objects.select_for_update().get(id=conversation.id)
        # The same form may be sent twice concurrently; the lock puts one after the other.
        if before := _turns_of_token(actor, token):
            return before[0]
        number = len(locked.columns)
        last = locked.runs.order_by("-id").first()
        if last is None or not 0 < number < COLUMNS_MAX:
            message = gettext("A comparison has up to %(n)s models.") % {"n": COLUMNS_MAX}
            raise TurnRefused("model", message)
        first = locked.runs.filter(batch=last.batch).order_by("column")[0]
        locked.columns.append(
            {"model": column.model, "settings": dict(column.settings), "preset": column.preset}
        )
        locked.key, locked.project = payer.chosen_key, payer.project
        locked.save(update_fields=["columns", "key", "project"])
        form = TurnForm([column], "", token, payer)
        return _write_run(
            actor=actor,
            conversation=locked,
            question=first.user_message,
            column=column,
            number=number,
            batch=first.batch,
            form=form,
        )


def _write_turns(actor: Actor, form: TurnForm) -> list[Turn]:
    conversation = form.conversation
    began = conversation is None
    if conversation is None:
        conversation = _new_conversation(actor, form)
    first = form.columns[0]
    columns: list[dict[str, Any]] = [
        {"model": column.model, "settings": dict(column.settings), "preset": column.preset}
        | ({"blind": True} if form.blind else {})
        for column in form.columns
    ]
    if not form.compare:
        columns = conversation.columns
    # The panel shows them again, and the next Send gives them to the columns without a preset.
    in_column = bool(columns) and not form.compare
    shared = [one.settings for one in form.columns if not (one.preset or in_column)]
    conversation.columns = columns
    conversation.key, conversation.project = form.payer.chosen_key, form.payer.project
    now = clock.now()
    Conversation.objects.filter(id=conversation.id).update(
        model=first.model,
        settings=shared[0] if shared else conversation.settings,
        columns=columns,
        key=conversation.key,
        project=conversation.project,
        team=form.payer.key.team_id,
        updated_at=now,
        archived_at=None,
        ends_at=now + STANDS_IDLE if conversation.ends_at else None,
    )
    batch = new_id()
    turns = []
    parents: dict[UUID | None, Message] = {}
    for place, column in enumerate(form.columns):
        number = column.again if in_column and column.again is not None else place
        parent = _parent_of(conversation, form, number, began=began)
        key = parent.id if parent else None
        if form.retry is not None and parent is not None:
            user_message = parent
        elif key in parents:
            user_message = parents[key]
        else:
            user_message = parents[key] = _write_question(conversation, form, parent, number)
        turns.append(
            _write_run(
                actor=actor,
                conversation=conversation,
                question=user_message,
                column=column,
                number=number,
                batch=batch,
                form=form,
            )
        )
    if turns[0].run.column == 0:
        leaf = turns[0].assistant_message
        Conversation.objects.filter(id=conversation.id).update(leaf=leaf)
    return turns


def _parent_of(
    conversation: Conversation, form: TurnForm, column: int, *, began: bool
) -> Message | None:
    """Return the parent of a column's question, or with `retry` the question itself."""
    if form.retry is not None:
        return _message(conversation, form.retry)
    if form.instead is not None:
        return _message(conversation, form.instead).parent
    if form.answered is not None:
        return _message(conversation, form.answered)
    if began:
        return None
    if conversation.columns:
        answers = conversation.messages.filter(role=MessageRole.ASSISTANT, column=column)
        return answers.filter(deleted_at=None).order_by("-id").first()
    path = current_path(conversation)
    return Message.objects.get(id=path[-1]) if path else None


def _write_question(
    conversation: Conversation, form: TurnForm, parent: Message | None, column: int
) -> Message:
    tool = form.answered is not None
    parts: dict[str, Any] = {"results": list(form.results)} if tool else {}
    if form.files:
        if mark_sent([file.id for file in form.files]) < len({file.id for file in form.files}):
            raise TurnRefused(
                "file", gettext("One of the files is no longer available. Attach it again.")
            )
        parts["files"] = [facts_of(file) for file in form.files]
    return Message.objects.create(
        conversation=conversation,
        parent=parent,
        role=MessageRole.TOOL if tool else MessageRole.USER,
        content="" if tool else form.text,
        parts=parts,
        column=column,
    )


def _write_run(
    actor: Actor,
    conversation: Conversation,
    question: Message,
    column: Column,
    number: int,
    batch: UUID,
    form: TurnForm,
) -> Turn:
    request_id = new_id()
    unwatched_ms = unwatched_ms_of(organisation_of(actor), person_of(actor))
    if conversation.ends_at is not None:
        # Nobody can continue from it.
        left_ms = STANDS_LEFT // dt.timedelta(milliseconds=1)
        unwatched_ms = left_ms if unwatched_ms is None else min(left_ms, unwatched_ms)
    answer = Message.objects.create(
        conversation=conversation,
        parent=question,
        role=MessageRole.ASSISTANT,
        model=column.model,
        state=RunState.RUNNING,
        request_id=request_id,
        column=number,
    )
    run = Run.objects.create(
        conversation=conversation,
        user_message=question,
        assistant_message=answer,
        user=person_of(actor),
        model=column.model,
        settings=dict(column.settings),
        batch=batch,
        column=number,
        token=form.token,
        request_id=request_id,
        # Read here, because a process may have been forked after importing this module.
        process=f"{socket.gethostname()[:60]}:{os.getpid()}",
        unwatched_ms=unwatched_ms,
        watched_until=None if unwatched_ms is None else clock.now() + ARRIVAL,
    )
    answer.run = run
    answer.save(update_fields=["run"])
    return Turn(
        run=run,
        conversation=conversation,
        user_message=question,
        assistant_message=answer,
        fresh=True,
    )


def _new_conversation(actor: Actor, form: TurnForm) -> Conversation:
    title = first_words(form.text or ", ".join(file.name for file in form.files))
    named = preference_of(person_of(actor)).title_model
    if form.temporary:
        # A temporary chat has a fixed title, because the title appears in the browser's history.
        title, named = gettext("Temporary chat"), ""
    return Conversation.objects.create(
        organisation=organisation_of(actor),
        team=form.payer.key.team,
        user=person_of(actor),
        title=title,
        named_by=NamedBy.PENDING if named else NamedBy.WORDS,
        model=form.columns[0].model,
        ends_at=clock.now() + STANDS_IDLE if form.temporary else None,
        visit=new_id() if form.temporary else None,
    )


def _message(conversation: Conversation, id: UUID) -> Message:
    message = conversation.messages.filter(id=id, deleted_at=None).first()
    if message is None:
        raise Http404
    return message


def _turns_of_token(actor: Actor, token: UUID) -> list[Turn]:
    runs = Run.objects.select_related("conversation", "user_message", "assistant_message")
    token_runs = runs.filter(user=actor.user, token=token).order_by("column")
    return [
        Turn(run, run.conversation, run.user_message, run.assistant_message, fresh=False)
        for run in token_runs
    ]


def request_stop(run: Run, *, left: bool = False, stop_seq: int | None = None) -> None:
    """Mark a run to be stopped, and notify the process that carries it, which then ends it. `left`:
    nobody is watching the run any more. `stop_seq`: the number of the last event that the page has
    shown to the person who stops it."""
    with transaction.atomic():
        with connection.cursor() as cursor:  # a stop waits for no disk; like a run's events
            cursor.execute("SET LOCAL synchronous_commit = off")
        Run.objects.filter(id=run.id, ended_at=None, stop_at=None).update(
            stop_at=clock.now(), left=left, stop_seq=stop_seq
        )
        notify_all(run.id)


def end_run(
    run_id: UUID,
    state: RunState,
    outcome: Mapping[str, Any],
    answer: PartialAnswer,
    frames: Sequence[Frame],
    parts: Mapping[str, Any] | None = None,
    further_choices: Sequence[str] = (),
) -> bool:
    """End a run: store the whole text in the message, and the last frames as events.
    `further_choices` are further answers of the same request, which become versions. A stopped
    answer has only what the page of its reader had shown. Return False if the run had ended
    before."""
    with transaction.atomic():
        run = Run.objects.select_for_update().filter(id=run_id, ended_at=None).first()
        if run is None:
            return False
        append_frames(run_id, answer.seq + 1, frames)
        if state == RunState.STOPPED and run.stop_seq is not None:
            answer = answer_up_to(run_id, run.stop_seq)
        now = clock.now()
        Run.objects.filter(id=run_id).update(state=state, ended_at=now, outcome=dict(outcome))
        Message.objects.filter(id=run.assistant_message_id).update(
            content=answer.text, reasoning=answer.reasoning, state=state, parts=dict(parts or {})
        )
        # Ids of one millisecond are in no order, but versions are ordered by id.
        for id, text in zip(sorted(new_ids(len(further_choices))), further_choices, strict=True):
            Message.objects.create(
                id=id,
                conversation_id=run.conversation_id,
                parent_id=run.user_message_id,
                role=MessageRole.ASSISTANT,
                content=text,
                model=run.model,
                run=run,
                state=state,
                request_id=run.request_id,
                column=run.column,
            )
        Conversation.objects.filter(id=run.conversation_id).update(updated_at=now)
        notify_all(run_id)
        with connection.cursor() as cursor:  # unlike its frames, the answer itself must be durable
            cursor.execute("SET LOCAL synchronous_commit = on")
    return True


def lost_runs(before: dt.datetime) -> QuerySet[Run]:
    """Return runs without a heartbeat since `before`."""
    return Run.objects.filter(ended_at=None, heartbeat_at__lt=before).select_related(
        "conversation__organisation", "assistant_message", "user_message"
    )


def answer_so_far(run: Run) -> PartialAnswer | None:
    """Return the text of a run up to now. If the run has ended in the meantime, return None and
    update `run`, because a page that shows it as running would wait for an end that has already
    happened."""
    answer = partial_answer(run.id)
    run.refresh_from_db()
    return answer if run.state == RunState.RUNNING else None
