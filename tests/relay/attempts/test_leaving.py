"""P6: a client that leaves; the provider hears it at once, and what was emitted is paid."""

import socket

import pytest

from lib.ids import parse_id
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import Clients, attempt_of, final_record
from tests.support.hub import Hub

pytestmark = pytest.mark.usefixtures("balanced_books")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_leaving_mid_stream_closes_upstream_and_bills_what_came(
    hub: Hub, clients: Clients, fake: FakeUpstream, how: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    leaver = clients.ask(hub, tenant, ask(model, "#tokens=500 #delay_ms=10", stream=True))
    leaver.read_until(b'"content":" ')
    left_at = leaver.leave(how)
    row = fake.wait_for_row(attempt_of(hub, tenant))
    assert row["outcome"] == "cut"
    assert (row["left_at"] - left_at) / 1e6 <= 250
    record = final_record(hub, tenant)
    assert (record["status"], record["kind"]) == (499, "client_closed")
    assert record["basis"] == "estimated"
    assert 0 < record["charge_nano"] < record["hold_nano"]
    assert record["ttft_ms"] is not None
    assert record["request_id"] == parse_id(leaver.request_id)
    hub.settled(tenant)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_leaving_before_content_closes_upstream_and_bills_input(
    hub: Hub, clients: Clients, fake: FakeUpstream, stream: bool
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    leaver = clients.ask(hub, tenant, ask(model, "#fault=F11:headers #wait_ms=9000", stream=stream))
    attempt = attempt_of(hub, tenant)
    fake.wait_for_row(attempt, lambda row: row["accepted_at"] is not None)
    left_at = leaver.leave("close")
    row = fake.wait_for_row(attempt)
    assert (row["left_at"] - left_at) / 1e6 <= 250
    record = final_record(hub, tenant)
    assert (record["status"], record["basis"], record["ttft_ms"]) == (499, "estimated", None)
    assert record["meters"]["out_text"] == 0
    assert record["charge_nano"] == record["meters"]["in_text"]
    hub.settled(tenant)


@pytest.mark.parametrize("policy", ["cancel", "drain"])
def test_leaving_before_the_request_is_sent_costs_nothing(
    hub: Hub, clients: Clients, policy: str
) -> None:
    """The upstream is connected to, and has not got a byte of the request."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
        tenant, model = hub.tenant(), hub.model(url, on_leave=policy)
        leaver = clients.ask(hub, tenant, ask(model, "x", stream=True))
        with silent.accept()[0]:
            leaver.leave("close")
            record = final_record(hub, tenant)
    assert (record["status"], record["kind"]) == (499, "client_closed")
    assert (record["basis"], record["charge_nano"], record["meters"]) == ("none", 0, {})
    (hold,) = hub.rows(
        "SELECT state FROM billing_hold WHERE organisation_id = %s", tenant.organisation_id
    )
    assert hold["state"] == "voided"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_draining_channel_is_read_to_the_end_and_billed(
    hub: Hub, clients: Clients, fake: FakeUpstream, stream: bool
) -> None:
    """The provider bills the whole answer of such a channel, so the customer's record has it."""
    tenant, model = hub.tenant(), hub.model(fake, on_leave="drain")
    text = "#tokens=40 #delay_ms=10" if stream else "#tokens=40 #first_ms=400"
    leaver = clients.ask(hub, tenant, ask(model, text, stream=stream))
    attempt = attempt_of(hub, tenant)
    if stream:
        leaver.read_until(b'"content":" ')
    else:
        fake.wait_for_row(attempt, lambda row: row["accepted_at"] is not None)
    leaver.leave("close")
    row = fake.wait_for_row(attempt)
    assert row["outcome"] == "finished"
    record = final_record(hub, tenant)
    assert (record["status"], record["kind"], record["basis"]) == (499, "client_closed", "drained")
    assert record["meters"]["out_text"] == 40
    assert record["finish_reason"] == "stop"
    hub.settled(tenant)


def test_leaving_between_attempts_ends_the_request(
    hub: Hub, clients: Clients, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The second upstream is cut; both attempts are settled, one record is final."""
    tenant, model = hub.tenant(), hub.model(fake, other_fake)
    text = "#a.fault=F10:500 #b.fault=F11:headers #wait_ms=9000"
    leaver = clients.ask(hub, tenant, ask(model, text))
    query = "SELECT id FROM usage_attempt WHERE organisation_id = %s"
    hub.wait(lambda: len(hub.rows(query, tenant.organisation_id)) == 2, "no second attempt")
    leaver.leave("close")
    record = final_record(hub, tenant)
    assert (record["status"], record["channel_name"]) == (499, f"{model}-1")
    hub.settled(tenant)


def test_leaving_before_the_body_is_whole_costs_nothing(hub: Hub) -> None:
    tenant = hub.tenant()
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as leaver:
        leaver.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}"
            "\r\ncontent-length: 1000\r\n\r\n{".encode()
        )
    assert hub.get("/healthz").status == 200
    assert hub.rows("SELECT 1 FROM usage_attempt WHERE organisation_id = %s",
                    tenant.organisation_id) == []  # fmt: skip


def test_books_balance_when_many_leave_at_any_moment(
    hub: Hub, clients: Clients, fake: FakeUpstream
) -> None:
    """I6: whatever is under way, each attempt has one end."""
    tenant, model = hub.tenant(), hub.model(fake)
    body = ask(model, "#tokens=30 #delay_ms=2", stream=True)
    leavers = [clients.ask(hub, tenant, body) for _ in range(60)]
    for number, leaver in enumerate(leavers):
        if number % 3 == 1:
            leaver.read_until(b"\r\n\r\n")
        elif number % 3 == 2:
            leaver.read_until(b"[DONE]")
        leaver.leave("reset" if number % 2 else "close")
    hub.wait(lambda: fake.totals()["open"] == 0, "an upstream stays open")
    query = "SELECT count(*) AS n FROM usage_usagerecord WHERE organisation_id = %s AND final"
    hub.settled(tenant)
    hub.wait(
        lambda: hub.rows(query, tenant.organisation_id)[0]["n"] <= 60, "more records than requests"
    )
