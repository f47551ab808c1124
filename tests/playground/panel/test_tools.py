"""Tools from an OpenAPI description: by file or address, chosen, and put among the definitions."""

import json
from html import unescape
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.models import User
from tests.playground.conversations.test_tree import HTMX
from tests.playground.panel.test_openapi import PETS
from tests.playground.sending.test_views import RelayClient, ScriptedRelay, outcome, people
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


def read(user: User, **form: Any) -> Any:
    async def ask() -> Any:
        client = RelayClient(ScriptedRelay(outcome()))
        await client.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return await client.post(reverse("tools_read", args=["acme"]), form, headers=HTMX)

    return async_to_sync(ask)()


def add(user: User, **form: Any) -> Any:
    return signed_in(user).post(reverse("tools_add", args=["acme"]), form, headers=HTMX)


def definitions(html: str) -> list[str]:
    return [unescape(part.split('"')[0]) for part in html.split('name="tool" value="')[1:]]


def pets() -> SimpleUploadedFile:
    return SimpleUploadedFile("pets.json", json.dumps(PETS).encode())


def test_operations_are_read_chosen_and_added(people: Cast) -> None:
    html = squeezed(read(people.bob, file=pets()).content.decode())
    show, change = definitions(html)
    assert "GET /pets/{id}" in html
    before = json.dumps([{"name": "mine"}, {"name": "showPet", "description": "old"}])
    html = squeezed(add(people.bob, tool=[show, change], tools=before).content.decode())
    tools = json.loads(unescape(html.split('hx-swap="innerHTML">', 2)[2].split("</textarea>")[0]))
    assert [tool["name"] for tool in tools] == ["mine", "showPet", "put_pets_id"]
    assert tools[1]["description"] == "Show a pet. By id"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({}, "Enter a URL, or choose a file."),
        ({"url": "http://127.0.0.1:1/openapi.json"}, "Only public https URLs"),
        ({"url": "file:///etc/passwd"}, "The URL could not be fetched"),
    ],
)
def test_an_address_is_fetched_only_where_strangers_may_go(
    people: Cast, form: dict[str, str], text: str
) -> None:
    """Egress: the guarded connector."""
    response = read(people.bob, **form)
    assert response.status_code == 422
    assert text in unescape(response.content.decode())


def test_invalid_tools_are_rejected_and_nothing_changes(people: Cast) -> None:
    refused = add(people.bob, tool=['{"name": "a"}', '{"name": "a"}'], tools="")
    assert refused.status_code == 422
    assert "a is defined twice" in refused.content.decode()
    assert add(people.bob, tool='{"name": "a"}', tools="[1").status_code == 422
    assert add(people.charlie, tool='{"name": "a"}', tools="").status_code == 404
    broken = SimpleUploadedFile("x.json", b"{")
    assert (
        "The specification could not be read: line 1"
        in read(people.bob, file=broken).content.decode()
    )
