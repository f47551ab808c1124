"""Periodic jobs: runs of dead processes, events, deleted and temporary chats, unused files, erased
people."""

from celery import shared_task

from lib import clock
from playground.answers import events
from playground.attachments import attachments
from playground.conversations import conversations, temporary_chats
from playground.erasure import erasure_steps
from playground.media import media
from playground.runs import runs


@shared_task  # type: ignore[untyped-decorator]
def interrupt_lost_runs() -> None:
    runs.interrupt_lost_runs()
    media.interrupt_lost_media()


@shared_task  # type: ignore[untyped-decorator]
def drop_expired_events() -> None:
    events.drop_expired(clock.now())


@shared_task  # type: ignore[untyped-decorator]
def drop_deleted_chats() -> None:
    conversations.drop_deleted(clock.now())


@shared_task  # type: ignore[untyped-decorator]
def drop_temporary_chats() -> None:
    temporary_chats.drop_temporary(clock.now())


@shared_task  # type: ignore[untyped-decorator]
def drop_unsent_files() -> None:
    attachments.drop_unsent(clock.now())


@shared_task  # type: ignore[untyped-decorator]
def erase_people() -> int:
    return erasure_steps.erase_people()
