"""What an operator has switched off at a channel is asked of another one, or refused in words."""

import json
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import ask
from tests.relay.speakers import SPEAKERS, Wish
from tests.support.hub import Hub

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
    assert f"has no {name}: an operator has turned it off" in error["message"]
    # Whoever needs none of it is served.
    assert hub.post(tenant, asking(model)).status == 200
    hub.channel(model, other_fake.url, other_fake.key, priority=1)
    hub.bump()

    def served() -> bool:
        return hub.post(tenant, body).status == 200

    hub.wait(served, "there is no second channel")
    content = hub.post(tenant, asking(model)).json()["choices"][0]["message"]["content"]
    assert content == expected_text("a", "hello #tokens=3", 3)


def test_model_list_shows_the_capability(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    switch(hub, model, fake.port, vision=True)

    def modalities() -> Any:
        return hub.get(f"/v1/models/{model}", tenant).json().get("modalities")

    hub.wait(lambda: modalities() == ["text", "image"], "the switch is not heard of")


@pytest.mark.parametrize("dialect", SPEAKERS)
def test_image_for_a_text_only_model(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, dialect: str
) -> None:
    """Refused in words before anything is sent, unless another channel's model sees."""
    tenant, speaker = hub.tenant(), SPEAKERS[dialect]
    model = hub.model(fake, provider="deepseek", upstream_model="deepseek-v4-pro")
    path = speaker.path(model, stream=False)
    body = speaker.body(model, Wish("#tokens=2 look", image=True))
    answer = hub.post(tenant, body, path=path)
    assert answer.status == 400, answer.body
    message = speaker.error_of(answer.json())["message"]
    assert f"model {model} reads text only and cannot take an image: leave it out" in message
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == ("unsupported_capability", 0)
    attempts = "SELECT * FROM usage_attempt WHERE organisation_id = %s"
    assert hub.rows(attempts, tenant.organisation_id) == []

    plain = speaker.body(model, Wish("#tokens=2 look"))
    assert hub.post(tenant, plain, path=path).status == 200
    hub.channel(model, other_fake.url, other_fake.key, priority=1)
    hub.bump()
    hub.wait(lambda: hub.post(tenant, body, path=path).status == 200, "nobody sees the picture")


def test_operator_states_that_a_model_sees(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, provider="deepseek", upstream_model="deepseek-v4-pro")
    body = asking(model, messages=[{"role": "user", "content": SEEING}])
    assert hub.post(tenant, body).status == 400
    switch(hub, model, fake.port, vision=True)
    hub.wait(lambda: hub.post(tenant, body).status == 200, "the switch is not heard of")
