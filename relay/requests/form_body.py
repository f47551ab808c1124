"""The form of a request: parsed as it arrives, limited in size and time."""

from pathlib import Path
from typing import Final

from dialects.errors.errors import RequestFault
from dialects.json import forms
from dialects.json.forms import FormReader, PartHead
from lib.process.asgi import Receive
from lib.process.waiting import timeout
from relay.config import MIB, RelayConfig
from relay.errors import ClientGone
from relay.requests.body import TooLarge
from relay.requests.uploads import Form, UploadedFile

FORM_BYTES_MAX: Final = 128 * MIB
_TEXT_BYTES_MAX: Final = MIB
# Sixteen pictures and a mask.
_FILES_MAX: Final = 17


async def read_form(
    receive: Receive, content_type: str, length: int | None, config: RelayConfig, form: Form
) -> None:
    """Read the form of a request. Raises RequestFault, ClientGone; the owner of the form closes
    it.
    """
    reader = FormReader(forms.boundary_of(content_type))
    seconds = max(config.body_wait_s, (length or 0) // config.body_rate_min)
    filling = _Filling(form, config.spool_folder)
    try:
        async with timeout(seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                more = message["more_body"]
                filling.add(reader, message["body"])
    except TimeoutError:
        what = f"the body did not arrive within {int(seconds)} s; send it again"
        raise RequestFault("request_timeout", None, what) from None
    if not reader.ended:
        raise RequestFault("malformed_json", None, "the form does not come to its end")
    filling.end()


class _Filling:
    """A form that is being received."""

    def __init__(self, form: Form, folder: Path | None) -> None:
        self._form = form
        self._folder = folder if folder is not None and folder.is_dir() else None
        self._size = self._text_size = 0
        self._name: str | None = None
        self._text: list[bytes] = []

    def add(self, reader: FormReader, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > FORM_BYTES_MAX:
            raise TooLarge(self._size, FORM_BYTES_MAX)
        self._form.hold(len(chunk))
        for part in reader.feed(chunk):
            if isinstance(part, PartHead):
                self.end()
                self._begin(part)
            elif self._name is None:
                self._form.files[-1].write(part)
            else:
                self._text_size += len(part)
                if self._text_size > _TEXT_BYTES_MAX:
                    raise TooLarge(self._text_size, _TEXT_BYTES_MAX)
                self._text.append(part)

    def end(self) -> None:
        """Finish the part of the form that was read last."""
        if self._name is not None:
            try:
                self._form.texts.append((self._name, b"".join(self._text).decode()))
            except UnicodeDecodeError:
                what = f"{self._name[:64]} is not UTF-8"
                raise RequestFault("malformed_json", None, what) from None
        self._name, self._text = None, []

    def _begin(self, head: PartHead) -> None:
        if head.filename is None:
            self._name = head.name
        elif len(self._form.files) >= _FILES_MAX:
            raise RequestFault("malformed_json", None, f"it has more than {_FILES_MAX} files")
        else:
            self._form.files.append(UploadedFile(head, self._folder))
