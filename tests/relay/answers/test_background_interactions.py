"""Interactions that run in the background, through Google's official client and by hand. What they
share with responses is in `test_background.py`."""

import json
import time
from typing import Any

import pytest
from google import genai

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.relay.answers.test_background import OFTEN, events_of, holding, is_dead, one_record
from tests.relay.clients import Clients
from tests.relay.test_interactions import PATH, SPEAKER, client, create, tenant
from tests.relay.test_matrix import open_model
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

__all__ = ["client", "tenant"]
# At a provider of the same API, and translated.
ways = pytest.mark.parametrize("upstream", ["interactions", "anthropic"])


def started(hub: Hub, tenant: Tenant, model: str, text: str, **more: Any) -> dict[str, Any]:
    answer = create(hub, tenant, model, input=text, background=True, **more)
    assert answer.status == 200, answer.body
    interaction: dict[str, Any] = answer.json()
    assert interaction["status"] == "in_progress"
    return interaction


def shown(hub: Hub, tenant: Tenant, id: str, query: str = "") -> dict[str, Any]:
    interaction: dict[str, Any] = hub.get(f"{PATH}/{id}{query}", tenant).json()
    return interaction


def ended(hub: Hub, tenant: Tenant, id: str) -> dict[str, Any]:
    hub.wait(lambda: shown(hub, tenant, id)["status"] != "in_progress", f"{id} does not end")
    return shown(hub, tenant, id)


def cancel(hub: Hub, tenant: Tenant, id: str) -> Answer:
    return hub.post(tenant, {}, path=f"{PATH}/{id}/cancel")


def replayed(hub: Hub, tenant: Tenant, id: str, after: str = "") -> list[dict[str, Any]]:
    """The events of its stream; the marker of its end is left out."""
    answer = hub.get(f"{PATH}/{id}?stream=true{after}", tenant)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    return events_of(answer.body.replace(b"data: [DONE]", b""))


@ways
def test_polled_by_the_official_client(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, client: genai.Client, upstream: str
) -> None:
    """I10: it is charged and recorded once, and a later request continues it, at its provider
    too."""
    model, interactions = open_model(hub, fake, upstream), client.interactions
    more: Any = {"background": True}
    first: Any = interactions.create(model=model, input="one two #tokens=3 #hold=1", **more)
    assert (first.status, first.model) == ("in_progress", model)
    holding(fake)
    running: Any = interactions.get(first.id)
    assert (running.id, running.status) == (first.id, "in_progress")
    fake.release()
    ended(hub, tenant, first.id)
    whole: Any = interactions.get(first.id)
    assert (whole.id, whole.status) == (first.id, "completed")
    assert (len(whole.output_text.split()), whole.usage.total_output_tokens) == (3, 3)
    record = one_record(hub, tenant)
    assert (record["status"], record["basis"], record["stream"]) == (200, "measured", True)
    assert record["charge_nano"] > 0
    second: Any = interactions.create(
        model=model, input="three #tokens=2", previous_interaction_id=first.id, **more
    )
    last = ended(hub, tenant, second.id)
    assert (last["status"], last["previous_interaction_id"]) == ("completed", first.id)
    steps = shown(hub, tenant, second.id, "?include_input=true")["input"]
    kinds = [step["type"] for step in steps if step["type"] != "thought"]
    assert kinds == ["user_input", "model_output", "user_input"]


@ways
def test_stream_resumes_after_any_event(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, client: genai.Client, upstream: str
) -> None:
    model, text = open_model(hub, fake, upstream), "#reasoning=2 #tokens=3 #tools=1 go"
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    answer = create(hub, tenant, model, input=text, background=True, stream=True, tools=[tool])
    events = events_of(answer.body.replace(b"data: [DONE]", b""))
    id = events[0]["interaction"]["id"]
    assert [event["event_id"] for event in events] == list(map(str, range(len(events))))
    kinds = [event["event_type"] for event in events]
    assert kinds[:2] == ["interaction.created", "interaction.status_update"]
    assert kinds[2:].count(kinds[0]) == kinds[2:].count(kinds[1]) == 0
    assert answer.body.endswith(b"event: done\ndata: [DONE]\n\n")
    assert (kinds[-1], events[-1]["interaction"]["id"]) == ("interaction.completed", id)
    assert replayed(hub, tenant, id) == events
    for event in events:
        rest = replayed(hub, tenant, id, f"&last_event_id={event['event_id']}")
        assert rest == events[int(event["event_id"]) + 1 :]
    interactions: Any = client.interactions
    resumed = list(interactions.get(id, stream=True, last_event_id=events[1]["event_id"]))
    assert [event.event_id for event in resumed] == [event["event_id"] for event in events[2:]]
    # What is shown of it is what its stream has said.
    whole = shown(hub, tenant, id)
    assert whole["status"] == "requires_action"
    spoken = SPEAKER.streamed(answer.body)
    assert SPEAKER.plain(whole).text == spoken.text
    assert SPEAKER.plain(whole).calls == spoken.calls


def test_background_interaction_outlives_its_client(
    hub: Hub, clients: Clients, fake: FakeUpstream, tenant: Tenant
) -> None:
    model, connection = open_model(hub, fake, "anthropic"), clients.connect(hub)
    body = {"model": model, "input": "#tokens=5 #hold=2", "background": True, "stream": True}
    headers = {"content-type": "application/json", "authorization": f"Bearer {tenant.key}"}
    connection.request("POST", PATH, json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.readline() + b"" == b"event: interaction.created\n"
    id = json.loads(answer.readline().removeprefix(b"data: "))["interaction"]["id"]
    holding(fake)
    connection.close()
    fake.release()
    whole = ended(hub, tenant, id)
    assert (whole["status"], len(SPEAKER.plain(whole).text.split())) == ("completed", 5)
    assert one_record(hub, tenant)["status"] == 200


@ways
def test_a_cancel_ends_its_upstream_within_a_second(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, client: genai.Client, upstream: str
) -> None:
    """P6, P17: what was received is charged, once; nobody can continue it."""
    model, interactions = open_model(hub, fake, upstream), client.interactions
    # The first estimate in a process loads the vocabulary of the model's family.
    first = hub.tenant()
    id = started(hub, first, model, "one two #tokens=9 #hold=4")["id"]
    holding(fake)
    cancel(hub, first, id)
    assert one_record(hub, first)["status"] == 499
    id = started(hub, tenant, model, "one two #tokens=9 #hold=4")["id"]
    holding(fake)
    at = time.monotonic_ns()
    cancelled = cancel(hub, tenant, id)
    assert (cancelled.status, cancelled.json()["id"]) == (200, id)
    record = one_record(hub, tenant)
    row = fake.wait_for_row(id_text(record["id"]))
    assert row["outcome"] == "cut"
    assert row["left_at"] - at < 1_000_000_000
    assert record["status"] == 499
    assert shown(hub, tenant, id)["status"] == "cancelled"
    again: Any = interactions.cancel(id)
    assert (again.id, again.status) == (id, "cancelled")
    kinds = {event["event_type"] for event in replayed(hub, tenant, id)}
    assert not kinds & {"interaction.completed", "error"}
    refused = create(hub, tenant, model, previous_interaction_id=id)
    assert "previous_interaction_id" in SPEAKER.error_of(refused.json())["message"]


def test_ended_interaction_stays_unchanged(hub: Hub, fake: FakeUpstream, tenant: Tenant) -> None:
    model = open_model(hub, fake, "interactions")
    id = started(hub, tenant, model, "#tokens=2")["id"]
    whole = ended(hub, tenant, id)
    assert cancel(hub, tenant, id).json() == whole
    assert hub.request("DELETE", f"{PATH}/{id}", tenant).status == 200
    assert hub.get(f"{PATH}/{id}", tenant).status == 404
    assert hub.get(f"{PATH}/{id}?stream=true", tenant).status == 404
    one_record(hub, tenant)


def test_other_keys_interaction_is_not_found(hub: Hub, fake: FakeUpstream, tenant: Tenant) -> None:
    """P12: for another key, and for a response's path."""
    id = started(hub, tenant, open_model(hub, fake, "openai"), "#tokens=9 #hold=1")["id"]
    holding(fake)
    other = hub.tenant()
    for path in (f"{PATH}/{id}", f"{PATH}/{id}?stream=true", f"{PATH}/{id}?include_input=true"):
        assert hub.get(path, other).status == 404
    assert cancel(hub, other, id).status == 404
    assert hub.request("DELETE", f"{PATH}/{id}", other).status == 404
    assert shown(hub, tenant, id)["status"] == "in_progress"
    assert hub.request("DELETE", f"{PATH}/{id}", tenant).status == 200
    assert one_record(hub, tenant)["status"] == 499


@pytest.mark.parametrize("fault", ["F10", "F14@3", "F23:error@3"])
def test_broken_off_provider_fails_the_interaction(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, fault: str
) -> None:
    """The interaction has failed, for whoever polls it and for whoever reads its stream."""
    id = started(
        hub, tenant, open_model(hub, fake, "interactions"), f"one #tokens=9 #fault={fault}"
    )["id"]
    whole = ended(hub, tenant, id)
    assert (whole["status"], len(whole["errors"])) == ("failed", 1)
    *_, last = replayed(hub, tenant, id)
    assert (last["event_type"], last["error"]) == ("error", whole["errors"][0])


def test_unrunnable_interaction_is_rejected_immediately(
    hub: Hub, fake: FakeUpstream, tenant: Tenant
) -> None:
    """With the reason and what to do instead, and nothing is stored."""
    model = open_model(hub, fake, "openai")
    answer = create(hub, tenant, model, background=True, store=False)
    assert (answer.status, "store is false" in str(answer.json())) == (400, True)
    assert create(hub, hub.tenant("0"), model, background=True).status == 402
    id = create(hub, tenant, model).json()["id"]
    message = SPEAKER.error_of(hub.get(f"{PATH}/{id}?stream=true", tenant).json())["message"]
    assert "only if it ran in the background" in message
    message = SPEAKER.error_of(hub.get(f"{PATH}/{id}?last_event_id=1", tenant).json())["message"]
    assert "stream=true" in message


def test_interaction_fails_when_its_process_is_killed(own_hub: Hub, fake: FakeUpstream) -> None:
    """P1, I6: what was received is charged once, and the interaction is failed for everybody."""
    own_hub.application = OFTEN
    own_hub.start()
    tenant, model = own_hub.tenant(), own_hub.model(fake)
    id = started(own_hub, tenant, model, "one two #tokens=9 #hold=4")["id"]
    holding(fake)
    marked = "SELECT * FROM billing_hold WHERE organisation_id = %s AND mark IS NOT NULL"
    own_hub.wait(lambda: bool(own_hub.rows(marked, tenant.organisation_id)), "no mark")
    own_hub.kill()
    fake.release()
    own_hub.start()
    is_dead(own_hub)
    *_, last = replayed(own_hub, tenant, id)
    assert (last["event_type"], last["error"]["code"]) == ("error", "internal")
    record = one_record(own_hub, tenant)
    assert record["charge_nano"] > 0
    whole = shown(own_hub, tenant, id)
    assert (whole["status"], whole["errors"]) == ("failed", [last["error"]])
    assert whole["usage"]["total_output_tokens"] > 0
    assert len(own_hub.rows("SELECT * FROM usage_attempt")) == 1
    own_hub.assert_books_balance()
