"""An order of a task service: where it goes, what it costs, and which task is stored for it."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from dialects.chat.chat import Encoded
from dialects.chat.events import UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from lib.network.egress import EgressPolicy
from relay.media_tasks.video_order import Ordered, Source
from relay.operations.task_operations import OrderForm, SubmitTask, TaskAddress, refuse_task
from relay.operations.unary import Exchange

SOURCE = Source("task_1", "up_1", UUID(int=1), UUID(int=2), "m", 8, "")
FAULT = UpstreamError("upstream_error", "no", None)


def request(**over: Any) -> Any:
    known = {
        "body": "body", "model": "song", "prompt": "a song", "source_id": "task_1",
        "detail": {"action": "EXTEND"}, "hook": "", "pictures": 0, "text_bytes": 9,
        "max_cost_nano": 4,
    }  # fmt: skip
    return SimpleNamespace(**known | over)


def order(own: Any = None, *, while_running: bool = False, id_field: str = "taskId") -> SubmitTask:
    def read_accepted(raw: bytes) -> str:
        if raw == b"bad":
            raise AnswerFault(FAULT)
        return f"id of {raw.decode()}"

    service = OrderForm(
        "service", "songs", "notifyHook", cast(Any, SimpleNamespace(operation="suno")),
        lambda: "task_2", lambda one, id: Encoded(f"{one.prompt} of {id}".encode()),
        read_accepted, lambda raw, id: {"raw": raw, "id": id},
    )  # fmt: skip
    address = TaskAddress("music", "song-default", lambda raw: own or request(), id_field,
                          while_running)  # fmt: skip
    return SubmitTask(service, address)


def test_order_is_read_with_its_price_its_source_and_its_pictures() -> None:
    one = order(request(pictures=2))
    assert (one.kind, one.id_field, one.default_model) == ("service", "taskId", "song-default")
    facts = one.read(b"", Target())
    assert (facts.model, facts.text_bytes, facts.max_cost_nano) == ("song", 9, 4)
    assert (facts.body, facts.user, facts.media) == (cast(Any, "body"), "", {"image": 2})
    assert (facts.only_channel, facts.only_key) == (None, None)
    (unit,) = facts.units
    assert unit.bound({"requests": 1}) == {"requests": 1}
    assert unit.own_count({}, cast(Any, None)) == {"requests": 1}
    one.source = SOURCE
    about = one.read(b"", Target())
    assert (about.only_channel, about.only_key) == (UUID(int=1), UUID(int=2))
    assert order().read(b"", Target()).media == {}


def test_order_is_sent_to_its_address_with_the_providers_id_of_its_source() -> None:
    one = order(request(hook="https://a.example/h"))
    one.source, one.hook_secret = SOURCE, "secret"
    sending = one.send(one.read(b"", Target()), {"suno": "https://a.example"}, "song", "r")
    assert (sending.operation, sending.dialect, sending.path) == ("suno", "openai", "/submit/music")
    assert sending.encoded.body == b"a song of up_1"
    exchange = cast(Exchange, sending.exchange)
    accepted = exchange.accepted
    assert accepted is not None
    assert accepted.ordered == Ordered(
        "song", "a song", source_id="task_1", detail={"action": "EXTEND"},
        hook="https://a.example/h", hook_secret="secret",
    )  # fmt: skip
    assert accepted.upstream_id(b"1") == "id of 1"
    assert accepted.answer(b"1", 5) == {"raw": b"1", "id": "task_2"}
    assert accepted.form.operation == "suno"
    assert exchange.write(b"1", {}) == b"1"
    read = exchange.read(b"1")
    assert (read.error, read.quantities.meters) == (None, {})
    assert exchange.read(b"bad").error == FAULT


def test_order_that_no_channel_can_take_is_refused() -> None:
    one = order()
    one.source = SOURCE
    with pytest.raises(RequestFault) as refused:
        one.send(one.read(b"", Target()), {"videos": "https://a.example"}, "song", "r")
    assert refused.value.kind == "unsupported_capability"
    assert "has no songs" in refused.value.message


@pytest.mark.parametrize(
    "url", ["http://a.example/h", "https://a.example:8443/", "https://10.1.1.1"]
)
def test_hook_that_would_never_be_called_is_refused(url: str) -> None:
    one = order(request(hook=url))
    with pytest.raises(RequestFault) as refused:
        one.read(b"", Target())
    assert (refused.value.kind, refused.value.param) == ("invalid_value", "notifyHook")
    one.hook_policy = EgressPolicy(["10.0.0.0/8"])
    assert one.read(b"", Target()).own.hook == url


def test_source_of_an_order_is_named_where_its_address_has_one() -> None:
    assert order().source_id(b"") == "task_1"
    assert order(id_field="").source_id(b"") == ""
    bare = order().bare()
    assert (bare.source_id(b""), bare.default_model) == ("task_1", "song-default")


@pytest.mark.parametrize("state", ["queued", "running", "failed", "succeeded"])
def test_order_about_a_task_that_runs_is_only_taken_where_it_may(state: str) -> None:
    task: Any = SimpleNamespace(video=SimpleNamespace(id="t", state=state))
    for while_running in (False, True):
        refused = state == "failed" or (state != "succeeded" and not while_running)
        one = order(while_running=while_running)
        if not refused:
            one.check(task)
            continue
        with pytest.raises(RequestFault) as conflict:
            one.check(task)
        assert (conflict.value.kind, conflict.value.param) == ("conflict", "taskId")


def test_refusal_has_the_providers_words_or_says_that_it_gave_none() -> None:
    plain = refuse_task("F2", "provider_rejected", "23", "")
    assert (plain.fault, plain.kind, plain.code) == ("F2", "provider_rejected", "23")
    assert (plain.message, plain.detail) == ("The provider gave no reason.",) * 2
    assert refuse_task("F2", "provider_rejected", "23", "too long").detail == "too long"
