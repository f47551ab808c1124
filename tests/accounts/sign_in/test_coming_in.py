"""What a sign-in reports and brings along, and whose links open nothing."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from accounts.models import (
    SignInNetwork,
    User,
)
from accounts.preferences.appearance import recall_appearance
from accounts.sign_in import sign_in
from outbox.models import Fact
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db


def test_email_tells_of_a_new_network_only_after_the_first(people: Cast) -> None:
    for address, letters in (("192.0.2.1", 0), ("192.0.2.1", 0), ("192.0.2.2", 1)):
        request = RequestFactory().get("/", REMOTE_ADDR=address)
        sign_in.note_sign_in(request, people.bob)
        assert Fact.objects.filter(kind="sign_in.noticed").count() == letters
    assert SignInNetwork.objects.filter(user=people.bob).count() == 2
    (fact,) = Fact.objects.all()
    assert (fact.people, fact.body["network"]) == ([people.bob.pk], "192.0.2.2")


def test_link_of_somebody_deactivated_signs_nobody_in(people: Cast) -> None:
    text = sign_in.make_sign_in_link(people.bob).rpartition("/")[2]
    User.objects.filter(pk=people.bob.pk).update(is_active=False)
    assert sign_in.living_link(text) is None
    assert sign_in.use_sign_in_link(text) is None


def test_browser_gets_the_theme_and_language_of_who_signs_in(people: Cast, settings: Any) -> None:
    response = HttpResponse()
    people.bob.theme, people.bob.language = "dark", "zh-hans"
    recall_appearance(response, people.bob)
    cookies = {name: morsel.value for name, morsel in response.cookies.items()}
    assert cookies == {"theme": "dark", settings.LANGUAGE_COOKIE_NAME: "zh-hans"}
