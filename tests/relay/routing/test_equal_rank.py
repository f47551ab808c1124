"""What keeps related requests at one channel: the session, or what an operator's rule says."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from dialects.json.body import read_body
from gateway.channel_order.channel_order import Ordering
from relay.routing.routing import affinity_of, ordering_of

ACME, SESSION, USER, KEY = (UUID(int=n) for n in range(1, 5))
SYSTEM, HI, HELLO = (
    {"role": "system", "content": "s"}, {"role": "user", "content": "hi"},
    {"role": "user", "content": "hello"},
)  # fmt: skip


def affinity(
    pick: str, body: Any = None, *, session: bool = False, user: str = "", customer: str = "",
    holder: UUID | None = USER,
) -> bytes:  # fmt: skip
    context = SimpleNamespace(
        snapshot=SimpleNamespace(rule_of=lambda _: SimpleNamespace(pick=pick)),
        session=SimpleNamespace(id=SESSION) if session else None,
        principal=SimpleNamespace(organisation_id=ACME, user_id=holder, key_id=KEY),
        options=SimpleNamespace(labels=SimpleNamespace(customer=customer)),
    )
    facts = SimpleNamespace(user=user, body=read_body(json.dumps(body or {}).encode()))
    return affinity_of(cast(Any, context), cast(Any, facts), "m")


@pytest.mark.parametrize("pick", ["weight", "conversation", "latency"])
def test_a_session_keeps_its_requests_together(pick: str) -> None:
    assert affinity(pick, {"messages": [HI]}, session=True) == SESSION.bytes


def test_a_rule_by_user_comes_before_the_session() -> None:
    """The user that the client names, else its customer, else who holds the key, else the key."""
    assert affinity("user", session=True, user="u", customer="c") == ACME.bytes + b"u"
    assert affinity("user", session=True, customer="c") == ACME.bytes + b"c"
    assert affinity("user", session=True) == ACME.bytes + str(USER).encode()
    assert affinity("user", session=True, holder=None) == ACME.bytes + str(KEY).encode()


def test_conversation_affinity_applies_only_without_a_session() -> None:
    assert affinity("weight", {"messages": [HI]}) == b""
    assert affinity("latency", {"messages": [HI]}) == b""
    assert affinity("conversation", {"messages": [HI]}).startswith(ACME.bytes)
    assert affinity("conversation") == b""


def test_conversation_is_identified_by_its_beginning() -> None:
    """Up to the first turn of the user, in every dialect; or the client's own cache key."""
    begun = affinity("conversation", {"messages": [SYSTEM, HI]})
    assert affinity("conversation", {"messages": [SYSTEM, HI, HELLO]}) == begun
    assert affinity("conversation", {"input": [SYSTEM, HI]}) == begun
    for other in ([SYSTEM, HELLO], [HI], [HI, SYSTEM]):
        assert affinity("conversation", {"messages": other}) != begun
    # Gemini's turns without a role are the user's.
    turns = [{"parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]}]
    assert affinity("conversation", {"contents": turns}) == affinity(
        "conversation", {"contents": turns[:1]}
    )
    # What is no turn is of the beginning, and a text is all of it.
    assert affinity("conversation", {"input": [5, HI]}) != begun
    assert affinity("conversation", {"input": "text"}) == ACME.bytes + b'"text"'
    named = {"prompt_cache_key": "k", "messages": [HI]}
    assert affinity("conversation", named) == ACME.bytes + b'"k"'
    assert affinity("conversation", {**named, "prompt_cache_key": 5}) == affinity(
        "conversation", {"messages": [HI]}
    )


@pytest.mark.parametrize(
    ("pick", "key", "ordering"),
    [
        ("weight", b"", None),
        ("weight", b"k", Ordering("conversation", key=b"k")),
        ("conversation", b"", None),
        ("conversation", b"k", Ordering("conversation", key=b"k")),
        ("user", b"k", Ordering("user", key=b"k")),
        ("latency", b"k", Ordering("latency", {"c": 1.0})),
        ("latency", b"", Ordering("latency", {"c": 1.0})),
    ],
)
def test_channels_are_ordered_by_the_rule(pick: str, key: bytes, ordering: Ordering | None) -> None:
    measures = SimpleNamespace(figures=lambda *_: {"c": 1.0})
    context = SimpleNamespace(
        snapshot=SimpleNamespace(rule_of=lambda _: SimpleNamespace(pick=pick)),
        parts=SimpleNamespace(health=SimpleNamespace(measures=measures)),
    )
    assert ordering_of(cast(Any, context), "m", key) == ordering
