from django.http import HttpResponse

from accounts.models import User
from accounts.preferences.appearance import recall_appearance, set_appearance
from tests.support.cast import Cast


def test_a_choice_is_kept_for_browser_and_person(people: Cast) -> None:
    response = HttpResponse()
    set_appearance(response, people.bob, theme="dark", language="zh-hans")
    assert response.cookies["theme"].value == "dark"
    assert response.cookies["theme"]["samesite"] == "Lax"
    assert response.cookies["language"].value == "zh-hans"
    kept = User.objects.get(id=people.bob.id)
    assert (kept.theme, kept.language) == ("dark", "zh-hans")
    recalled = HttpResponse()
    recall_appearance(recalled, kept)
    assert recalled.cookies["theme"].value == "dark"


def test_unoffered_choice_changes_nothing(people: Cast) -> None:
    response = HttpResponse()
    set_appearance(response, people.bob, theme="pink", language="xx")
    set_appearance(response, None, theme="", language="")
    assert not response.cookies
