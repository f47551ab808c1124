"""Saved views: what a page was asked for comes back, for its maker or for all."""

import html
from typing import Any

import pytest

from accounts.models import AuditEvent
from tests.support import cast, hostile
from usage.models import SavedView
from usage.saved_views import saved_views

VIEWS = "/o/acme/views"
pytestmark = pytest.mark.django_db


def save(client: Any, **over: Any) -> Any:
    asked = {"page": "explore", "name": "Zebra", "query": "group_by=team&range=7d&after=x"}
    return client.post(f"{VIEWS}/new", asked | over)


def text(client: Any, address: str) -> str:
    return html.unescape(client.get(address).content.decode())


def test_a_view_is_saved_opened_shared_renamed_and_deleted(people: cast.Cast) -> None:
    alice, bob = cast.signed_in(people.alice), cast.signed_in(people.bob)
    done = save(alice)
    opened = "/o/acme/usage/explore?group_by=team&range=7d"
    assert (done.status_code, done["Location"]) == (303, opened)
    assert f'href="{opened}"' in text(alice, "/o/acme/usage/explore")
    assert f'href="{opened}"' not in text(alice, "/o/acme/usage")
    assert "Zebra" in text(alice, VIEWS)
    assert "Zebra" not in text(bob, VIEWS)

    view = SavedView.objects.get()
    change = f"{VIEWS}/{view_id(view)}"
    assert bob.post(change, {"name": "x"}).status_code == 404
    assert alice.post(change, {"name": "Teams", "shared": "on"}).status_code == 303
    assert "Teams" in text(bob, VIEWS)
    assert f'href="{opened}"' in text(bob, "/o/acme/usage/explore")
    for path in (change, f"{change}/delete"):
        assert bob.post(path, {"name": "x"}).status_code == 404, "shared is not everybody's"
    assert alice.post(f"{change}/delete").status_code == 303
    assert not SavedView.objects.exists()
    done_ = AuditEvent.objects.filter(action__startswith="view.").order_by("id")
    assert [event.action for event in done_] == ["view.saved", "view.changed", "view.deleted"]


def view_id(view: SavedView) -> str:
    from lib.ids import id_text

    return id_text(view.id)


def test_the_same_name_is_the_same_view(people: cast.Cast) -> None:
    alice = cast.signed_in(people.alice)
    save(alice)
    save(alice, query="group_by=key")
    save(alice, name="Other")
    assert SavedView.objects.get(name="Zebra").query == "group_by=key"
    other = SavedView.objects.get(name="Other")
    refused = alice.post(f"{VIEWS}/{view_id(other)}", {"name": "Zebra"})
    assert refused.status_code == 422
    assert "You already have a view named Zebra." in html.unescape(refused.content.decode())


@pytest.mark.parametrize(
    ("field", "value"), [("name", "Teams"), ("shared", True), ("query", "group_by=key")]
)
def test_change_of_each_field_of_a_view_is_stored(
    people: cast.Cast, field: str, value: object
) -> None:
    alice = cast.actor(people.alice, people.acme)
    view = saved_views.save_view(alice, "explore", "Zebra", "group_by=team", shared=False)
    changes: dict[str, Any] = {"name": None, "shared": None, "query": None, field: value}
    saved_views.change_view(alice, view, **changes)
    expected = {"name": "Zebra", "shared": False, "query": "group_by=team", field: value}
    assert SavedView.objects.values(*expected).get() == expected


def test_a_full_list_of_views_refuses_new_names_alone(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_views, "VIEWS_MAX", 2)
    alice = cast.signed_in(people.alice)
    assert [save(alice, name=name).status_code for name in ("Zebra", "Other")] == [303, 303]
    assert save(alice, query="group_by=key").status_code == 303
    assert SavedView.objects.get(name="Zebra").query == "group_by=key"
    assert save(alice, name="Third").status_code == 422
    assert SavedView.objects.count() == 2


def test_invalid_views(people: cast.Cast) -> None:
    alice = cast.signed_in(people.alice)
    for wrong in (
        {"name": ""}, {"name": "\0"}, {"name": hostile.LONG}, {"page": "settings"},
        {"query": f"q={hostile.LONG}"}, {"query": "&".join(f"a{n}=1" for n in range(600))},
    ):  # fmt: skip
        assert save(alice, **wrong).status_code == 422, wrong
    name = "“Ünïcode” <b>& 🚢"
    assert save(alice, name=name, query="model=a%22%3E%3Cb%3E").status_code == 303
    assert name in text(alice, VIEWS)
    assert "<b>&" not in alice.get(VIEWS).content.decode()


def test_dialog_saves_the_current_filters(people: cast.Cast) -> None:
    """The page swaps its rows alone: the link around them is that of the first sight."""
    dialog = cast.signed_in(people.alice).get(
        f"{VIEWS}/new?page=usage&range=7d",
        headers={
            "HX-Request": "true",
            "HX-Current-URL": "http://testserver/o/acme/usage?range=24h&model=m",
        },
    )
    page_text = html.unescape(dialog.content.decode())
    assert 'value="range=24h&model=m"' in page_text
    plain = cast.signed_in(people.alice).get(f"{VIEWS}/new?page=usage&range=7d")
    assert 'value="range=7d"' in plain.content.decode()
