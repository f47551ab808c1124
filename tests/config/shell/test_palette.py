"""The palette (Ctrl K): what it finds for whom."""

import json
import re
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.access.actors import SYSTEM
from accounts.models import Role, User
from billing.prices import prices
from config.shell import command_palette
from config.shell.command_palette import Chosen, search
from config.shell.palette_ranking import rank
from content.models import Prompt
from gateway.models import Channel, Route
from lib.ids import id_text
from playground.models import Conversation
from tests.config.shell.test_navigation import READERS
from tests.support.cast import Cast, actor, make_key, member, person, signed_in
from tests.support.markup import squeezed
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db


def find(user: User, words: str = "", url: str = "/o/acme/_f/palette") -> dict[str, str]:
    """The names that are found and where they lead."""
    html = squeezed(signed_in(user).get(url, {"q": words}).content.decode())
    html = html.partition("<template data-known")[0]
    links = re.findall(r'href="([^"]*)">.*?<span class="cut">([^<]*)</span>', html)
    return {unescape(name): unescape(url) for url, name in links}


def chat(people: Cast, user: User, title: str, **over: object) -> Conversation:
    return Conversation.objects.create(
        organisation=people.acme, team=people.core, user=user, title=title, model="m", **over
    )


@pytest.mark.django_db(transaction=True)  # one of the pages asks from a thread of its own
@pytest.mark.parametrize("role", READERS, ids=str)
def test_every_page_in_the_palette_opens(people: Cast, role: Role | None) -> None:
    """For a role, and for an operator who is no member. Those that the shell shows as well are
    opened in tests/config/shell/test_views.py."""
    user = people.dora if role is None else member(people.acme, "vic", role)
    pages, visitor = find(user), signed_in(user)
    shell = visitor.get("/o/acme/").content.decode()
    apart = {
        url for url in pages.values()
        if f'href="{url}"' not in shell or not url.startswith(("/o/", "/admin/"))
    }  # fmt: skip
    assert len(pages) > len(apart) > 1
    assert {url for url in apart if visitor.get(url).status_code != 200} == set()
    assert ("System health" in pages) == (role is None)
    assert ("Keys" in pages) == (role != Role.VIEWER)


def test_pages_are_found_by_name_in_the_pages_language(people: Cast) -> None:
    found = list(find(people.alice, "budg"))
    assert found[0] == "Budgets"
    assert set(found) == {"Budgets", "Create budget", "Increase requests", "Limits"}
    # A page is found by the name of its entry too.
    assert "Overview" in find(people.alice, "billing")
    alice = signed_in(people.alice)
    alice.cookies["language"] = "zh-hans"
    assert "预算" in alice.get("/o/acme/_f/palette", {"q": "预"}).content.decode()


def test_only_their_author_finds_chats(people: Cast) -> None:
    mine = chat(people, people.bob, "Weirs and levels")
    chat(people, people.alice, "Weirs of alice")
    chat(people, people.bob, "Weirs that are temporary", ends_at=timezone.now())
    chat(people, people.bob, "Weirs deleted", deleted_at=timezone.now())
    assert find(people.bob, "weirs") == {
        "Weirs and levels": reverse("conversation", args=["acme", id_text(mine.id)])
    }
    assert "Weirs and levels" in find(people.bob)  # without words: the last ones
    assert find(people.dora, "weirs") == {}


def test_keys_are_found_as_far_as_the_role_shows_them(people: Cast) -> None:
    make_key(people.core, "deploy bob", user=people.bob)
    make_key(people.core, "deploy alice", user=people.alice)
    assert set(find(people.alice, "deploy")) == {"deploy bob", "deploy alice"}
    assert set(find(people.bob, "deploy")) == {"deploy bob"}
    assert find(member(people.acme, "vic", Role.VIEWER), "deploy") == {}
    page = signed_in(people.bob).get(find(people.bob, "deploy")["deploy bob"])
    assert "deploy bob" in page.content.decode()


@pytest.mark.parametrize("query", ["disable key", "rotate a key", "停用密钥"])
def test_key_actions_ask_which_key(people: Cast, query: str) -> None:
    make_key(people.core, "deploy bob", user=people.bob)
    make_key(people.core, "build alice", user=people.alice)
    assert {"deploy bob", "build alice"} <= set(find(people.alice, query))
    assert "build alice" not in find(people.bob, query)
    assert "deploy bob" not in find(people.alice, "keys")


def test_a_request_is_found_by_its_id(people: Cast) -> None:
    key, _ = make_key(people.core, "k", user=people.alice)
    credit(key)
    record = happen(key)
    id = id_text(record.request_id)
    assert find(people.alice, f" {id.lower()} ") == {id: reverse("request", args=["acme", id])}
    assert find(people.bob, id) == {}  # another's
    assert find(people.charlie, id, "/o/stranger/_f/palette") == {}


def test_models_and_prompts_are_found_by_name(people: Cast) -> None:
    channel = Channel.objects.create(name="c", provider="openai", base_url="https://x.example/v1")
    Route.objects.create(channel=channel, model="kittiwake-1")
    prices.set_price(SYSTEM, "kittiwake-1", valid_from=timezone.now(), source="test",
                     rates={"meters": {"in_text": 1, "out_text": 1}})  # fmt: skip
    Prompt.objects.create(organisation=people.acme, user=people.alice, slug="k", name="Kittiwakes")
    Prompt.objects.create(
        organisation=people.acme, user=people.alice, slug="l", name="Kittiwake mine", shared=False
    )
    assert find(people.bob, "kittiw") == {
        "Kittiwakes": "/o/acme/prompts/k", "kittiwake-1": "/models/kittiwake-1"
    }  # fmt: skip


def test_strangers_have_no_palette_and_operators_their_own(
    people: Cast,
) -> None:
    assert signed_in(people.charlie).get("/o/acme/_f/palette").status_code == 404
    assert signed_in(people.alice).get("/admin/_f/palette").status_code == 404
    fay = person("fay", operator=True)
    assert set(find(fay, "c", "/admin/_f/palette")) >= {
        "Catalogue update",
        "Corrections",
        "Redemption codes",
    }
    assert 'id="palette"' in signed_in(fay).get("/admin/channels").content.decode()


def test_last_choice_comes_first_where_permitted(people: Cast) -> None:
    key, _ = make_key(people.core, "deploy alice", user=people.alice)
    mine = reverse("key", args=["acme", id_text(key.id)])
    chosen = [[mine, "deploy alice"], ["/o/acme/budgets", "an old name"], ["//evil", "budgets"]]
    recent = json.dumps(chosen)

    def first(user: User, words: str = "") -> list[str]:
        data = {"q": words, "recent": recent}
        html = signed_in(user).get("/o/acme/_f/palette", data).content.decode()
        return [unescape(url) for url in re.findall(r'<a\b[^>]*href="([^"]*)"', html)]

    assert first(people.alice)[:2] == [mine, "/o/acme/budgets"]
    assert "//evil" not in first(people.alice)
    assert mine not in first(people.bob)
    # Of those that fit as well, it is the first.
    assert first(people.alice, "b")[0] == "/o/acme/budgets"


@pytest.mark.parametrize(
    ("words", "chosen", "expected"),
    [
        # It is the word; it begins with it; a word of it does; it contains it.
        ("deploy", ["redeploy", "a deploy", "deploy two"],
         ["deploy", "deploy two", "deploy one", "a deploy", "redeploy"]),
        # What was chosen last decides between equals.
        ("deploy", ["deploy one"],
         ["deploy", "deploy one", "deploy two", "a deploy", "redeploy"]),
        # Between a page and an object, and the other way round.
        ("budgets", ["budgets probe"], ["Budgets", "budgets probe"]),
        ("budg", ["Budgets", "Create budget"], ["budg", "Budgets"]),
        ("budg", ["budgets probe"], ["budg", "budgets probe", "Budgets"]),
    ],
)  # fmt: skip
def test_better_match_comes_before_what_was_chosen_last(
    people: Cast, words: str, chosen: list[str], expected: list[str]
) -> None:
    names = ["deploy", "deploy one", "deploy two", "redeploy", "a deploy", "budg", "budgets probe"]
    keys = {name: make_key(people.core, name, user=people.alice)[0] for name in names}
    urls = {
        "Budgets": "/o/acme/budgets", "Create budget": reverse("budget_create", args=["acme"]),
        **{name: reverse("key", args=["acme", id_text(key.id)]) for name, key in keys.items()},
    }  # fmt: skip
    recent = [Chosen(urls[name], name) for name in chosen]
    groups = search(actor(people.alice, people.acme), words, recent)
    found = [hit for group in groups for hit in group.hits]
    assert [hit.name for hit in found][: len(expected)] == expected
    assert {hit.url for hit in found} >= {one.url for one in recent}


@pytest.mark.parametrize("recent", ["{", "[1]", "{}", '[["a"]]', "[[1, 2]]", '"\x00"', "[[]]"])
def test_choices_unknown_to_our_browser_are_left_out(people: Cast, recent: str) -> None:
    answer = signed_in(people.alice).get("/o/acme/_f/palette", {"recent": recent})
    assert answer.status_code == 200
    assert "Recent" not in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "name", "others", "expected"),
    [
        ("budgets", "Budgets", (), 0),
        ("bud", "Budgets", (), 1),
        ("key cr", "Create key", (), 2),
        ("new key", "Create key", ("new add",), 3),
        ("udg", "Budgets", (), 4),
        ("budgts", "Budgets", (), 5),
        ("budegts", "Budgets", (), 5),
        ("buudgets", "Budgets", (), 5),
        ("bxdgets", "Budgets", (), 5),
        ("bxdgtes", "Budgets", (), None),
        ("bux", "Budgets", (), None),
        ("the", "Teams", (), None),
        ("", "Budgets", (), 1),
        ("?", "Budgets", (), None),
        ("创建预算", "创建预算", (), 0),
        ("日志", "审计日志", (), 2),
        ("日志", "请求", ("日志 调用",), 2),
        ("停用密钥", "密钥", ("停用 吊销",), 3),
        ("停用团队", "密钥", ("停用 吊销",), None),
    ],
)
def test_match_quality_of_a_query(
    query: str, name: str, others: tuple[str, ...], expected: int | None
) -> None:
    assert rank(query, name, others) == expected


def test_empty_result_says_so(people: Cast) -> None:
    make_key(people.core, "deploy", user=people.alice)
    for words in ("zzz\x00", "?", "…"):
        html = signed_in(people.alice).get("/o/acme/_f/palette", {"q": words}).content.decode()
        assert "Nothing found." in html


@pytest.mark.parametrize("words", ["", " ", "…", "?!"])
def test_marks_without_a_word_find_no_row(words: str) -> None:
    """Else they would find the shortest rows of all."""
    assert command_palette._matching_rows(User.objects.all(), words, "email").query.is_empty()
