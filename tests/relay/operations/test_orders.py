"""What is ordered of a provider, and what is billed for it, by the facts of the request alone."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from dialects.codec import Target
from dialects.errors.errors import RequestFault
from lib.network.egress import EgressPolicy
from notify.endpoints.signing import key_secret
from relay.answers.accepted_video import _task
from relay.counting.tokenizer import count_texts
from relay.counting.vocabularies import family_of
from relay.media_tasks import media_tasks
from relay.media_tasks.video_order import AcceptedVideo, Ordered, Source
from relay.operations.sourced_operation import SourcedOperation, about_its_source
from relay.operations.unary import EMBEDDINGS, MODERATIONS, RERANK_COHERE, Exchange, Unit
from relay.operations.video_operations import VIDEOS, Remix

GPT = family_of("gpt-5")
SOURCE = Source("video_1", "up_1", UUID(int=1), UUID(int=2), "sora-2", 8, "720x1280")


# ---- what is billed


def test_own_count_is_by_the_first_way_that_the_price_has() -> None:
    units = (Unit("in_text", 9, lambda _: 3), Unit("searches", 2, lambda _: 1))
    exchange = Exchange(cast(Any, None), cast(Any, None), units)
    assert exchange.counted_here({"in_text": 1, "searches": 1}, GPT) == {"in_text": 3}
    assert exchange.counted_here({"searches": 1}, GPT) == {"searches": 1}
    assert exchange.counted_here({}, GPT) == {"in_text": 3}
    assert units[1].bound({"searches": 1}) == {"searches": 2}
    assert units[1].bound({"in_text": 1}) is None


@pytest.mark.parametrize(
    ("input", "wanted"),
    [("one two", 2), (["one two", "three"], 3), ([11, 12, 13], 3), ([[11, 12], [13]], 3)],
)
def test_embedded_tokens_are_counted_by_text_or_by_number(input: Any, wanted: int) -> None:
    facts = EMBEDDINGS.read(json.dumps({"model": "m", "input": input}).encode(), Target())
    (unit,) = facts.units
    assert unit.own_count({}, GPT) == {"in_text": wanted}


def test_ranked_query_is_read_with_each_document() -> None:
    body = {"model": "m", "query": "one two", "documents": ["three", "four five"]}
    facts = RERANK_COHERE.read(json.dumps(body).encode(), Target())
    texts, searches = facts.units
    assert texts.own_count({}, GPT) == {"in_text": 2 * 2 + 3}
    assert searches.own_count({}, GPT) == {"searches": 1}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("four five", "four five"),
        ({"text": "four five"}, "four five"),
        # What else a provider reads of a document counts as it is written.
        ({"title": "four five", "text": ""}, '{"title": "four five", "text": ""}'),
        ({"title": "four five"}, '{"title": "four five"}'),
    ],
)
def test_documents_are_counted_with_all_that_they_have(document: Any, text: str) -> None:
    body = {"model": "m", "query": "one", "documents": [document]}
    texts, _ = RERANK_COHERE.read(json.dumps(body).encode(), Target()).units
    assert texts.own_count({}, GPT) == {"in_text": 1 + count_texts((text,), GPT)}


def test_moderation_without_a_model_has_the_usual_one() -> None:
    assert MODERATIONS.read(b'{"input": "x"}', Target()).model == MODERATIONS.default_model
    assert MODERATIONS.default_model


@pytest.mark.parametrize("seconds", ["4", "12"])
def test_video_is_billed_by_the_milliseconds_that_are_ordered(seconds: str) -> None:
    body = {"model": "sora-2", "prompt": "x", "seconds": seconds}
    facts = VIDEOS.read(json.dumps(body).encode(), Target())
    for unit in facts.units:
        (count,) = unit.own_count({}, GPT).values()
        assert count == 1_000 * int(seconds)
    assert facts.media == {}
    picture = {"input_reference": {"image_url": "https://a.example/p.png"}}
    with_picture = VIDEOS.read(json.dumps(body | picture).encode(), Target())
    assert with_picture.media == {"image": 1}


def test_remix_is_ordered_where_its_source_is_and_is_as_long() -> None:
    facts = Remix(SOURCE).read(b'{"prompt": "again"}', Target())
    assert (facts.only_channel, facts.only_key, facts.model) == (UUID(int=1), UUID(int=2), "sora-2")
    (count,) = facts.units[0].own_count({}, GPT).values()
    assert count == 8_000
    assert (facts.own.seconds, facts.own.size, facts.own.prompt) == (8, "720x1280", "again")


# ---- an order about an earlier one


class Again(SourcedOperation):
    kind, id_field = "service", "taskId"

    def source_id(self, raw: bytes) -> str:
        return str(json.loads(raw).get("taskId", ""))

    def bare(self) -> "Again":
        return Again()

    def read(self, raw: bytes, target: Target) -> Any: ...
    def send(self, *_: Any) -> Any: ...


def task(state: str = "succeeded") -> Any:
    video = SimpleNamespace(id="t", state=state, model="m")
    return SimpleNamespace(
        video=video, upstream_id="up_1", channel_id=UUID(int=1), channel_key_id=UUID(int=2)
    )


async def about(monkeypatch: pytest.MonkeyPatch, body: dict[str, Any], **tasks: Any) -> Any:
    asked: list[Any] = []

    async def find(states: Any, principal: Any, ids: Any, kind: str) -> Any:
        asked.append((tuple(ids), kind))
        return tasks

    monkeypatch.setattr(media_tasks, "find", find)
    raw = json.dumps(body).encode()
    bound = await about_its_source(
        Again(), cast(Any, None), cast(Any, None), raw, "sk-key", ("10.0.0.0/8",)
    )
    assert asked == ([(("t",), "service")] if body else [])
    return bound


async def test_order_goes_to_the_channel_and_key_of_the_task_that_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound = await about(monkeypatch, {"taskId": "t"}, t=task())
    source = bound.source
    assert (source.public_id, source.upstream_id, source.model) == ("t", "up_1", "m")
    assert (source.channel_id, source.channel_key_id) == (UUID(int=1), UUID(int=2))
    assert bound.upstream_id("t") == "up_1"
    # Hooks are signed by the key's own secret, and may be in the operator's networks.
    assert bound.hook_secret == key_secret("sk-key")
    assert vars(bound.hook_policy) == vars(EgressPolicy(["10.0.0.0/8"]))
    plain = await about(monkeypatch, {})
    assert (plain.source, plain.upstream_id("")) == (None, "")


@pytest.mark.parametrize("state", ["queued", "running", "failed", None])
async def test_order_about_a_task_that_is_not_there_or_not_finished_is_refused(
    monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    tasks = {} if state is None else {"t": task(state)}
    with pytest.raises(RequestFault) as fault:
        await about(monkeypatch, {"taskId": "t"}, **tasks)
    assert (fault.value.kind, fault.value.param) == (
        "task_not_found" if state is None else "conflict", "taskId",
    )  # fmt: skip


# ---- the task that is stored for it


def stored(*, keeps: int = 1, own: Any = None, ordered: Ordered | None = None) -> Any:
    principal = SimpleNamespace(
        retention_hours=keeps, organisation_id=UUID(int=3), team_id=UUID(int=4), key_id=UUID(int=5)
    )
    context: Any = SimpleNamespace(
        principal=principal, request_id=UUID(int=6), invocation=SimpleNamespace(operation="videos")
    )
    channel = SimpleNamespace(uuid=UUID(int=1), key_ids=(UUID(int=8), UUID(int=9)), own=own)
    admitted: Any = SimpleNamespace(channel=channel, hold=SimpleNamespace(attempt_id=UUID(int=7)))
    accepted: Any = SimpleNamespace(
        public_id="task_1", form=SimpleNamespace(operation="kling_videos"),
        ordered=ordered or Ordered("m" * 300, "a cat", 8, "720x1280", "task_0", {"seed": 1}),
    )  # fmt: skip
    return _task(context, admitted, accepted, "up_1", 1, 2.5)


def test_stored_task_has_its_order_its_owner_and_where_it_is() -> None:
    row = stored()
    assert (row.id, row.request_id, row.public_id) == (UUID(int=7), UUID(int=6), "task_1")
    assert (row.organisation_id, row.team_id) == (UUID(int=3), UUID(int=4))
    assert (row.channel_id, row.channel_key_id, row.own_key) == (UUID(int=1), UUID(int=9), False)
    assert (row.operation, row.form, row.upstream_id, row.first_poll_s) == (
        "videos", "kling_videos", "up_1", 2.5,
    )  # fmt: skip
    assert (row.model, row.seconds, row.size, row.remixed_from) == (
        "m" * 200,
        8,
        "720x1280",
        "task_0",
    )
    assert (row.content.prompt, row.content.detail) == ("a cat", {"seed": 1})
    assert (row.hook, row.callback_token) == (None, "")
    assert stored(own="terms").own_key
    # What an organisation does not keep, its tasks do not either.
    assert stored(keeps=0).content is None


def test_hook_of_a_task_is_called_for_the_key_that_ordered_it() -> None:
    ordered = Ordered("m", "p", hook="https://a.example/h", hook_secret="s")
    hook = stored(ordered=ordered, keeps=0).hook
    assert (hook.url, hook.secret, hook.key) == ("https://a.example/h", "s", str(UUID(int=5)))


@pytest.mark.parametrize(("prefix", "name"), [("", "v1"), ("text2video", "text2video/v1")])
def test_accepted_video_is_followed_by_the_providers_id_and_shown_by_ours(
    prefix: str, name: str
) -> None:
    request: Any = SimpleNamespace(model="m", prompt="p", seconds=8, size="720x1280")
    form: Any = SimpleNamespace(read_accepted=lambda raw: "v1")
    accepted = AcceptedVideo(
        request, form, "video_9", "video_8", lambda video: video._asdict(), prefix
    )
    assert accepted.upstream_id(b"") == name
    assert accepted.own_id == f"{prefix}/video_9"
    assert accepted.ordered == Ordered("m", "p", 8, "720x1280", "video_8")
    shown = accepted.answer(b"", 123)
    assert (shown["id"], shown["created_at"], shown["remixed_from"], shown["state"]) == (
        "video_9", 123, "video_8", "queued",
    )  # fmt: skip
