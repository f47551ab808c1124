"""Asking providers what they counted keeps nobody from sweeping, whatever they answer (I24). No
customer pays for what their counts exceed ours by (I7)."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.holds.usage_corrections import Borne, read_borne_cost
from gateway.channels.channels import add_key, create_channel, remove_key, switch_key
from gateway.channels.fields import ChannelFields
from gateway.models import Channel
from gateway.provider_accounts.reconciliation import usage_reconciliation
from gateway.settings.installation import save_settings
from lib import clock
from tests.support.books import assert_books_balance
from tests.support.cast import Cast, make_key
from tests.usage import rows
from usage.models import LateTruth, TruthSource

pytestmark = pytest.mark.django_db


class Provider(ThreadingHTTPServer):
    """It answers the look-up of usage with `body`, or for ever when there is none. A key that is
    not `known` is of another account."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body: bytes | None = None
        self.asked = 0
        self.known: str | None = None
        self.over = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        self.server.asked += 1
        known = self.server.known in (None, self.headers["authorization"])
        self.send_response(200 if known else 404)
        self.end_headers()
        if self.server.body is not None:
            self.wfile.write(self.server.body)
            return
        while not self.server.over.wait(0.05):
            try:
                self.wfile.write(b" ")
            except OSError:
                return

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def unsure(people: Cast, provider: Provider) -> list[Key]:
    """Three attempts of a channel whose provider is to be asked."""
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    url = f"http://127.0.0.1:{provider.server_port}/v1"
    channel = create_channel(
        SYSTEM,
        "metered",
        ChannelFields(provider="openai_metered", base_url=url, keys=[], models={"gpt-5": ""}),
    )
    key, _ = make_key(people.core, user=people.bob)
    rows.credit(key)
    for _ in range(3):
        rows.happen(key, clock.now(), 1000, basis="estimated", channel_id=channel.id)
    return [key]


@pytest.mark.usefixtures("unsure")
def test_unending_provider_answer_is_read_for_a_while(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_reconciliation, "_ASKING_S", 0.3)
    assert usage_reconciliation.reconcile() == 0
    assert 0 < provider.asked < 3
    assert LateTruth.objects.filter(meters__isnull=False).count() == 0


@pytest.mark.usefixtures("unsure")
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"usage":' + b"[" * 60_000,
        b'{"usage":{"prompt_tokens":1,"completion_tokens":1,"usage_source":"\\ud800"},"final":true}',
        b'{"usage":{"prompt_tokens":1,"completion_tokens":1,"usage_source":"\\u0000"},"final":true}',
        b'{"usage":{"prompt_tokens":1e400,"completion_tokens":-1}}',
        b"\xff" * 10,
        b" " * 70_000,
        b"",
    ],
    ids=["deep", "deep usage", "surrogate", "nul", "odd numbers", "no text", "too large", "empty"],
)
def test_no_provider_answer_is_an_internal_error(provider: Provider, body: bytes) -> None:
    provider.body = body
    usage_reconciliation.reconcile()
    assert provider.asked == 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@pytest.mark.parametrize("charge_nano", [0, 1000])
@pytest.mark.parametrize(
    ("first", "removed", "known", "meters"),
    [
        ("b", False, "b", {"in_text": 1, "out_text": 1}),
        # Another key is before it now, and it may be disabled.
        ("a", False, "b", {"in_text": 1, "out_text": 1}),
        # The account that was used does not know the attempt. That is believed if nobody paid.
        ("a", False, "a", {}),
        # An active key of the same account may answer, but no other account may deny it.
        ("a", True, "a", {"in_text": 1, "out_text": 1}),
        ("a", True, "b", None),
    ],
)
def test_a_provider_is_asked_with_the_key_of_the_attempt(
    people: Cast,
    provider: Provider,
    first: str,
    removed: bool,
    known: str,
    meters: dict[str, int] | None,
    charge_nano: int,
) -> None:
    """I7, I15: another account does not know the attempt, which did not cost nothing for that."""
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    secrets = {"a": "sk-account-a-00001", "b": "sk-account-b-00001"}
    ordered = [secrets[first], *(secret for name, secret in secrets.items() if name != first)]
    fields = ChannelFields(
        provider="openai_metered",
        base_url=f"http://127.0.0.1:{provider.server_port}/v1",
        keys=ordered,
        models={"gpt-5": ""},
    )
    channel = create_channel(SYSTEM, "metered", fields)
    used = channel.keys.get(position=ordered.index(secrets["b"]))
    if first != "b":
        switch_key(SYSTEM, channel, used, enabled=False)
    provider.known = f"Bearer {secrets[known]}"
    provider.body = b'{"usage":{"prompt_tokens":1,"completion_tokens":1},"final":true}'
    key, _ = make_key(people.core, user=people.bob)
    rows.credit(key)
    rows.happen(
        key, clock.now(), charge_nano, basis="estimated",
        channel_id=channel.id, channel_key_id=used.id,
    )  # fmt: skip
    if removed:
        remove_key(SYSTEM, channel, used)
    if meters == {} and charge_nano:
        meters = None
    usage_reconciliation.reconcile()
    assert provider.asked == 1
    assert LateTruth.objects.get().meters == meters


def test_another_account_denies_no_attempt_of_a_channel_that_had_no_keys(
    people: Cast, provider: Provider, unsure: list[Key]
) -> None:
    """I15: without keys, its own address is what the attempt was sent to."""
    LateTruth.objects.all().delete()
    channel = Channel.objects.get(name="metered")
    provider.body, provider.known = b"", "Bearer nobody"
    record = rows.happen(unsure[0], clock.now(), 0, basis="absorbed", channel_id=channel.id)
    usage_reconciliation.reconcile()
    assert LateTruth.objects.get(attempt_id=record.id).meters == {}
    record = rows.happen(unsure[0], clock.now(), 0, basis="absorbed", channel_id=channel.id)
    add_key(SYSTEM, channel, "sk-account-a-00001")
    usage_reconciliation.reconcile()
    assert LateTruth.objects.get(attempt_id=record.id).meters is None


@pytest.mark.usefixtures("unsure")
@pytest.mark.parametrize(("more", "learnt"), [(b"", 3), (b',"holo_tokens":7', 0)])
def test_unknown_usage_member_moves_no_money(provider: Provider, more: bytes, learnt: int) -> None:
    """P28: its known part would be less than what is owed."""
    provider.body = b'{"usage":{"prompt_tokens":1,"completion_tokens":1%b},"final":true}' % more
    usage_reconciliation.reconcile()
    assert provider.asked == 3
    assert LateTruth.objects.filter(meters__isnull=False).count() == learnt


def test_customer_pays_what_was_settled_and_at_most_what_the_provider_counted(
    people: Cast,
) -> None:
    """I7: attempts of dead processes were settled with 600 nano, as 4 tokens."""
    cases = [
        # The tokens that the provider counted, what the process charges after all, who pays.
        (10, None, Borne(600, 900, 1500)),
        (2, None, Borne(300, 0, 300)),
        (10, 750, Borne(750, 750, 1500)),
        (4, 750, Borne(600, 0, 600)),
    ]
    key, _ = make_key(people.core, user=people.bob)
    rows.credit(key)
    settled = {"basis": "estimated", "price_version_id": rows.price_version().id}
    attempts = [rows.happen(key, clock.now(), 600, **settled).id for _ in cases]
    LateTruth.objects.bulk_create(
        LateTruth(
            organisation_id=key.organisation_id, attempt_id=attempt, source=source,
            meters={"in_text": count}, charge_nano=charge_nano,
        )
        for attempt, (counted, late_nano, _) in zip(attempts, cases, strict=True)
        for source, count, charge_nano in (
            (TruthSource.LATE, 5, late_nano), (TruthSource.LOOK_UP, counted, None),
        )
        if source == TruthSource.LOOK_UP or late_nano is not None
    )  # fmt: skip
    assert usage_reconciliation.reconcile() == 6
    assert [read_borne_cost(attempt) for attempt in attempts] == [
        expected for *_, expected in cases
    ]
    assert_books_balance()
