"""The files of a message, as pages show them."""

from collections.abc import Iterable
from dataclasses import dataclass

from accounts.access.actors import Actor
from lib.numbers import formatting
from playground.attachments.rules import FileInfo, estimated_tokens
from playground.conversations.conversations import access_attachment
from playground.models import Attachment


@dataclass(frozen=True)
class Chip:
    """A file with its size and approximate number of tokens."""

    file: Attachment
    size: str
    tokens: int

    @property
    def id(self) -> str:
        return self.file.text_id


def chips(actor: Actor, ids: Iterable[str]) -> list[Chip]:
    """Return the files with these ids. Raises Http404 for another person's file."""
    return [chip_of(access_attachment(actor, id)) for id in ids]


def chip_of(file: Attachment) -> Chip:
    info = FileInfo(file.kind, file.media_type, file.facts)
    return Chip(file, formatting.data_size(file.size), estimated_tokens(info, file.size))
