"""I15, P1: usage is read wherever a provider puts it, and booked also where the answer fails."""

from typing import Any

import pytest

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.speakers import SPEAKERS, Wish
from tests.support.hub import Answer, Hub


def total(row: Any) -> int:
    """What the provider counted, at the price of the tests."""
    assert row is not None
    return int(row["usage"]["prompt_tokens"] + 3 * row["usage"]["completion_tokens"])


@pytest.mark.parametrize("where", ["groq", "behind"])
@pytest.mark.parametrize("client", ["openai", "anthropic", "responses"])
def test_stream_usage_is_read_wherever_it_stands(
    hub: Hub, fake: FakeUpstream, where: str, client: str
) -> None:
    """In `x_groq` alone, or behind the end marker; what the client reads ends as it should."""
    tenant, model, speaker = hub.tenant(), hub.model(fake), SPEAKERS[client]
    wish = Wish(f"#tokens=9 #prompt=4000 #hidden=700 #usage={where}", stream=True)
    answer = hub.post(tenant, speaker.body(model, wish), path=speaker.path(model, stream=True))
    spoken = speaker.read(answer)
    assert spoken.whole
    assert spoken.error is None
    record = hub.record(answer.headers["x-request-id"])
    assert (record["basis"], record["status"]) == ("measured", 200)
    assert record["charge_nano"] == total(fake.wait_for_row(id_text(record["id"])))
    assert answer.body.count(b"[DONE]") == (client == "openai")


def test_usage_after_the_end_goes_to_the_client_that_asked(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    body = ask(model, "#tokens=3 #usage=behind", stream=True)
    assert b'"usage":{' not in hub.post(tenant, body).body
    asked = hub.post(tenant, body | {"stream_options": {"include_usage": True}}).body
    assert asked.index(b'"usage":{') < asked.index(b"[DONE]")


def test_stream_without_any_usage_ends_with_its_marker(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(tenant, ask(model, "#tokens=3 #usage=none", stream=True))
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.body.count(b"[DONE]") == 1
    assert hub.record(answer.headers["x-request-id"])["basis"] == "estimated"


def test_connection_open_after_the_marker_is_not_awaited(hub: Hub, fake: FakeUpstream) -> None:
    """The client reads the end after seconds, not after the idle timeout of a minute."""
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(tenant, ask(model, "#tokens=3 #usage=open", stream=True))
    assert answer.body.endswith(b"data: [DONE]\n\n")
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["basis"]) == (200, "estimated")
    assert record["total_ms"] < 30_000


def failing(hub: Hub, fake: FakeUpstream, finish: str, client: str, *, stream: bool) -> Answer:
    tenant, speaker = hub.tenant(), SPEAKERS[client]
    model = hub.model(fake, provider="openai", upstream_model="o3")
    wish = Wish(f"#tokens=0 #prompt=4000 #hidden=700 #finish={finish}", stream=stream)
    answer = hub.post(tenant, speaker.body(model, wish), path=speaker.path(model, stream=stream))
    record = hub.record(answer.headers["x-request-id"])
    # Another attempt follows a failure before any content; each is owed.
    owed = sum(
        total(fake.wait_for_row(id_text(row["id"])))
        for row in hub.records(answer.headers["x-request-id"])
    )
    hub.settled(tenant)
    balance = hub.balance(tenant)
    assert record["charge_nano"] == 0
    assert (balance.get("revenue", 0), -balance["platform:loss"]) == (0, owed)
    assert balance["provider:payable"] == owed
    assert {row["basis"] for row in hub.records(answer.headers["x-request-id"])} == {"absorbed"}
    hub.assert_books_balance()
    return answer


@pytest.mark.parametrize("finish", ["failed", "cancelled"])
@pytest.mark.parametrize("client", ["responses", "anthropic"])
def test_failed_whole_response_is_an_error(
    hub: Hub, fake: FakeUpstream, finish: str, client: str
) -> None:
    """Cancelled is no empty success; what the provider counted is owed to it."""
    answer = failing(hub, fake, finish, client, stream=False)
    assert answer.status >= 500, answer.body


def test_stream_that_failed_is_charged_by_its_own_count(hub: Hub, fake: FakeUpstream) -> None:
    """After its first content the customer pays what the provider counted, and no estimate."""
    tenant, speaker = hub.tenant(), SPEAKERS["responses"]
    model = hub.model(fake, provider="openai")
    wish = Wish("#tokens=5 #prompt=4000 #hidden=700 #finish=failed #delay_ms=30", stream=True)
    answer = hub.post(tenant, speaker.body(model, wish), path=speaker.path(model, stream=True))
    assert b"response.failed" in answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert record["charge_nano"] == total(fake.wait_for_row(id_text(record["id"])))
    assert record["basis"] == "measured"
