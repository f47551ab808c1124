"""What users name leads nowhere inside, while a local model is permitted to channels (P13)."""

import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import AsyncClient
from django.urls import reverse

from accounts.access.actors import SYSTEM
from gateway.settings.installation import save_settings
from lib.network import egress
from notify.deliveries import sending
from notify.deliveries.deliveries import HookCall, call_hook
from notify.endpoints import endpoints
from notify.endpoints.signing import key_secret
from notify.models import Delivery, WebhookEndpoint
from outbox.facts import put
from tests.lib.inside import canary, inside_forms, known_names, leading_on
from tests.playground.conversations.test_tree import HTMX
from tests.playground.sending.test_views import people
from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

_DEMO = Path(__file__).parents[3] / "stack" / "demo" / "demo-model.yaml"
_TOLD = "Only public https URLs on port 443 with a trusted certificate can be fetched."
_SINKS = ("file_fetch", "tools_read")
# Each form is tried at the guard (tests/lib/network/test_egress.py) and at the files that a request
# names (tests/relay/front/test_inside.py): here every tenth, and all of them in the slow lane.
_EVERY = [pytest.param(10, id="drawn"), pytest.param(1, id="all", marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def as_make_run_has_it(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    save_settings(SYSTEM, **yaml.safe_load(_DEMO.read_text())["settings"])
    known_names(monkeypatch)


def fetch_all(people: Cast, sink: str, urls: Sequence[str]) -> list[str]:
    """What the page says of each of the addresses."""

    async def ask() -> list[str]:
        client = AsyncClient()
        await client.aforce_login(people.bob, backend="django.contrib.auth.backends.ModelBackend")
        texts = []
        for url in urls:
            answer: Any = await client.post(
                reverse(sink, args=["acme"]), {"url": url}, headers=HTMX
            )
            assert answer.status_code == 422, url
            texts.append(unescape(answer.content.decode()))
        return texts

    return async_to_sync(ask)()


@pytest.mark.parametrize("every", _EVERY)
@pytest.mark.parametrize("sink", _SINKS)
def test_no_spelling_of_an_internal_address_is_reached(
    people: Cast, sink: str, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the port alone none of them would be: here the port that counts is the permitted one."""
    with canary() as counted:
        monkeypatch.setattr(egress, "HTTPS_PORT", counted.port)
        forms = inside_forms(counted.port)[_SINKS.index(sink) :: every]
        assert len(forms) > 120 // every
        texts = fetch_all(people, sink, forms)
    assert counted.hits == []
    assert {form for form, text in zip(forms, texts, strict=True) if _TOLD not in text} == set()


@pytest.mark.parametrize("sink", _SINKS)
def test_internal_ports_and_unknown_names_look_alike(people: Cast, sink: str) -> None:
    with canary() as counted:
        hosts = ("127.0.0.1", "a.inside.example", "nobody.inside.example", "localhost")
        urls = [
            f"{scheme}://{host}:{port}/x"
            for scheme in ("http", "https")
            for host in hosts
            for port in (counted.port, 1, 443)
        ]
        texts = fetch_all(people, sink, urls)
    assert counted.hits == []
    errors = [re.findall("The URL could not be fetched: [^<]*[.]", text) for text in texts]
    assert errors == [[f"The URL could not be fetched: {_TOLD}"]] * len(urls)


@pytest.mark.parametrize("every", _EVERY)
def test_redirects_reach_no_internal_address(people: Cast, every: int) -> None:
    """From an address that the operator permits to users, to those that are permitted to none."""
    save_settings(SYSTEM, egress_allow_users=["127.0.0.9/32"])
    with canary() as counted:
        to = [form for form in inside_forms(counted.port) if form.isprintable()][2::every]
        with leading_on("127.0.0.9", to) as origin:
            fetch_all(people, "file_fetch", [f"{origin}/{n}" for n in range(len(to))])
    assert len(to) > 120 // every
    assert counted.hits == []


@pytest.mark.parametrize("every", _EVERY)
def test_no_hook_of_a_task_reaches_an_inside_address(
    people: Cast, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = cast.make_key(people.core, "hooks")
    with canary() as counted:
        monkeypatch.setattr(egress, "HTTPS_PORT", counted.port)
        errors = set()
        for form in inside_forms(counted.port)[4::every]:
            call = HookCall(form, key_secret("sk-weir-x"), str(key.id), "{}")
            with transaction.atomic():
                call_hook(put("task.completed", people.acme.id), call)
            delivery = Delivery.objects.latest("id")
            sending.send(delivery.id)
            delivery.refresh_from_db()
            errors.add(delivery.tries[0]["error"])
    assert counted.hits == []
    assert errors == {"No public https address answers there, on port 443."}


@pytest.mark.parametrize("every", _EVERY)
def test_no_webhook_reaches_an_inside_address(
    people: Cast, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with canary() as counted:
        monkeypatch.setattr(egress, "HTTPS_PORT", counted.port)
        forms = inside_forms(counted.port)[3::every]
        actor = cast.actor(people.alice, people.acme)
        endpoint, _ = endpoints.create_endpoint(actor, people.acme, "https://public.example/hook")
        errors = set()
        for form in forms:
            WebhookEndpoint.objects.update(url=form)
            delivery = endpoints.send_test(actor, endpoint)
            sending.send(delivery.id)
            delivery.refresh_from_db()
            errors.add(delivery.tries[0]["error"])
    assert counted.hits == []
    assert errors == {"No public https address answers there, on port 443."}
