"""How a request is read from its client: how long its body may take, what a header that comes twice
means, and what becomes of its files."""

import asyncio
import json
from typing import Any, Self, cast

import pytest

from accounts.limits.data_policy import DataPolicy
from dialects.errors.errors import RequestFault
from dialects.json.forms import PartHead
from lib.process.asgi import Message
from relay.config import RelayConfig
from relay.requests import body, form_body, uploads
from relay.requests.headers import RequestHeaders, read_headers
from relay.requests.uploads import Form, OutgoingForm, UploadedFile
from usage.sessions.sources import CAP_HEADER

CONFIG = RelayConfig(dsn="", kek="", pepper="", body_wait_s=60.0, body_rate_min=1024)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


class Late:
    """A limit of time that is over at once."""

    def __init__(self, seconds: float) -> None:
        pass

    async def __aenter__(self) -> Self:
        raise TimeoutError

    async def __aexit__(self, *_: object) -> None: ...


async def first_piece() -> Message:
    return {"type": "http.request", "body": b"{", "more_body": True}


@pytest.mark.parametrize("of", ["body", "form"])
@pytest.mark.parametrize(
    ("length", "seconds"), [(None, 60), (1024, 60), (61 * 1024, 61), (600 * 1024, 600)]
)
async def test_large_body_may_take_as_long_as_at_the_lowest_accepted_rate(
    monkeypatch: pytest.MonkeyPatch, of: str, length: int | None, seconds: int
) -> None:
    monkeypatch.setattr(body, "timeout", Late)
    monkeypatch.setattr(form_body, "timeout", Late)
    form = "multipart/form-data; boundary=b"
    reading = (
        body.read_body(first_piece, length, 10**9, CONFIG)
        if of == "body"
        else form_body.read_form(first_piece, form, length, CONFIG, Form())
    )
    with pytest.raises(RequestFault) as late:
        await reading
    assert late.value.kind == "request_timeout"
    assert f"within {seconds} s" in late.value.message


# ---- headers that come twice


def read(*lines: tuple[str, str]) -> RequestHeaders:
    return read_headers([(name.encode(), value.encode()) for name, value in lines], 100)


def test_data_policies_of_two_headers_both_apply() -> None:
    keeping = ("x-weir-data-policy", json.dumps({"zero_retention": True}))
    placing = ("x-weir-data-policy", json.dumps({"regions": ["eu"]}))
    for lines in ((keeping, placing), (placing, keeping)):
        policy: DataPolicy = read(*lines).data_policy
        assert policy.why_not(zero_retention=True, region="eu-west-1") is None
        assert policy.why_not(zero_retention=False, region="eu-west-1") == "retention"
        assert policy.why_not(zero_retention=True, region="us") == "region"


def test_lowest_of_two_session_budgets_applies() -> None:
    for amounts in (("0.5", "0.25"), ("0.25", "0.5")):
        headers = read(*((CAP_HEADER, amount) for amount in amounts))
        assert headers.session_cap_nano == 250_000_000


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("true", True), ("1", True), (" TRUE ", True), ("false", False), ("0", False)],
)
def test_cost_is_included_if_the_header_says_so(value: str, wanted: bool) -> None:
    assert read(("x-weir-include-cost", value)).include_cost is wanted
    assert read().include_cost is None


# ---- files


def uploaded(name: str | None, content: bytes = PNG) -> UploadedFile:
    file = UploadedFile(PartHead("image", name or ""), None)
    file.write(content)
    file.check("image")
    return file


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("cat.png", "cat.png"),
        ("Cat.PNG", "Cat.PNG"),
        # Providers go by the name, so it follows the content.
        ("cat.jpg", "cat.png"),
        ("cat", "cat.png"),
        ("my.cat.txt", "my.cat.png"),
        (None, "file.png"),
    ],
)
def test_file_is_sent_with_the_name_and_type_of_its_content(given: str | None, sent: str) -> None:
    file = uploaded(given)
    assert (file.filename, file.media_type) == (sent, "image/png")
    form = OutgoingForm(b"{}", [file])
    written = b"".join(form.pieces())
    assert f'name="image"; filename="{sent}"'.encode() in written
    assert b"image/png" in written
    assert len(written) == form.size


def test_empty_file_is_refused_by_its_field() -> None:
    with pytest.raises(RequestFault) as empty:
        uploaded("cat.png", b"")
    assert (empty.value.kind, empty.value.param) == ("invalid_value", "image")


def form_of(*files: tuple[str, bytes]) -> Form:
    form = Form()
    for field, content in files:
        form.add(PartHead(field, "a.png"), content)
    return form


async def test_repeated_form_is_one_with_the_same_files_in_the_same_fields() -> None:
    """An Idempotency-Key of another form is refused by this."""
    forms = {
        "same": form_of(("image", PNG), ("mask", PNG + b"1")),
        "again": form_of(("image", PNG), ("mask", PNG + b"1")),
        "other field": form_of(("image", PNG), ("image", PNG + b"1")),
        "other file": form_of(("image", PNG), ("mask", PNG + b"2")),
        "moved bytes": form_of(("image", PNG + b"1"), ("mask", PNG)),
    }
    digests = {name: await form.digest() for name, form in forms.items()}
    assert digests["same"] == digests["again"]
    assert len(set(digests.values())) == 4


def test_space_of_a_form_is_free_again_once_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_held_bytes", 0)
    for _ in range(3):
        form = Form()
        form.hold(uploads.ALL_BYTES_MAX)
        with pytest.raises(RequestFault) as full:
            Form().hold(1)
        assert full.value.kind == "overloaded"
        form.close()
        # Closed once more, nothing is counted twice.
        form.close()


def test_end_of_a_file_is_read_wherever_the_file_was(tmp_path: Any) -> None:
    """A long one is on the disk."""
    for size in (100, uploads.FILE_BYTES_IN_MEMORY + 100):
        file = UploadedFile(PartHead("file", "a.wav"), tmp_path)
        file.write(b"begin" + bytes(size))
        file.write(b"end")
        assert file.size == size + 8
        for _ in range(2):
            assert file.head(5) == b"begin"
            assert file.tail(3) == b"end"
            assert sum(map(len, file.pieces())) == file.size
        file.close()


def test_pieces_of_a_body_are_joined_in_order() -> None:
    pieces = iter((b"{", b'"a"', b":1}"))
    left = [2, 1, 0]

    async def receive() -> Message:
        return {"type": "http.request", "body": next(pieces), "more_body": left.pop(0) > 0}

    assert asyncio.run(body.read_body(cast(Any, receive), None, 100, CONFIG)) == b'{"a":1}'
