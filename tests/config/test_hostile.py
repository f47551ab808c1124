"""P22, I25: a text of somebody's, whatever it is, ends no background job and no reader after it."""

import base64
import io
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import pytest
from django import forms
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.core import mail
from django.core.management import call_command
from django.db import connection, models

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.models import Key, KeyKind
from accounts.organisations import organisations, projects, teams
from billing.credits import codes, credits, promo
from billing.price_plans import price_plans
from config.celery import app
from config.jobs.job_alarms import watch
from config.jobs.schedule import SCHEDULE
from config.models import JobRun
from gateway.channels import channels
from gateway.models import Channel, Route
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from notify.deliveries import deliveries, sending
from notify.models import Delivery, WebhookEndpoint
from playground.models import Conversation, Message, MessageRole
from tests.config.writes.world import World
from tests.config.writes.world import world as world
from tests.house.test_access import operations
from tests.house.test_style import ROOMS
from tests.house.test_whole_numbers import forms_of_the_product, models_in
from tests.support import cast
from tests.support.hostile import EVERYTHING, LONG, NUL, STORABLE
from tests.support.lists import file_of
from tests.support.pairwise import draw_pairs
from tests.usage.rows import happen, price_version, refuse

USD = 10**9
# What the program alone writes, in words of its own, or has a form that is checked; everything else
# is somebody's text.
OWN_WORDS = {
    "action", "basis", "channel", "currency", "dialect", "egress_allow", "email",
    "endpoints", "hours", "html",
    "idempotency_id", "kind", "kinds", "language", "last4", "networks", "object_id", "object_type",
    "operation", "owner", "password", "prefix", "process", "processor", "provider", "slug",
    "service_tier", "snapshot", "source", "subject", "task", "theme", "timezone", "base_url",
}  # fmt: skip
# Of their objects, the members that hold what somebody wrote.
TOLD_IN_JSON = {"Posting.cause": "reason", "AuditEvent.detail": "name", "Fact.body": "reason"}


def text_columns() -> Iterator[tuple[type[models.Model], Any]]:
    for model in apps.get_models():
        if model._meta.app_label not in ROOMS:
            continue
        for field in model._meta.concrete_fields:
            base = field.base_field if isinstance(field, ArrayField) else field
            texts = isinstance(base, models.CharField | models.TextField) and not base.choices
            message = f"{model.__name__}.{field.name}" in TOLD_IN_JSON
            if (texts and field.name not in OWN_WORDS) or message:
                yield model, field


def overwrite(text: str) -> set[str]:
    """Put a text into every column of somebody's, in every row; the names of the columns."""
    written = set()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
    for model, field in text_columns():
        name = f"{model.__name__}.{field.name}"
        for n, row in enumerate(model._default_manager.all()):
            written.add(name)
            value: Any
            if name in TOLD_IN_JSON:
                value = {**(getattr(row, field.name) or {}), TOLD_IN_JSON[name]: text}
            elif isinstance(field, ArrayField):
                value = [text[: field.base_field.max_length]]
            else:
                # Unique columns keep apart what they kept apart.
                end = str(n) if n else ""
                value = text[: (field.max_length or 10**6) - len(end)] + end
            model._default_manager.filter(pk=row.pk).update(**{field.name: value})
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = origin")
    return written


def live(people: cast.Cast, webhook: str) -> Key:
    """Something of everything has happened."""
    dora, alice = cast.actor(people.dora), cast.actor(people.alice, people.acme)
    key, _ = cast.make_key(people.core, "theirs", user=people.bob)
    credits.request_credit(dora, people.acme, 90 * USD, reason="r", document="d")
    promo.grant(
        people.acme, 5 * USD, "grant:1", "redeem", expires_at=None, actor="a", cause={"reason": "r"}
    )
    batch = codes.create_batch(dora, "batch", USD, 3)
    codes.download_codes(dora, batch)
    happen(key, clock.now(), hold_nano=USD, price_version_id=price_version().id)
    refuse(key, clock.now())
    audit.record(alice, people.acme, "key.created", key, name="n")
    WebhookEndpoint.objects.create(organisation=people.acme, url=webhook, sealed=b"x")
    channel = Channel.objects.create(name="c", provider="openai_compatible", base_url="https://a.b")
    Route.objects.create(channel=channel, model="m")
    chat = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, title="t"
    )
    Message.objects.create(conversation=chat, role=MessageRole.USER, content="c")
    return key


def run_every_job() -> dict[str, str]:
    """The class of the error of each job that failed."""
    app.loader.import_default_modules()
    for job in SCHEDULE:
        app.tasks[job.task].apply()
    return dict(JobRun.objects.exclude(error="").values_list("task", "error"))


def verified() -> str:
    out = io.StringIO()
    with suppress(SystemExit):
        call_command("verify", tamper_check=True, stdout=out)
    return out.getvalue()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "text",
    [
        EVERYTHING,
        LONG,
        pytest.param("\\", marks=pytest.mark.slow),
        pytest.param('"', marks=pytest.mark.slow),
    ],
    ids=lambda text: ascii(text)[:12],
)
def test_no_text_ends_a_job_or_a_reader(
    settings: Any, monkeypatch: pytest.MonkeyPatch, world: World, text: str
) -> None:
    settings.WEIR_KEK = base64.b64encode(bytes(32)).decode()
    # What a job is woken for is done at once: no broker is here.
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    people = world.people
    key = live(people, "https://127.0.0.1/")
    written = overwrite(text)
    assert len(written) > 44, sorted(written)
    assert {"Key.name", "Credit.reason", "Posting.cause", "AuditEvent.detail"} <= written
    watch()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE billing_posting SET created_at = now() - interval '1 min'")
        cursor.execute("UPDATE accounts_auditevent SET at = now() - interval '1 min'")
        cursor.execute("SET session_replication_role = origin")
    assert run_every_job() == {}
    assert "invariants hold, nothing was tampered with" in verified()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE accounts_auditevent SET detail = '{}' WHERE object_type = 'key'")
        cursor.execute("SET session_replication_role = origin")
    assert "P22: trail" in verified()
    readers(people, key)


def readers(people: cast.Cast, key: Key) -> None:
    alice, dora = cast.signed_in(people.alice), cast.signed_in(people.dora)
    for client, path in (
        (alice, "/o/acme/"), (alice, "/o/acme/usage"), (alice, "/o/acme/requests"),
        (alice, "/o/acme/keys"), (alice, f"/o/acme/keys/{id_text(key.id)}/edit"),
        (alice, "/o/acme/billing"),
        (alice, "/o/acme/budgets/requests"), (alice, "/o/acme/billing/top-ups"),
        (alice, "/o/acme/prompts"), (alice, "/o/acme/playground/history"),
        (dora, "/admin/plans"), (dora, "/admin/prices/proposals"), (dora, "/admin/payments"),
        (dora, "/admin/prices"),
        (alice, "/o/acme/webhooks"), (alice, "/o/acme/budgets"), (alice, "/o/acme/prices"),
        (dora, "/admin/channels"), (dora, "/admin/models"), (dora, "/admin/codes"),
        (dora, "/admin/credits"), (dora, "/admin/reviews"), (dora, "/admin/health"),
        (cast.signed_in(people.bob), "/o/acme/playground"),
    ):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code in (200, 302), (path, answer.status_code)
    assert file_of(alice, "/o/acme/billing?export=csv")
    # Letters: each that was spread comes, in one line of subject.
    for delivery_id in deliveries.lease_due(200):
        sending.send(delivery_id)
    lettered = Delivery.objects.exclude(user=None)
    assert not lettered.exclude(state="delivered").exists()
    assert all("\n" not in letter.subject for letter in mail.outbox)


# Members of a body that must be something for the others to be looked at.
SAMPLES: dict[str, Any] = {
    "team": "core", "organisation": "acme", "amount": "1.00", "value": "1.00", "count": 2,
    "email": "x@example.org", "url": "https://example.org/hook", "kind": "cash", "scope": "team",
    "subject": "core", "period": "month", "timezone": "UTC", "action": "block", "code": "WEIR-X",
    "name": "n", "reason": "r", "model": "m", "processor": "manual",
}  # fmt: skip


def bodies() -> Iterator[Any]:
    """Each operation with a body, and the names of its members that take a text."""
    for name, operation in operations():
        for outer in operation.models:
            if outer.__ninja_param_source__ != "body":
                continue
            inner = [model for model in models_in(outer, set()) if model is not outer]
            schema = inner[0] if inner else outer
            yield pytest.param(name, schema, id=name)


def body_of(schema: Any, text: str, name: str) -> dict[str, Any]:
    values = {}
    for field, info in schema.model_fields.items():
        if field == name:
            values[field] = [text] if "list[" in str(info.annotation) else text
        elif info.is_required():
            values[field] = SAMPLES.get(field, "x")
    return values


TEXTS: Final = (NUL, EVERYTHING, "\\", LONG)
CALLERS: Final = ("a key of an owner", "a signed-in operator")


@dataclass(frozen=True)
class HostileBody:
    """One member of an operation's body is a hostile text."""

    operation: str
    schema: Any
    field: str
    text: int
    caller: int

    @property
    def name(self) -> str:
        text = ascii(TEXTS[self.text])[:20]
        return f"{self.operation} {self.field} {text} {CALLERS[self.caller]}"


def hostile_bodies(operation: str, schema: Any) -> Iterator[HostileBody]:
    for field, info in schema.model_fields.items():
        if "str" in str(info):
            for text, caller in product(range(len(TEXTS)), range(len(CALLERS))):
                yield HostileBody(operation, schema, field, text, caller)


DRAWN: Final = draw_pairs(
    {body.name: body for cell in bodies() for body in hostile_bodies(*cell.values)},
    lambda body: (body.operation, body.field, body.text, body.caller),
)


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "schema"), list(bodies()))
def test_each_text_of_a_body_is_stored_or_rejected_by_name(
    people: cast.Cast, settings: Any, name: str, schema: Any
) -> None:
    send(people, settings, [body for body in hostile_bodies(name, schema) if body.name in DRAWN])


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(("name", "schema"), list(bodies()))
def test_all_texts_of_a_body_are_stored_or_rejected_by_name(
    people: cast.Cast, settings: Any, name: str, schema: Any
) -> None:
    send(people, settings, hostile_bodies(name, schema))


def send(people: cast.Cast, settings: Any, hostile: Iterable[HostileBody]) -> None:
    settings.WEBHOOK_EGRESS_ALLOW = []
    _, key = cast.make_key(people.core, "m", kind=KeyKind.MANAGEMENT, user=people.alice)
    callers = [cast.with_key(key), cast.signed_in(people.dora)]
    for one in hostile:
        method, path = one.operation.split(" ")
        answer = callers[one.caller].generic(
            method, "/api/v1" + re.sub(r"{[^}]*}", id_text(people.core.id), path),
            json.dumps(body_of(one.schema, TEXTS[one.text], one.field)),
            content_type="application/json", headers={"idempotency-key": secrets.token_hex(8)},
        )  # fmt: skip
        assert answer.status_code < 500, one.name
        if answer.status_code >= 400:
            assert answer.json()["error"]["message"]
        elif TEXTS[one.text] == NUL:
            pytest.fail(f"{one.field} takes a zero byte")


NAMED: Final[dict[str, Callable[[cast.Cast, str], object]]] = {
    "organisation": lambda to, name: organisations.create_organisation(
        name, owner=None, actor=SYSTEM
    ),
    "renamed organisation": lambda to, name: organisations.rename_organisation(
        to.acme, name, actor=SYSTEM
    ),
    "team": lambda to, name: teams.create_team(to.acme, name, actor=SYSTEM),
    "project": lambda to, name: projects.create_project(to.core, name, actor=SYSTEM),
    "service account": lambda to, name: service_accounts.create_service_account(
        to.core, name, actor=SYSTEM
    ),
    "role": lambda to, name: custom_roles.create_role(to.acme, name, [], actor=SYSTEM),
    "key": lambda to, name: keys.mint_key(SYSTEM, to.core, name, user=None),
    "key of elsewhere": lambda to, name: keys.import_key(SYSTEM, to.core, name, "k" * 30),
    "batch of codes": lambda to, name: codes.create_batch(SYSTEM, name, USD, 1),
    "plan": lambda to, name: price_plans.save_plan(SYSTEM, name, models=[]),
    "channel": lambda to, name: channels.create_channel(
        SYSTEM, name, {"provider": "openai", "base_url": "", "keys": [], "models": {}}
    ),
}


@pytest.mark.parametrize("noun", NAMED)
def test_invalid_name_creates_nothing(people: cast.Cast, noun: str) -> None:
    """Whoever calls: not the forms alone look at it."""
    for name in ("", "  ", LONG, NUL, "two\nlines"):
        with pytest.raises(Refused) as refused:
            NAMED[noun](people, name)
        assert refused.value.field == "name", ascii(name)[:12]


TEXT_FIELDS = [
    pytest.param(field, id=f"{form.__name__}.{name}")
    for form in forms_of_the_product()
    for name, field in getattr(form, "base_fields", {}).items()
    if isinstance(field, forms.CharField)
]


@pytest.mark.parametrize("field", TEXT_FIELDS)
def test_each_text_of_a_form_is_stored_or_rejected(field: forms.CharField) -> None:
    for text in (*STORABLE, EVERYTHING, LONG):
        with suppress(forms.ValidationError):
            field.clean(text)
    with pytest.raises(forms.ValidationError):
        field.clean(NUL)
