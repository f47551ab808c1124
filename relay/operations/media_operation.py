"""Shared parts of operations whose body may be a form with files."""

import base64
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final, Self

from dialects.errors.errors import RequestFault
from dialects.json import forms
from dialects.media.file_types import Kind
from dialects.usage.usage import Quantities
from relay.operations.unary import UnaryOperation
from relay.requests.uploads import Form, UploadedFile

NOT_TOLD: Final = Quantities({}, ("usage_missing",))
_FILES_IN_BODY_MAX: Final = 20 * 1024 * 1024


class MediaOperation(UnaryOperation):
    """An operation whose body may be a form. `file_kind` is the kind of its files."""

    file_kind: Kind
    field_kinds: Mapping[str, type] = {}

    def __init__(self) -> None:
        self.form: Form | None = None

    def of_form(self, form: Form) -> Self:
        """Return the operation for one request with these files."""
        bound = self.bare()
        bound.form = form
        return bound

    def members_of(self, form: Form) -> bytes:
        """Return the texts of a form as JSON."""
        return forms.members_of(form.texts, self.field_kinds)

    @abstractmethod
    def bare(self) -> Self:
        """Return an instance of the same operation without files."""

    def check_files(self) -> None:
        """Check that every file is of the required kind. Raises RequestFault."""
        for file in self.files:
            file.check(self.file_kind)

    @property
    def files(self) -> Sequence[UploadedFile]:
        return () if self.form is None else self.form.files

    @property
    def file_names(self) -> list[str] | None:
        """Return the names of the fields that are files; None for a JSON body."""
        return None if self.form is None else [file.name for file in self.form.files]


def data_urls_of(files: Sequence[UploadedFile]) -> list[str]:
    """Return files as data URLs. Raises RequestFault if they are too large for a body."""
    size = sum(file.size for file in files)
    if size > _FILES_IN_BODY_MAX:
        raise RequestFault(
            "body_too_large", files[0].name, "the files", size=size, limit=_FILES_IN_BODY_MAX
        )
    return [
        f"data:{file.media_type};base64,{base64.b64encode(b''.join(file.pieces())).decode()}"
        for file in files
    ]
