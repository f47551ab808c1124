"""The request of what stands in the composer, told before it is sent (W10)."""

import pytest
from django.urls import reverse

from lib.ids import id_text
from playground.models import Conversation
from tests.playground.conversations.test_tree import HTMX
from tests.playground.payers.test_paying import named
from tests.playground.sending.test_views import people
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]


def test_the_draft_is_shown_as_it_would_be_sent(people: Cast) -> None:
    key = named(people, "bob's", user=people.bob)
    form = {"model": "weir-1", "text": "Hello <b>", "p.temperature": "0.5", "key": id_text(key.id)}
    debug = signed_in(people.bob).post(reverse("draft_debug", args=["acme"]), form, headers=HTMX)
    html = squeezed(debug.content.decode())
    assert "Nothing has been sent." in html
    assert "&quot;temperature&quot;: 0.5" in html
    assert "Hello &lt;b&gt;" in html
    assert "bob&#x27;s (team core)" in html.replace(" </", "</")
    url = reverse("draft_code", args=["acme"])
    code = signed_in(people.bob).post(f"{url}?draft_lang=python", form, headers=HTMX)
    assert "openai" in code.content.decode()
    kept = form | {"draft_lang": "python", "draft_form": "messages"}
    html = signed_in(people.bob).post(url, kept, headers=HTMX).content.decode()
    assert "anthropic" in html
    two = {**form, "model": ["weir-1", "weir-1"], "compare": "1", "draft_column": "1"}
    html = squeezed(signed_in(people.bob).post(url, two, headers=HTMX).content.decode())
    assert html.count("draft_column=") == 2
    wrong = form | {"tools": "[{"}
    html = signed_in(people.bob).post(url, wrong, headers=HTMX).content.decode()
    assert "run-code" not in html
    assert signed_in(people.bob).post(url, {"model": "none"}, headers=HTMX).status_code == 200
    assert Conversation.objects.count() == 0
