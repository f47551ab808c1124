"""What an operator has switched off at a channel is asked of another one, or refused in words."""

import json
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream, expected_text
from tests.gateway.relay.asking import ask
from tests.hub import Hub

PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNg"
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SEEING = [
    {"type": "text", "text": "look"},
    {"type": "image_url", "image_url": {"url": PICTURE}},
]


def switch(hub: Hub, model: str, port: int, **can: bool) -> None:
    """As `apply` and the channel's page write it."""
    hub.connection.execute(
        "UPDATE gateway_route SET can = %s FROM gateway_channel c "
        "WHERE c.id = channel_id AND model = %s AND c.base_url LIKE %s",
        [json.dumps(can), model, f"%:{port}/%"],
    )
    hub.bump()


def asking(model: str, **over: Any) -> dict[str, Any]:
    body: dict[str, Any] = ask(model, "hello #tokens=3")
    return body | over


@pytest.mark.parametrize(
    ("can", "over"),
    [
        ({"tools": False}, {"tools": [FUNCTION]}),
        ({"vision": False}, {"messages": [{"role": "user", "content": SEEING}]}),
    ],
    ids=["tools", "vision"],
)
def test_another_channel_is_asked(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, can: dict[str, bool], over: Any
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    switch(hub, model, fake.port, **can)
    body = asking(model, **over)

    def refused() -> bool:
        return hub.post(tenant, body).status == 400

    hub.wait(refused, "the switch is not heard of")
    (name,) = can
    error = hub.post(tenant, body).error
    assert error["code"] == "unsupported_parameter"
    assert f"has no {name}: an operator has switched it off" in error["message"]
    # Whoever needs none of it is served.
    assert hub.post(tenant, asking(model)).status == 200
    hub.channel(model, other_fake.url, other_fake.key, priority=1)
    hub.bump()

    def served() -> bool:
        return hub.post(tenant, body).status == 200

    hub.wait(served, "there is no second channel")
    told = hub.post(tenant, asking(model)).json()["choices"][0]["message"]["content"]
    assert told == expected_text("a", "hello #tokens=3", 3)


def test_the_list_of_models_tells_it(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    switch(hub, model, fake.port, vision=True)

    def modalities() -> Any:
        return hub.get(f"/v1/models/{model}", tenant).json().get("modalities")

    hub.wait(lambda: modalities() == ["text", "image"], "the switch is not heard of")
