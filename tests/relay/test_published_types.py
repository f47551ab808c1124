"""What the hub answers in the dialects without a public schema, held against the types of their
official clients, which are made from the schemas that are not public."""

import json
import warnings
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.fakes.upstream import FakeUpstream
from tests.relay.speakers import SPEAKERS, UPSTREAMS, frames
from tests.relay.test_matrix import open_model
from tests.relay.test_published_schemas import FAILURES, WISHES, ask
from tests.support.hub import Answer, Hub, Tenant

with warnings.catch_warnings():
    # The library's own source has an escape that Python has begun to warn about.
    warnings.simplefilter("ignore")
    from google.genai import types

upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)
STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
# For how long was written to a cache is known with a translated answer's end, not at its start.
KNOWN = {"usage.cache_creation"}


@pytest.fixture(scope="module")
def tenant(hub: Hub) -> Tenant:
    return hub.tenant()


@pytest.fixture(scope="module")
def models(hub: Hub, fake: FakeUpstream) -> dict[str, str]:
    """A model of each upstream, for answers that come to their end."""
    return {upstream: open_model(hub, fake, upstream) for upstream in UPSTREAMS}


def unknown_in(value: Any, path: str = "") -> list[str]:
    """The members that the client has kept without knowing them."""
    if isinstance(value, list):
        return [results for item in value for results in unknown_in(item, path)]
    if not isinstance(value, BaseModel):
        return []
    results = [f"{path}{name}" for name in value.model_extra or ()]
    for name in type(value).model_fields:
        results += unknown_in(getattr(value, name), f"{path}{name}.")
    return results


def check_message(raw: Any) -> None:
    assert unknown_in(Message.model_validate(raw)) == []


def check_message_stream(answer: Answer) -> None:
    for event, data in frames(answer.body):
        body = json.loads(data)
        if event == "error":
            SPEAKERS["anthropic"].error_of(body)
        elif event != "ping":
            assert set(unknown_in(STREAM_EVENT.validate_python(body))) <= KNOWN


def check_gemini(raw: Any) -> None:
    """Its types forbid what they do not know."""
    types.GenerateContentResponse.model_validate(raw)


# An answer of the same dialect without its usage breaks the types by itself.
@pytest.mark.parametrize(
    ("upstream", "name"),
    [cell for cell in product(UPSTREAMS, WISHES) if cell != ("anthropic", "no usage")],
)
def test_messages(
    hub: Hub, tenant: Tenant, models: dict[str, str], upstream: str, name: str
) -> None:
    wish, model = WISHES[name], models[upstream]
    check_message(ask(hub, tenant, "anthropic", model, wish).json())
    check_message_stream(ask(hub, tenant, "anthropic", model, replace(wish, stream=True)))


@upstreams
@pytest.mark.parametrize("name", WISHES)
def test_generate_content(
    hub: Hub, tenant: Tenant, models: dict[str, str], upstream: str, name: str
) -> None:
    wish, model = WISHES[name], models[upstream]
    check_gemini(ask(hub, tenant, "gemini", model, wish).json())
    streamed = ask(hub, tenant, "gemini", model, replace(wish, stream=True))
    for _, data in frames(streamed.body):
        check_gemini(json.loads(data))


@upstreams
@pytest.mark.parametrize("name", FAILURES)
def test_answers_that_fail_on_the_way(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, upstream: str, name: str
) -> None:
    model = open_model(hub, fake, upstream, retries=0)
    check_message_stream(ask(hub, tenant, "anthropic", model, FAILURES[name]))
    *chunks, last = frames(ask(hub, tenant, "gemini", model, FAILURES[name]).body)
    for _, data in chunks:
        check_gemini(json.loads(data))
    SPEAKERS["gemini"].error_of(json.loads(last[1]))
