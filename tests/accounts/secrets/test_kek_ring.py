"""The ring of key encryption keys: everything sealed moves to another one while processes run, and
a key leaves the ring only when nothing needs it (docs/promises.md, "Channel secrets")."""

import asyncio
import base64
import threading
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.limits.answer_cache import CacheRule
from accounts.mail_server import current_server, mail_server
from accounts.models import SecretCheck, SingleSignOn
from accounts.second_factor import second_factor
from accounts.secrets import key_ring
from accounts.secrets.key_ring import count_by_kek, rewrap_all, sealed_fields
from accounts.secrets.sealing import open_sealed, seal, vault
from accounts.single_sign_on import single_sign_on
from billing import idempotency
from billing.seals.seals import seal_all
from config.system.secret_check import check_secrets
from content.data_keys.data_keys import open_data_key
from content.data_keys.sealing import new_data_key, place_of_key
from content.data_keys.sealing import open_sealed as open_text
from content.data_keys.sealing import seal as seal_text
from content.models import DataKey, Policy, PolicySecret
from gateway.channels import egress
from gateway.channels.channels import change_channel, create_channel
from gateway.channels.fields import EGRESS_SECRETS, ChannelFields
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel, ChannelKey, MediaTask, OwnKey, OwnKeyOffer
from gateway.own_keys.own_keys import add_own_key
from lib import clock
from lib.database.sealed_field import SealedField
from lib.ids import new_id
from lib.vault import PREFIX_BYTES, Vault, WrongSecret
from notify.deliveries.deliveries import HookCall, call_hook, open_hook
from notify.endpoints.endpoints import create_endpoint, rotate_secret, secrets_in_force
from notify.models import Delivery, WebhookEndpoint
from outbox.facts import put
from relay.answers import answer_cache
from relay.answers import idempotency as relay_idempotency
from relay.database.database import hex_of
from relay.downstream.downstream import Head
from relay.media_tasks import media_tasks
from relay.states import state_store
from tests.support import cast as people_cast
from tests.support.cast import Cast

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
OLD_ID, NEW_ID = Vault(OLD).current.id, Vault(NEW).current.id
CONTENT: Final = bytes(range(256)) * 300
CACHED: Final = answer_cache.StoredAnswer(
    b"d", "r", 0, "stop", "text/plain", False, (), (), CONTENT
)
TASK_CONTENT: Final = ("request", "result", "hook")
HOOK: Final = HookCall("https://h.example/x", "whsec_x", "key", "{}")
CHANNEL: Final = ChannelFields(provider="openai", base_url="", keys=["sk-1"], models={"m": ""})


def rotate() -> str:
    out = StringIO()
    call_command("rotate_secrets", stdout=out)
    return out.getvalue()


def answer_once(people: Cast) -> idempotency.Answer:
    actor = people_cast.actor(people.alice, people.acme)
    answer = idempotency.Answer(200, {"n": 1})
    return idempotency.run_once(actor, "k", ("POST", "/x", b""), lambda: answer)


class Interrupted(Exception):
    pass


class ProtocolState:
    """What the relay keeps of answers, written by its own statements."""

    def __init__(self, people: Cast) -> None:
        self._principal: Any = SimpleNamespace(
            organisation_id=people.acme.id, key_id=new_id(), retention_hours=24, user_id=None
        )
        self._request_id, state_id = new_id(), new_id()
        self._state = {"organisation": people.acme.id, "id": state_id, "hours": 1}
        self._state_place = state_store._seal_context(people.acme.id, state_id)

    def write(self) -> None:
        states = state_store.StateStore(cast(Any, None), Vault(OLD))
        answer = self._answer(states)
        cached = asyncio.run(self._cache(states).storing(CACHED))
        sealed = states._seal(CONTENT, self._state_place)
        head = asyncio.run(answer.head(Head("text/plain", 1, None, None), stream=False))
        pieces = asyncio.run(answer.pieces(CONTENT, 0))
        kept = (state_store._PUT, {**self._state, "user": "", "sealed": sealed})
        for statement in (kept, cached, (relay_idempotency._CLAIM, answer.row), head, *pieces):
            with connection.cursor() as cursor:
                cursor.execute(*cast(Any, statement))

    def read(self, keks: str) -> None:
        """Open it all as the relay does. Raises VaultError."""
        states = state_store.StateStore(cast(Any, None), Vault(keks))
        answer = self._answer(states)
        assert states._open(self._stored("gateway_keptstate", "sealed"), self._state_place)
        cache = self._cache(states)
        place = cache._place(cache._row(CACHED.digest)["id"])
        assert states._open(self._stored("gateway_cachedanswer", "sealed"), place)
        head = self._stored("gateway_idempotentanswer", "head")
        assert states._open(head, answer._head_place(self._request_id))
        piece = self._stored("gateway_answerpiece", "sealed")
        assert states._open(piece, answer._seal_context(self._request_id, 0)) == CONTENT

    def _stored(self, table: str, column: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {column} FROM {table}")
            ((sealed,),) = cursor.fetchall()
        return hex_of(bytes(sealed))

    def _cache(self, states: state_store.StateStore) -> answer_cache.AnswerCache:
        context = SimpleNamespace(principal=self._principal, request_id=self._request_id)
        rule = CacheRule(self._principal.key_id, 60, 0)
        return answer_cache.AnswerCache(states, cast(Any, context), rule)

    def _answer(self, states: state_store.StateStore) -> relay_idempotency.IdempotentAnswer:
        return relay_idempotency.IdempotentAnswer(
            states, self._principal, "key", self._request_id, b"d"
        )


class Secrets:
    """One of everything that is sealed, by the old key."""

    def __init__(self, people: Cast) -> None:
        self._people = people
        check_secrets()
        self.channel = create_channel(SYSTEM, "c", CHANNEL)
        for name in EGRESS_SECRETS:
            setattr(self.channel, name, seal(name, egress._seal_context(self.channel, name)))
        self.channel.save()
        owner = people_cast.actor(people.alice, people.acme)
        self.endpoint, before = create_endpoint(owner, people.acme, "https://h.example/x")
        self.signing = [rotate_secret(owner, self.endpoint), before]
        answer_once(people)
        self.states = ProtocolState(people)
        self.states.write()
        now = clock.now()
        self.task = MediaTask(
            id=new_id(), public_id="task_1", organisation=people.acme, team_id=people.core.id,
            request_id=new_id(), operation="videos", model="m", form="videos",
            channel_id=self.channel.id, upstream_id="v1", state="failed", seconds=4,
            size="1280x720", ended_at=now, expires_at=now,
        )  # fmt: skip
        for column in TASK_CONTENT:
            setattr(
                self.task, column, seal(column, media_tasks._seal_context(self.task.id, column))
            )
        self.task.save()
        call_hook(put("task.completed", people.acme.id), HOOK)
        offer = OwnKeyOffer.objects.create(channel=self.channel, title="c", everyone=True)
        add_own_key(owner, people.acme, None, offer, name="own", secret="sk-own")
        self.sign_on = SingleSignOn(organisation=people.acme, issuer="https://id.example")
        self.sign_on.sealed = seal("client-secret", single_sign_on._seal_context(self.sign_on))
        self.sign_on.save()
        mail_server.save_mail_server(
            SYSTEM, host="mail.example.org", port=587, encryption="starttls", username="weir",
            password="letters", sender="weir@example.org",
        )  # fmt: skip
        self._factor = second_factor._seal_context(people.alice.pk)
        secret = base64.b64encode(seal("totp", self._factor)).decode()
        Authenticator.objects.create(user=people.alice, type="totp", data={"secret": secret})
        self._data_key, data_key = new_id(), new_data_key()
        DataKey.objects.create(
            id=self._data_key, organisation=people.acme, owner="user:1",
            sealed=vault().seal_bytes(data_key, place_of_key(self._data_key)),
        )  # fmt: skip
        self._text = seal_text(AESGCM(data_key), CONTENT, "here")
        policy = Policy.objects.create(organisation=people.acme, name="p")
        self._hook = f"content_policysecret|{policy.id}|hook"
        PolicySecret.objects.create(
            organisation=people.acme,
            policy=policy,
            guard="hook",
            sealed=seal("whsec_p", self._hook),
        )

    def read(self, keks: str) -> None:
        """Open it all. Raises VaultError."""
        assert [open_secret(key) for key in ChannelKey.objects.all()] == ["sk-1"]
        channel = Channel.objects.get(id=self.channel.id)
        for name in EGRESS_SECRETS:
            assert egress.open_egress(channel, name) == name
        endpoint = WebhookEndpoint.objects.get(id=self.endpoint.id)
        assert secrets_in_force(endpoint) == self.signing
        assert answer_once(self._people).replayed
        self.states.read(keks)
        task = MediaTask.objects.get()
        for column in TASK_CONTENT:
            sealed = getattr(task, column)
            assert open_sealed(sealed, media_tasks._seal_context(task.id, column)) == column
        assert open_hook(Delivery.objects.get()) == HOOK
        own = OwnKey.objects.get()
        assert own.sealed is not None
        assert open_sealed(own.sealed, f"gateway_ownkey|{own.id}|sealed") == "sk-own"
        sealed = SingleSignOn.objects.get().sealed
        assert open_sealed(sealed, single_sign_on._seal_context(self.sign_on)) == "client-secret"
        server = current_server.mail_server()
        assert server
        assert server.password == "letters"
        secret = base64.b64decode(Authenticator.objects.get().data["secret"])
        assert open_sealed(secret, self._factor) == "totp"
        assert open_text(open_data_key(self._data_key), self._text, "here") == CONTENT
        assert open_sealed(PolicySecret.objects.get().sealed, self._hook) == "whsec_p"


@pytest.fixture
def secrets(people: Cast, settings: LazySettings) -> Secrets:
    settings.WEIR_KEK = OLD
    return Secrets(people)


def without_ids() -> None:
    """Everything in the form of before the ids of keys were written."""
    for field in sealed_fields():
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {field.model._meta.db_table} SET {field.column} = "
                f"'\\x01'::bytea || substring({field.column} FROM %s)",
                [PREFIX_BYTES + 1],
            )


@pytest.mark.parametrize("old_form", [False, True])
def test_everything_sealed_moves_to_the_first_key(
    secrets: Secrets, settings: LazySettings, old_form: bool
) -> None:
    count = sum(count_by_kek().values())
    if old_form:
        without_ids()
    settings.WEIR_KEK = f"{NEW},{OLD}"
    check_secrets()
    secrets.read(settings.WEIR_KEK)
    # The key of the seals over the books comes to them.
    assert rotate().splitlines() == [
        f"Key {NEW_ID} (the first): {count + 1} secrets.",
        f"Key {OLD_ID}: nothing needs it. You can take it out of WEIR_KEK.",
    ]
    settings.WEIR_KEK = NEW
    check_secrets()
    secrets.read(NEW)
    assert count_by_kek() == {NEW_ID: count + 1}


def test_each_sealed_column_is_tested_above(secrets: Secrets) -> None:
    """A column that is added is added to what is rotated there."""
    rotate()
    for field in sealed_fields():
        assert field.model._default_manager.exclude(**{field.name: None}).exists(), field


def test_process_does_not_start_without_a_needed_key(
    secrets: Secrets, settings: LazySettings
) -> None:
    settings.WEIR_KEK = NEW
    with pytest.raises(WrongSecret, match="WEIR_KEK is not the one"):
        check_secrets()
    # Interrupted just before its end: what is compared at a start is changed already.
    settings.WEIR_KEK = f"{NEW},{OLD}"
    check_secrets()
    rewrap_all()
    settings.WEIR_KEK = NEW
    with pytest.raises(WrongSecret, match=f"WEIR_KEK lacks key {OLD_ID}"):
        check_secrets()


def test_a_sealing_key_is_required_until_a_rotation_replaces_it(
    secrets: Secrets, settings: LazySettings
) -> None:
    settings.WEIR_KEK = f"{NEW},{OLD}"
    check_secrets()
    settings.WEIR_KEK = OLD
    with pytest.raises(WrongSecret, match=f"WEIR_KEK lacks key {NEW_ID}"):
        check_secrets()
    rotate()
    check_secrets()
    assert SecretCheck.objects.get().kek_ids == [OLD_ID]


def test_an_interrupted_rotation_goes_on(
    secrets: Secrets, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WEIR_KEK = f"{NEW},{OLD}"
    change, left = key_ring._change, iter(range(3))

    def breaking(field: SealedField, changes: list[tuple[object, ...]]) -> None:
        change(field, changes)
        if changes and next(left, None) is None:
            raise Interrupted

    monkeypatch.setattr(key_ring, "_change", breaking)
    with pytest.raises(Interrupted):
        rotate()
    monkeypatch.undo()
    counts = count_by_kek()
    assert counts[OLD_ID]
    assert counts[NEW_ID]
    secrets.read(settings.WEIR_KEK)
    rotate()
    settings.WEIR_KEK = NEW
    secrets.read(NEW)


def test_concurrent_writes_are_not_overwritten(
    secrets: Secrets, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even by a process that still seals with the old key."""
    settings.WEIR_KEK = f"{NEW},{OLD}"
    batches = key_ring._batches

    def written_meanwhile(field: SealedField, current: bytes) -> Any:
        for rows in batches(field, current):
            if field.model is WebhookEndpoint and field.name == "sealed":
                settings.WEIR_KEK = OLD
                secrets.signing = [rotate_secret(SYSTEM, secrets.endpoint), secrets.signing[0]]
                settings.WEIR_KEK = f"{NEW},{OLD}"
            yield rows

    monkeypatch.setattr(key_ring, "_batches", written_meanwhile)
    text = rotate()
    secrets.read(settings.WEIR_KEK)
    assert f"Key {OLD_ID}: 1 secrets. Something still seals with it" in text
    assert OLD_ID in SecretCheck.objects.get().kek_ids
    monkeypatch.undo()
    assert f"Key {OLD_ID}: nothing needs it" in rotate()
    settings.WEIR_KEK = NEW
    secrets.read(NEW)


def test_unopenable_secret_is_reported_and_left(secrets: Secrets, settings: LazySettings) -> None:
    ChannelKey.objects.update(sealed=b"damaged")
    settings.WEIR_KEK = f"{NEW},{OLD}"
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("rotate_secrets", stdout=out)
    assert "gateway_channelkey.sealed: 1 secrets open with no key of WEIR_KEK." in out.getvalue()
    assert bytes(ChannelKey.objects.get().sealed) == b"damaged"


@pytest.mark.usefixtures("secrets")
def test_the_seals_of_the_books_hold_under_another_key(settings: LazySettings) -> None:
    """P22: what was sealed under the first KEK of a database is proved without it."""
    seal_all(key_ring.seal_key())
    settings.WEIR_KEK = f"{NEW},{OLD}"
    rotate()
    settings.WEIR_KEK = NEW
    seal_all(key_ring.seal_key())
    out = StringIO()
    call_command("verify", tamper_check=True, stdout=out)
    assert "nothing was tampered with" in out.getvalue()


@pytest.mark.parametrize("batch", [2, 500])
@pytest.mark.django_db(transaction=True)
def test_a_rotation_beside_writers_loses_nothing(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Writers replace keys of channels and secrets of webhooks all the time."""
    monkeypatch.setattr(key_ring, "_BATCH", batch)
    settings.WEIR_KEK = OLD
    check_secrets()
    channels = [create_channel(SYSTEM, f"c{n}", CHANNEL) for n in range(12)]
    settings.WEIR_KEK = f"{NEW},{OLD}"
    check_secrets()
    written, over, began = Counter[str](), threading.Event(), threading.Event()

    def replace(mine: Sequence[Channel]) -> None:
        try:
            while not over.is_set():
                for channel in mine:
                    text = f"sk-{written[channel.name] + 1}"
                    change_channel(SYSTEM, channel, {"keys": [text]})
                    written[channel.name] += 1
                    began.set()
        finally:
            connection.close()

    writers = [threading.Thread(target=replace, args=(channels[n::3],)) for n in range(2)]
    for writer in writers:
        writer.start()
    assert began.wait(10)
    texts = [rotate() for _ in range(5)]
    over.set()
    for writer in writers:
        writer.join(10)
    assert f"Key {OLD_ID}: nothing needs it" in texts[-1]
    settings.WEIR_KEK = NEW
    check_secrets()
    for channel in channels:
        (key,) = channel.keys.all()
        assert open_secret(key) == f"sk-{written[channel.name] or 1}"
