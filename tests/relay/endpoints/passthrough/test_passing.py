"""Requests that no dialect knows, passed on as they came: what arrives, what comes back, what it
costs (I7, P6, P12)."""

import gzip
import hashlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.channels.passthrough.rules import PassThroughRule
from lib.ids import id_text
from tests.relay.endpoints.passthrough.passing import channel_of
from tests.relay.endpoints.passthrough.provider import KEY, Handler, Provider, running_provider
from tests.relay.sweeper import receipt as receipt_of
from tests.support.hub import Answer, Hub, Tenant

SCRIPT = Path(__file__).resolve().parents[4] / "static" / "recompute_receipt.py"
ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CENT = 10_000_000
FLAT = PassThroughRule(ALL, "/files/**", "0.01")
# A thousandth of a USD for each unit, 1 USD at most.
BY_VALUE = PassThroughRule(ALL, "/search", "0.01", "/usage/credits", "0.001", "1.00")


COSTLY = [
    structs.replace(FLAT, cost="0.003"),
    structs.replace(BY_VALUE, cost="0.004", unit_cost="0.0005"),
    PassThroughRule(ALL, "/free", cost="0.000000007"),
    PassThroughRule(ALL, "/unknown", "0.01"),
]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def root(hub: Hub, provider: Provider) -> str:
    provider.answers.clear()
    return channel_of(hub, provider, [FLAT, BY_VALUE])


@pytest.fixture
def tenant(hub: Hub, root: str) -> Tenant:
    return hub.tenant("10.00")


def record(hub: Hub, answer: Answer) -> dict[str, Any]:
    return hub.record(answer.headers["x-request-id"])


def spent(hub: Hub, tenant: Tenant) -> int:
    """What was charged of the credit, by the ledger, with nothing left held."""
    hub.settled(tenant)
    hub.assert_books_balance()
    balance = hub.balance(tenant)
    assert balance.get("customer:held", 0) == 0
    return 10 * 10**9 - balance["customer:available"]


# ---- what arrives, and what comes back


@pytest.mark.parametrize("method", ALL)
def test_every_method_passes_with_its_body(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, method: str
) -> None:
    body = b"\x00\xffhello" if method not in ("GET", "HEAD") else None
    headers = {"content-type": "text/x-own; a=b", "range": "bytes=0-1", "idempotency-key": "k"}
    answer = hub.request(method, f"{root}/files/a%20b?x=1&y=%2F", tenant, body, headers)
    seen = provider.last
    assert answer.status == 200
    assert (seen.method, seen.target) == (method, "/v1/files/a%20b?x=1&y=%2F")
    assert seen.digest == hashlib.sha256(body or b"").hexdigest()
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["content-type"] == "text/x-own; a=b"
    assert (seen.headers["range"], seen.headers["idempotency-key"]) == ("bytes=0-1", "k")
    row = record(hub, answer)
    assert (row["operation"], row["basis"], row["charge_nano"]) == ("passthrough", "measured", CENT)
    assert row["upstream_model"] == "GET,HEAD,POST,PUT,PATCH,DELETE /files/**"
    assert row["model"] == root.removeprefix("/")
    assert spent(hub, tenant) == CENT


def test_foreign_client_headers_stay_here(
    hub: Hub, provider: Provider, root: str, tenant: Tenant
) -> None:
    own = {
        "cookie": "a=b", "x-api-key": tenant.key, "x-drop": "1",
        "x-weir-labels": '{"project": "p"}',
        "connection": "x-drop", "x-forwarded-for": "1.2.3.4", "forwarded": "for=1.2.3.4",
        "traceparent": "00-1-2-01",
        "te": "trailers", "accept-encoding": "gzip", "sec-fetch-site": "none",
    }  # fmt: skip
    answer = hub.request("GET", f"{root}/files/a", tenant, None, own)
    assert answer.status == 200
    sent = provider.last.headers
    assert tenant.key not in json.dumps(sent)
    assert sent.keys().isdisjoint(own.keys() - {"accept-encoding", "connection"})
    assert sent["accept-encoding"] == "identity"
    assert record(hub, answer)["project"] == "p"


def test_key_and_cookies_of_provider_never_reach_the_client(
    hub: Hub, provider: Provider, root: str, tenant: Tenant
) -> None:
    def tell(handler: Handler) -> None:
        handler.begin(
            "text/plain", set_cookie="s=1", x_key=f"it is {KEY}", x_own="2",
            www_authenticate="Bearer", x_ratelimit_remaining="7", alt_svc="h2", etag="2",
        )  # fmt: skip
        for piece in (b"first ", KEY[:9].encode(), KEY[9:].encode(), b" then sk-provider-012 last"):
            handler.chunk(piece)
        handler.chunk(b"")

    provider.answers["/files/tells"] = tell
    answer = hub.request("GET", f"{root}/files/tells", tenant)
    assert answer.body == b"first " + b"*" * len(KEY) + b" then sk-provider-012 last"
    assert answer.headers["etag"] == "2"
    assert KEY not in str(answer.headers)
    gone = {"set-cookie", "x-key", "x-own", "www-authenticate", "x-ratelimit-remaining", "alt-svc"}
    assert gone.isdisjoint(answer.headers)


@pytest.mark.parametrize(
    ("status", "path"), [(200, "/files/a"), (404, "/files/a"), (200, "/search")]
)
def test_encoded_answer_is_refused(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, status: int, path: str
) -> None:
    """F20: nobody asked for it, and no key could be masked in it."""
    body = gzip.compress(f"it is {KEY}".encode())
    provider.answers[path] = lambda handler: handler.reply(
        body, status=status, content_encoding="gzip"
    )
    answer = hub.request("GET", root + path, tenant)
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    assert body not in answer.body
    assert spent(hub, tenant) == 0
    # What has no body is not refused; nor does it say anything of the channel.
    assert hub.request("HEAD", root + path, tenant).status == status


def test_own_key_in_the_address_is_refused(
    hub: Hub, provider: Provider, root: str, tenant: Tenant
) -> None:
    before = len(provider.seen)
    for path in (f"/files/a?key={tenant.key}", f"/files/{tenant.key}"):
        answer = hub.request("GET", root + path, tenant)
        assert (answer.status, tenant.key in answer.body.decode()) == (400, False)
    assert len(provider.seen) == before
    assert spent(hub, tenant) == 0


def test_stream_of_events_passes_event_by_event(
    hub: Hub, provider: Provider, root: str, tenant: Tenant
) -> None:
    def events(handler: Handler) -> None:
        handler.begin()
        for number in (1, 2):
            handler.chunk(b'data: {"usage": {"credits": %d}}\n\n' % number)
        handler.chunk(b"data: [DONE]\n\n")
        handler.chunk(b"")

    provider.answers["/search"] = events
    answer = hub.request("POST", f"{root}/search", tenant, b"{}")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.count(b"\n\n") == 3
    # F26: the last one counts.
    assert record(hub, answer)["meters"] == {"requests": 1, "answer_micros": 2_000_000}
    assert spent(hub, tenant) == CENT + 2_000_000


# ---- what it costs


@pytest.mark.parametrize(
    ("written", "micros", "nano"),
    [
        ("3", 3_000_000, 3_000_000),
        ("0", 0, 0),
        ("0.0000015", 2, 2),
        ("12.5e1", 125_000_000, 125_000_000),
        ("990", 990_000_000, 990_000_000),
    ],
)
def test_value_in_answer_is_charged_exactly(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, written: str, micros: int, nano: int
) -> None:
    body = b'{"usage": {"credits": %b}}' % written.encode()
    provider.answers["/search"] = lambda handler: handler.reply(body)
    answer = hub.request("POST", f"{root}/search", tenant, b"{}")
    assert answer.body == body
    assert answer.headers["x-weir-hold"] == "1.00"
    row = record(hub, answer)
    assert (row["basis"], row["flags"]) == ("measured", [])
    assert row["meters"] == {"requests": 1, "answer_micros": micros}
    assert row["raw_usage"] == {"/usage/credits": written}
    assert spent(hub, tenant) == CENT + nano


def test_receipt_computes_the_charge_again(
    hub: Hub, provider: Provider, root: str, tenant: Tenant
) -> None:
    provider.answers["/search"] = lambda handler: handler.reply(b'{"usage": {"credits": 2.5}}')
    answer = hub.request("POST", f"{root}/search?token=secret", tenant, b"{}")
    row = record(hub, answer)
    receipt = receipt_of(hub, tenant.key, answer.headers["x-request-id"])
    ran = subprocess.run(
        [sys.executable, "-I", str(SCRIPT)],
        input=json.dumps(receipt), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (receipt["charge"], receipt["model"]) == ("0.0125", root.removeprefix("/"))
    assert {line["meter"]: (line["quantity"], line["rate"]) for line in receipt["lines"]} == {
        "requests": (1, "0.01"), "answer_micros": (2_500_000, "0.001"),
    }  # fmt: skip
    # Nothing of the address but the rule's own path is kept.
    assert "secret" not in str(row)


@pytest.mark.parametrize(
    ("body", "kind", "headers", "flag"),
    [
        (b"{}", "application/json", {}, "usage_missing"),
        (b'{"usage": {"credits": null}}', "application/json", {}, "usage_missing"),
        (b'{"usage": {"credits": "3"}}', "application/json", {}, "usage_unreadable"),
        (b'{"usage": {"credits": true}}', "application/json", {}, "usage_unreadable"),
        (b'{"usage": {"credits": NaN}}', "application/json", {}, "usage_unreadable"),
        (b'{"usage": {"credits": -1}}', "application/json", {}, "usage_negative"),
        (b'{"usage": {"credits": 990.000001}}', "application/json", {}, "usage_huge"),
        (b'{"usage": {"credits": 1e999999}}', "application/json", {}, "usage_huge"),
        (b'{"usage": {"credits": 1}', "application/json", {}, "usage_unreadable"),
        (b"[" * 100_000, "application/json", {}, "usage_unreadable"),
        (b'{"usage": {"credits": 1}}', "text/plain", {}, "usage_unreadable"),
        (
            b'{"pad": "%b", "usage": {"credits": 1}}' % (b"x" * 1024 * 1024),
            "application/json", {}, "usage_unreadable",
        ),
    ],
)  # fmt: skip
def test_unknown_value_is_under_review_with_its_hold(
    hub: Hub,
    provider: Provider,
    root: str,
    tenant: Tenant,
    body: bytes,
    kind: str,
    headers: dict[str, Any],
    flag: str,
) -> None:
    provider.answers["/search"] = lambda handler: handler.reply(body, kind=kind, **headers)
    answer = hub.request("POST", f"{root}/search", tenant, b"{}")
    assert (answer.status, answer.body) == (200, body)
    row = record(hub, answer)
    assert (row["basis"], row["charge_nano"]) == ("held", 0)
    assert row["flags"] == [flag, "quarantine"]
    # I14: the hold stays until an operator decides.
    assert hub.balance(tenant)["customer:held"] == 10**9
    hub.assert_books_balance()


@pytest.mark.parametrize(("method", "status"), [("POST", 303), ("GET", 304), ("HEAD", 200)])
def test_answer_without_the_value_costs_the_request(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, method: str, status: int
) -> None:
    provider.answers["/search"] = lambda handler: handler.reply(b"", status=status)
    answer = hub.request(method, f"{root}/search", tenant)
    assert answer.status == status
    assert record(hub, answer)["meters"] == {"requests": 1}
    assert spent(hub, tenant) == CENT


def test_plan_multiplies_price_and_hold(hub: Hub, provider: Provider, tenant: Tenant) -> None:
    hub.plan(tenant, 1_500_000)
    # The hub knows the plan as soon as it knows a later channel.
    root = channel_of(hub, provider, [BY_VALUE])
    provider.answers["/search"] = lambda handler: handler.reply(b'{"usage": {"credits": 100}}')
    answer = hub.request("POST", f"{root}/search", tenant, b"{}")
    assert answer.headers["x-weir-hold"] == "1.50"
    assert record(hub, answer)["multiplier_ppm"] == 1_500_000
    assert spent(hub, tenant) == 165_000_000


@pytest.mark.parametrize(
    ("path", "body", "charge", "cost"),
    [
        ("/files/a", b"ok", CENT, 3_000_000),
        # 2,500,001 millionths at half a nano each: rounded half to even.
        ("/search", b'{"usage": {"credits": 2.500001}}', CENT + 2_500_001, 4_000_000 + 1_250_000),
        # Free for the customer, and not for the operator.
        ("/free", b"ok", 0, 7),
        ("/unknown", b"ok", CENT, None),
    ],
)
def test_cost_of_the_provider_is_in_record_and_ledger(
    hub: Hub, provider: Provider, tenant: Tenant, path: str, body: bytes, charge: int,
    cost: int | None,
) -> None:  # fmt: skip
    root = channel_of(hub, provider, COSTLY)
    provider.answers[path] = lambda handler: handler.reply(body, kind="application/json")
    row = record(hub, hub.request("GET", f"{root}{path}", tenant))
    assert (row["charge_nano"], row["cost_nano"]) == (charge, cost)
    assert spent(hub, tenant) == charge
    balance = hub.balance(tenant)
    # I15: without a cost price what was charged is taken for it.
    owed = charge if cost is None else cost
    assert balance.get("provider:payable", 0) == -balance.get("provider:cost", 0) == owed
    hub.assert_books_balance()


def test_plan_multiplies_no_cost(hub: Hub, provider: Provider, tenant: Tenant) -> None:
    hub.plan(tenant, 1_500_000)
    root = channel_of(hub, provider, COSTLY)
    row = record(hub, hub.request("GET", f"{root}/files/a", tenant))
    assert (row["charge_nano"], row["cost_nano"]) == (CENT * 3 // 2, 3_000_000)


def test_spend_cap_of_the_channel_counts_the_cost(
    hub: Hub, provider: Provider, tenant: Tenant
) -> None:
    """Also of a path that is free for its clients."""
    root = channel_of(hub, provider, COSTLY, spend_cap_day_nano=7)
    assert hub.request("GET", f"{root}/free", tenant).status == 200
    answers: list[Answer] = []

    def capped() -> bool:
        answers.append(hub.request("GET", f"{root}/free", tenant))
        return answers[-1].status != 200

    hub.wait(capped, "the cap does nothing")
    assert "the operator's cap on its cost is reached" in answers[-1].error["message"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 207, 303])
def test_record_has_the_status_of_the_provider(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, status: int
) -> None:
    provider.answers["/files/a"] = lambda handler: handler.reply(b"", status=status)
    answer = hub.request("POST", f"{root}/files/a", tenant, b"{}")
    assert answer.status == status
    row = record(hub, answer)
    assert (row["status"], row["kind"], row["charge_nano"]) == (status, None, CENT)
    assert spent(hub, tenant) == CENT


def test_unpayable_request_is_not_sent(hub: Hub, provider: Provider, root: str) -> None:
    poor, before = hub.tenant("0.005"), len(provider.seen)
    answer = hub.request("GET", f"{root}/files/a", poor)
    assert (answer.status, answer.error["code"]) == (402, "insufficient_quota")
    limited = hub.tenant("10.00")
    costly = hub.request("GET", f"{root}/search", limited, None, {"x-weir-max-cost": "0.5"})
    assert (costly.status, costly.error["code"]) == (402, "max_cost_exceeded")
    assert len(provider.seen) == before
    assert spent(hub, limited) == 0


# ---- whose key may


def test_key_needs_the_endpoint_and_the_name(hub: Hub, provider: Provider, root: str) -> None:
    named = root.removeprefix("/")
    before = len(provider.seen)
    assert hub.request("GET", f"{root}/files/a").status == 401
    elsewhere = hub.tenant("1.00")
    hub.limit(elsewhere, endpoints=["messages"])
    refused = hub.request("GET", f"{root}/files/a", elsewhere)
    assert (refused.status, "endpoint passthrough" in refused.error["message"]) == (403, True)
    other = hub.tenant("1.00", patterns=("gpt-*",))
    refused = hub.request("GET", f"{root}/files/a", other)
    assert (refused.status, named in refused.error["message"]) == (403, True)
    assert len(provider.seen) == before
    allowed = hub.tenant("1.00", patterns=("passthrough/*",))
    hub.limit(allowed, endpoints=["passthrough"])
    assert hub.request("GET", f"{root}/files/a", allowed).status == 200


def test_limits_and_networks_of_keys_hold(hub: Hub, provider: Provider, root: str) -> None:
    tenant = hub.tenant("1.00")
    hub.limit(tenant, rpm=1)
    assert hub.request("GET", f"{root}/files/a", tenant).status == 200
    assert hub.request("GET", f"{root}/files/a", tenant).status == 429
    far = hub.tenant("1.00")
    hub.limit(far, networks=["10.0.0.0/8"])
    assert hub.request("GET", f"{root}/files/a", far).status == 403
    budgeted = hub.tenant("1.00")
    hub.budget(budgeted, "0.015")
    assert hub.request("GET", f"{root}/files/a", budgeted).status == 200
    assert hub.request("GET", f"{root}/files/a", budgeted).status == 402


def test_channel_with_an_unfit_policy_is_not_asked(hub: Hub, provider: Provider) -> None:
    root = channel_of(hub, provider, [FLAT])
    before = len(provider.seen)
    headers = {"x-weir-data-policy": "zero_retention"}
    answer = hub.request("GET", f"{root}/files/a", hub.tenant("1.00"), None, headers)
    assert answer.status in (400, 403)
    assert len(provider.seen) == before


# ---- what goes wrong


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 451])
def test_provider_rejection_passes_and_costs_nothing(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, status: int
) -> None:
    body = b'{"their": "own form"}'
    provider.answers["/files/no"] = lambda handler: handler.reply(body, status=status)
    answer = hub.request("POST", f"{root}/files/no", tenant, b"x")
    assert (answer.status, answer.body) == (status, body)
    row = record(hub, answer)
    assert (row["status"], row["kind"], row["basis"]) == (status, "provider_rejected", "none")
    assert spent(hub, tenant) == 0
    assert hub.request("GET", f"{root}/files/a", tenant).status == 200


WRONG_KEYS = {
    "google": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
               "status": "INVALID_ARGUMENT",
               "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                            "reason": "API_KEY_INVALID"}]},
    "xai": f"Incorrect API key provided: {KEY[:2]}***ef. You can obtain one at the console.",
    "qwen": {"code": "Arrearage", "type": "Arrearage", "message": "Access denied."},
}  # fmt: skip


@pytest.mark.parametrize("form", WRONG_KEYS)
def test_provider_rejecting_our_key_is_our_fault(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, form: str
) -> None:
    """F5, F9: the client's own key is fine, and hears nothing of the provider's."""
    body = json.dumps({"error": WRONG_KEYS[form]}).encode()
    provider.answers["/files/no"] = lambda handler: handler.reply(body, status=400)
    answer = hub.request("POST", f"{root}/files/no", tenant, b"x")
    assert answer.status == 502
    # The request's ID may have any three letters.
    assert "key" not in answer.json()["error"]["message"].lower()
    assert spent(hub, tenant) == 0


@pytest.mark.parametrize(
    ("status", "here"), [(401, 502), (402, 502), (403, 502), (429, 429), (500, 502), (503, 502)]
)
def test_failure_of_provider_is_ours_and_costs_nothing(
    hub: Hub, provider: Provider, root: str, tenant: Tenant, status: int, here: int
) -> None:
    body = json.dumps({"error": {"message": f"bad key {KEY}"}}).encode()
    provider.answers["/files/no"] = lambda handler: handler.reply(body, status=status)
    answer = hub.request("POST", f"{root}/files/no", tenant, b"x")
    assert answer.status == here or (status >= 500 and answer.status >= 500)
    assert KEY not in answer.body.decode()
    assert answer.headers["content-type"] == "application/json"
    assert spent(hub, tenant) == 0
    # A path that a client chose takes no channel out of use.
    assert hub.request("GET", f"{root}/files/a", tenant).status == 200


def test_broken_off_answer_is_cut(hub: Hub, provider: Provider, root: str, tenant: Tenant) -> None:
    def break_off(handler: Handler) -> None:
        handler.begin("application/json")
        handler.chunk(b'{"usage": ')
        handler.close_connection = True

    provider.answers["/search"] = break_off
    with pytest.raises(Exception, match="IncompleteRead"):
        hub.request("POST", f"{root}/search", tenant, b"{}")
    row = ended(hub, tenant)
    assert (row["kind"], row["basis"]) == ("upstream_truncated", "held")
    assert set(row["flags"]) == {"usage_missing", "quarantine", "F14"}


def begin_and_wait(provider: Provider, go_on: threading.Event) -> threading.Event:
    """Let /search begin its answer, and end it after `go_on`; the event of its beginning."""
    begun = threading.Event()

    def answer(handler: Handler) -> None:
        handler.begin("application/json")
        handler.chunk(b'{"usage": ')
        begun.set()
        go_on.wait(20)
        handler.chunk(b'{"credits": 5}}')
        handler.chunk(b"")

    provider.answers["/search"] = answer
    return begun


def ended(hub: Hub, tenant: Tenant) -> dict[str, Any]:
    """The record of the tenant's only request."""
    (row,) = hub.rows(
        "SELECT request_id FROM usage_attempt WHERE organisation_id = %s", tenant.organisation_id
    )
    return hub.record(id_text(row["request_id"]))


def test_drained_answer_is_charged_by_its_value(hub: Hub, provider: Provider) -> None:
    root, go_on = channel_of(hub, provider, [BY_VALUE], on_leave="drain"), threading.Event()
    tenant, begun = hub.tenant("10.00"), begin_and_wait(provider, go_on)
    with closing(socket.create_connection(("127.0.0.1", hub.port), 30)) as client:
        head = f"POST {root}/search HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}"
        client.sendall(f"{head}\r\ncontent-length: 0\r\n\r\n".encode())
        assert begun.wait(20)
        client.recv(65536)
        client.shutdown(socket.SHUT_WR)
        # The hub closes its end once it knows that the client has left.
        while client.recv(65536):
            pass
    go_on.set()
    assert spent(hub, tenant) == CENT + 5_000_000
    row = ended(hub, tenant)
    assert (row["status"], row["basis"]) == (499, "drained")


def test_key_that_ends_cuts_the_answer(hub: Hub, provider: Provider, root: str) -> None:
    go_on = threading.Event()
    tenant, begun = hub.tenant("10.00"), begin_and_wait(provider, go_on)
    with closing(socket.create_connection(("127.0.0.1", hub.port), 30)) as client:
        head = f"POST {root}/search HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {tenant.key}"
        client.sendall(f"{head}\r\ncontent-length: 0\r\n\r\n".encode())
        assert begun.wait(20)
        hub.connection.execute(
            "UPDATE accounts_key SET revoked_at = now() WHERE id = %s", [tenant.key_id]
        )
        hub.bump()
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    go_on.set()
    # No end of chunks: the client sees that it is not whole.
    assert answer.startswith(b"HTTP/1.1 200")
    assert not answer.endswith(b"0\r\n\r\n")
    row = ended(hub, tenant)
    assert (row["status"], row["basis"]) == (401, "held")
    hub.assert_books_balance()


def test_silent_provider_is_a_timeout(hub: Hub, provider: Provider) -> None:
    timeouts = {"connect": 3, "first_content": 0.2, "idle": 0.2, "total": 30}
    root = channel_of(hub, provider, [FLAT], timeouts=timeouts)
    tenant = hub.tenant("10.00")

    def wait(handler: Handler) -> None:
        provider.left.wait(20)

    provider.answers["/files/slow"] = wait
    answer = hub.request("GET", f"{root}/files/slow", tenant)
    provider.left.set()
    assert answer.status == 504
    assert record(hub, answer)["flags"] == ["F11"]
    assert spent(hub, tenant) == 0


def test_unreachable_provider_is_502(hub: Hub, provider: Provider) -> None:
    root = channel_of(hub, replace(provider, port=9), [FLAT])
    tenant = hub.tenant("10.00")
    answer = hub.request("PUT", f"{root}/files/a", tenant, b"x")
    assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
    assert record(hub, answer)["flags"] == ["F1"]
    assert spent(hub, tenant) == 0
