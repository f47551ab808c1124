"""P23, P12: what a key is limited to holds at every row of the relay's table, whatever carries it.

The table is the relay's own: a row or a carrier that is added is looked at here."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from accounts.limits.rules import ENDPOINTS
from extensions.midjourney.dialect import MODELS
from extensions.suno.dialect import MODEL_OF
from gateway.channels.passthrough.rules import PassThroughRule, stored_rules
from relay.endpoints.balance import show_balance
from relay.endpoints.generation import refuse_not_implemented, remix_video
from relay.endpoints.table import listed_rows
from relay.front.request import Endpoint
from relay.realtime.live.refusals import refuse_live
from tests.fakes.upstream import FakeUpstream
from tests.relay.guarding.policies import add_policy
from tests.support.hub import Answer, Hub, Tenant

CARRIERS: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"authorization": f"Bearer {key}"},
    "bare": lambda key: {"authorization": key},
    "x-api-key": lambda key: {"x-api-key": key},
    "x-goog-api-key": lambda key: {"x-goog-api-key": key},
    "query": lambda key: {},
}
# Rows that answer about models, or about what one has made, without asking one; of what is not
# there nothing else is made.
ABOUT = (
    "models", "model", "response", "response_items", "response_cancel", "video",
    "video_content", "video_generation", "video_events", "kling_video", "jimeng_result",
    "veo_operation", "realtime", "live_sessions", "midjourney_task", "midjourney_tasks",
    "midjourney_seed", "suno_task", "suno_tasks", "suno_file", "interaction", "interaction_cancel",
    "midjourney_change", "midjourney_simple_change", "midjourney_action", "midjourney_modal",
    "feedback",
)  # fmt: skip
PASSING = "carried-passing"
PASSED = PassThroughRule(("GET", "POST"), "/**")
PIXEL = "data:image/png;base64,iVBORw0KGgo="
# What a body must have beside a text, by its operation.
MORE: dict[str, dict[str, Any]] = {
    "predict_long_running": {"instances": [{"prompt": "x"}]},
    "midjourney_describe": {"base64": PIXEL},
    "midjourney_blend": {"base64Array": [PIXEL, PIXEL]},
    # There a prompt is one that is stored, which nobody can count.
    "responses_input_tokens": {"prompt": None},
}
# The body that is counted on Amazon Bedrock.
INVOKED = base64.b64encode(b'{"messages": [{"role": "user", "content": "x"}]}').decode()
ASKS_NONE = (show_balance, refuse_not_implemented, refuse_live, remix_video)
LIMITS = ("networks", "endpoints", "models", "networks of a policy", "models of a policy")


@pytest.fixture(scope="module")
def model(hub: Hub, fake: FakeUpstream) -> Iterator[str]:
    with hub.forgetful():
        for name in (*MODELS, *MODEL_OF.values()):
            hub.channel(name, fake.url, provider="midjourney_proxy", name=f"carried {name}")
        hub.price(PASSED.label, PASSED.rates()["meters"], kind="path", channel=PASSING)
        hub.channel(
            PASSING, fake.url, fake.key, name=PASSING, pass_through=Jsonb(stored_rules([PASSED]))
        )
        yield hub.model(fake)


def limited(hub: Hub, limit: str, row: Endpoint | None = None) -> Tenant:
    """A tenant whose key is limited to something else than what it will ask."""
    if limit == "models":
        return hub.tenant(patterns=("m", "other-*"))
    tenant = hub.tenant()
    if limit == "models of a policy":
        add_policy(hub, tenant, "Narrow", model_patterns=["m", "other-*"])
    elif limit == "networks of a policy":
        add_policy(hub, tenant, "Narrow", networks=["10.0.0.0/8", "2001:db8::/32"])
    elif limit == "networks":
        hub.limit(tenant, networks=["10.0.0.0/8", "2001:db8::/32"])
    elif row is not None:
        others = [name for name in ENDPOINTS if name != row.operation]
        hub.limit(tenant, endpoints=others)
    return tenant


def ask(
    hub: Hub, path: str, row: Endpoint, model: str, carrier: str, key: str, *, text: str = "x"
) -> Answer:
    """Ask for a row; where its body says anything, it is `text`."""
    path = (
        path.replace("{channel}/{path}", f"{PASSING}/x")
        .replace("{model}", model)
        .replace("{id}", "resp_1")
        .replace("{mode}", "fast")
    )
    path += "?Action=CVSync2AsyncSubmitTask" if row.asking is not None else "?"
    # Gemini's list has 50 models a page, and the tests of a session may have made more.
    path += "pageSize=1000" if row.shows == "models" else ""
    path += f"&key={key}" if carrier == "query" else ""
    fields: dict[str, Any] = (
        {"messages": [{"role": "user", "content": "x"}]}
        if "messages" in path or row.operation == "count_tokens"
        else {}
    )
    fields |= {"contents": [{"parts": [{"text": "x"}]}]} if row.dialect == "gemini" else {}
    fields |= MORE.get(row.operation, {})
    if path.startswith("/model/") and row.operation == "count_tokens":
        fields |= {"input": {"invokeModel": {"body": INVOKED}}}
    if row.family is not None:
        fields |= {"req_key": model, "model_name": model, "image": "https://pictures.example/x.png"}
    body = json.dumps({"model": model, "prompt": "x", "input": "x", **fields})
    raw = body.replace('"x"', json.dumps(text)).encode()
    return hub.request(
        row.methods[0],
        path,
        body=raw if row.body_bytes_max else None,
        headers=CARRIERS[carrier](key),
    )


def holds(row: Endpoint, limit: str) -> bool:
    """Whether a key with such a limit is refused at a row."""
    if row.is_sealed_link:
        return False
    if limit.startswith("networks"):
        return True
    if limit == "endpoints":
        return row.restricted
    return row.handler not in ASKS_NONE and not {row.shows, row.operation} & {*ABOUT}


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_hold_at_every_row_in_every_carrier(hub: Hub, model: str, limit: str) -> None:
    keys: dict[str, Tenant] = {}
    for path, row in listed_rows().items():
        about = row.operation if limit == "endpoints" else ""
        tenant = keys.get(about) or keys.setdefault(about, limited(hub, limit, row))
        for carrier in CARRIERS:
            if carrier == "query" and not row.key_in_query:
                continue
            answer = ask(hub, path, row, model, carrier, tenant.key)
            refused = answer.status == 403
            assert refused == holds(row, limit), (path, carrier, answer)
            # Without its limit the same key is let in there.
            assert refused or answer.status not in (401, 402, 500), (path, carrier, answer)


def test_foreign_carriers_open_nothing(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    for path, row in listed_rows().items():
        if not (row.key_in_query or row.is_sealed_link):
            assert ask(hub, path, row, model, "query", tenant.key).status == 401, path


@pytest.mark.parametrize("limit", ["models", "models of a policy"])
def test_model_list_follows_the_key(hub: Hub, model: str, limit: str) -> None:
    """The row is open to all, and says nothing of what the key may not ask."""
    lists = [path for path, row in listed_rows().items() if row.shows == "models"]
    ones = [path for path, row in listed_rows().items() if row.shows == "model"]
    near, far = hub.tenant(), limited(hub, limit)
    for carrier in CARRIERS:
        for path in lists:
            row = listed_rows()[path]
            texts = [
                model.encode() in ask(hub, path, row, model, carrier, tenant.key).body
                for tenant in (near, far)
            ]
            assert texts == [True, False], (path, carrier)
        for path in ones:
            row = listed_rows()[path]
            status = [
                ask(hub, path, row, model, carrier, tenant.key).status for tenant in (near, far)
            ]
            assert status == [200, 404], (path, carrier)
