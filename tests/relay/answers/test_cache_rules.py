"""When an answer is stored for identical requests, and when a stored one is served: pure rules."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from accounts.limits.data_policy import NO_POLICY, policy_of
from dialects.codec import Target
from lib.id_types import RequestId
from relay.answers.answer_cache import (
    ANSWER_BYTES_MAX,
    OPERATIONS,
    AnswerCopy,
    CacheControl,
    digest_of,
    headers_of,
    is_cacheable,
    read_cache_control,
)
from relay.downstream.downstream import Head, NobodySink
from relay.requests.outcome import Outcome


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([], CacheControl(None, True)),
        (["no-store"], CacheControl(-1, False)),
        (["no-cache"], CacheControl(-1, True)),
        (["max-age=60"], CacheControl(60, True)),
        (['max-age="60"'], CacheControl(60, True)),
        (["max-age=0"], CacheControl(0, True)),
        (["MAX-AGE=60, No-Cache"], CacheControl(-1, True)),
        (["no-cache, max-age=60"], CacheControl(-1, True)),
        # The stricter one of two applies, in whatever order.
        (["max-age=60", "max-age=5"], CacheControl(5, True)),
        (["max-age=5, max-age=60"], CacheControl(5, True)),
        (["max-age=60", "no-store"], CacheControl(-1, False)),
        (["max-age=soon, only-if-cached, private"], CacheControl(None, True)),
    ],
)
def test_cache_control_of_the_client_is_obeyed(lines: list[str], wanted: CacheControl) -> None:
    headers = [(b"cache-control", line.encode()) for line in lines]
    assert read_cache_control([(b"pragma", b"no-cache"), *headers]) == wanted


def context(operation: str = "chat_completions", **over: Any) -> Any:
    known = {
        "invocation": SimpleNamespace(operation=operation, target=Target()), "source": "api",
        "options": SimpleNamespace(include_cost=False, data_policy=NO_POLICY), "response_id": "",
        "principal": SimpleNamespace(retention_hours=1, data_policy=NO_POLICY, guard_rules=()),
    }  # fmt: skip
    return SimpleNamespace(**known | over)


STATEFUL: dict[str, dict[str, Any]] = {
    "a stored file": {"messages": [{"content": [{"file": {"file_id": "f"}}]}]},
    "stored files": {"attachments": [{"file_ids": ["f"]}]},
    "Gemini's file": {"contents": [{"parts": [{"fileData": {"fileUri": "f"}}]}]},
    "Gemini's cache": {"cachedContent": "c"},
    "a container": {"container": "c"},
    "a vector store": {"tools": [{"vector_store_ids": ["v"]}]},
    "an earlier response": {"previous_response_id": "r"},
    "a conversation": {"conversation": "c"},
    "an MCP server": {"tools": [{"type": "mcp", "server_url": "https://a.example"}]},
    "a connector": {"tools": [{"type": "mcp", "connector_id": "connector_gmail"}]},
    "an MCP server behind a tunnel": {"tools": [{"type": "mcp", "tunnel_id": "t"}]},
    "a skill": {"tools": [{"environment": {"skills": [{"skill_id": "s"}]}}]},
    "MCP servers": {"mcp_servers": []},
    "an item": {"input": [{"type": "item_reference", "id": "i"}]},
    "a stored prompt": {"prompt": {"id": "p"}},
    "the background": {"background": False},
    "to be stored": {"store": True},
}


@pytest.mark.parametrize("what", STATEFUL)
def test_answer_that_depends_on_what_is_stored_elsewhere_is_not_cached(what: str) -> None:
    plain = {"model": "m", "store": False}
    for operation in OPERATIONS:
        assert is_cacheable(context(operation), json.dumps(plain).encode())
        assert not is_cacheable(context(operation), json.dumps(plain | STATEFUL[what]).encode())


def test_answer_of_responses_is_stored_there_unless_the_client_says_no() -> None:
    for operation in OPERATIONS:
        assert is_cacheable(context(operation), b"{}") == (operation != "responses")
    for operation in ("embeddings", "completions", "interactions", "passthrough"):
        assert not is_cacheable(context(operation), b'{"store": false}')


@pytest.mark.parametrize(
    "over",
    [
        {"source": "playground"},
        {"response_id": "resp_1"},
        {"options": SimpleNamespace(include_cost=True)},
        {"principal": SimpleNamespace(retention_hours=0)},
    ],
    ids=lambda over: next(iter(over)),
)
def test_request_of_a_page_or_with_its_own_cost_or_retention_is_not_cached(
    over: dict[str, Any],
) -> None:
    assert not is_cacheable(context(**over), b'{"store": false}')


def test_each_thing_that_an_answer_depends_on_makes_another_entry() -> None:
    strict = policy_of(zero_retention=True, regions=("eu",))
    principal, options = context().principal, context().options
    other = {
        "operation": context("messages"),
        "target": context(invocation=SimpleNamespace(
            operation="chat_completions", target=Target("m", stream=True))),
        "key's data policy": context(principal=SimpleNamespace(
            **vars(principal) | {"data_policy": strict})),
        "request's data policy": context(options=SimpleNamespace(
            **vars(options) | {"data_policy": strict})),
        "guards": context(principal=SimpleNamespace(
            **vars(principal) | {"guard_rules": ({"guard": "email"},)})),
    }  # fmt: skip
    asked: list[Any] = [("/v1/chat/completions", "m", [("openai-beta", "x")], b"{}")]
    asked += [("/v1/chat", *asked[0][1:]), (*asked[0][:1], "n", *asked[0][2:])]
    asked += [(*asked[0][:2], [], b"{}"), (*asked[0][:3], b"{ }")]
    digests = [digest_of(context(), *one) for one in asked]
    digests += [digest_of(one, *asked[0]) for one in other.values()]
    assert len(set(digests)) == len(digests)
    assert digest_of(context(), *asked[0]) == digests[0]


def test_headers_of_vendors_and_those_that_channels_pass_on_make_another_entry() -> None:
    lines = [
        (b"x-goog-user-project", b"p"), (b"openai-beta", b"assistants=v2"), (b"accept", b"*/*"),
        (b"anthropic-version", b"2023-06-01"), (b"x-amzn-bedrock-trace", b"ENABLED"),
        (b"x-mine", b"1"), (b"x-goog-api-key", b"secret"), (b"authorization", b"Bearer secret"),
    ]  # fmt: skip
    results = headers_of(lines, frozenset({b"x-mine", b"x-goog-api-key"}))
    assert results == [
        ("anthropic-version", "2023-06-01"), ("openai-beta", "assistants=v2"),
        ("x-amzn-bedrock-trace", "ENABLED"), ("x-goog-user-project", "p"), ("x-mine", "1"),
    ]  # fmt: skip


# ---- the answer


def outcome(**over: Any) -> Outcome:
    known: dict[str, Any] = {
        "request_id": RequestId(UUID(int=1)), "status": 200, "kind": None, "message": "",
        "finish_reason": "length", "meters": {}, "charge_nano": 7, "basis": "measured",
        "hold_nano": 9, "ttft_ms": 1, "total_ms": 2,
    }  # fmt: skip
    return Outcome(**known | over)


async def copied(*, whole: bool = True, last: bool = True, cap: int | None = None) -> AnswerCopy:
    copy = AnswerCopy(NobodySink())
    head = Head("text/event-stream", 9, cap, None, ("seed", "user"))
    if whole:
        await copy.answer(head, b"ab")
    else:
        await copy.begin(head)
        copy.write_now(b"a")
        await copy.write(b"b", last=last)
    return copy


@pytest.mark.parametrize("whole", [True, False])
async def test_stored_answer_has_what_a_later_request_is_told(whole: bool) -> None:
    answer = (await copied(whole=whole)).stored(b"d", outcome(), ("guard:own",))
    assert answer is not None
    assert (answer.raw, answer.stream, answer.content_type) == (
        b"ab",
        not whole,
        "text/event-stream",
    )
    assert (answer.charge_nano, answer.finish_reason, answer.dropped, answer.flags) == (
        7, "length", ("seed", "user"), ("guard:own",),
    )  # fmt: skip
    assert (answer.digest, answer.request_id) == (b"d", "00000000000000000000000001")


@pytest.mark.parametrize(
    "over",
    [{"status": 499}, {"kind": "upstream_error"}, {"basis": "estimated"}, {"basis": "drained"},
     {"basis": "absorbed"}],
    ids=str,
)  # fmt: skip
async def test_only_a_complete_and_measured_answer_is_stored(over: dict[str, Any]) -> None:
    assert (await copied()).stored(b"", outcome(**over), ()) is None
    assert (await copied()).stored(b"", outcome(basis="free"), ()) is not None
    # A cap that a low balance made is none that the client asked for.
    assert (await copied(cap=100)).stored(b"", outcome(), ()) is None
    assert (await copied(whole=False, last=False)).stored(b"", outcome(), ()) is None
    refused = await copied(whole=False)
    await refused.refuse(cast(Any, None))
    assert refused.stored(b"", outcome(), ()) is None


@pytest.mark.parametrize(("size", "is_stored"), [(ANSWER_BYTES_MAX, True),
                                                 (ANSWER_BYTES_MAX + 1, False)])  # fmt: skip
async def test_largest_answer_is_stored_and_a_larger_one_is_not(size: int, is_stored: bool) -> None:
    head = Head("application/json", 9, None, None, ())
    whole, stream = AnswerCopy(NobodySink()), AnswerCopy(NobodySink())
    await whole.answer(head, b"x" * size)
    await stream.begin(head)
    await stream.write(b"x" * 9, last=False)
    await stream.write(b"x" * (size - 9), last=True)
    for copy in (whole, stream):
        answer = copy.stored(b"", outcome(), ())
        assert (answer is not None) == is_stored
        assert answer is None or len(answer.raw) == size
