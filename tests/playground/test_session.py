"""What the signed-in session asks for itself: its own endpoint, and names for its chats."""

import json
import re
import secrets
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI, PermissionDeniedError
from playwright.sync_api import Browser, expect

from accounts.session_store import session_digest
from lib.ids import id_text
from tests.playground.conftest import Stage, beside, watch
from tests.playground.test_live import DONE, ask

pytestmark = pytest.mark.browser


def _another_session(stage: Stage) -> str:
    """One more session of bob's, which a test may end."""
    key = secrets.token_hex(16)
    stage.hub.connection.execute(
        "INSERT INTO django_session SELECT %s, session_data, expire_date "
        "FROM django_session WHERE session_key = %s",
        [session_digest(key), session_digest(stage.sessions["bob"])],
    )
    return key


def test_the_official_client_speaks_to_the_sessions_endpoint(stage: Stage) -> None:
    """Session and CSRF token in the place of a key."""
    model = stage.own_model()
    cookies = {"session_8000": stage.sessions["bob"]}
    csrf = httpx.get(stage.playground, cookies=cookies).cookies
    token = next(value for name, value in csrf.items() if "csrf" in name)
    cookie_header = "; ".join(
        f"{name}={value}" for name, value in [*cookies.items(), *csrf.items()]
    )
    client = OpenAI(
        base_url=f"{stage.hub.url}/pg",
        api_key="sk-is-not-read",
        default_headers={"cookie": cookie_header, "x-csrftoken": token},
        max_retries=0,
    )
    messages: Any = [{"role": "user", "content": "hi #tokens=12"}]
    completion = client.chat.completions.create(
        model=model,
        messages=messages,
        extra_body={"group": "vip"},
    )
    assert completion.usage
    assert completion.usage.completion_tokens == 12
    pieces: list[Any] = list(
        client.chat.completions.create(model=model, messages=messages, stream=True)
    )
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == completion.choices[0].message.content

    def records() -> list[dict[str, Any]]:
        query = "SELECT source, status FROM usage_usagerecord WHERE model = %s AND final"
        return stage.rows(query, model)

    stage.hub.wait(lambda: len(records()) == 2, "a record is missing")
    assert records() == [{"source": "playground", "status": 200}] * 2
    bare = client.with_options(set_default_headers={"cookie": cookie_header})
    with pytest.raises(PermissionDeniedError):
        bare.chat.completions.create(model=model, messages=messages)


_OF_BOB = "user_id = (SELECT id FROM accounts_user WHERE email = 'bob@example.org')"
_CUSTOM = f"""
    WITH custom AS (
        INSERT INTO accounts_customrole (id, organisation_id, name, permissions)
        SELECT gen_random_uuid(), id, gen_random_uuid()::text, ARRAY['%s']
        FROM accounts_organisation WHERE slug = 'acme' RETURNING id)
    UPDATE accounts_membership SET role = 'custom', custom_role_id = custom.id
    FROM custom WHERE {_OF_BOB}"""
ENDS = {
    "session": "DELETE FROM django_session WHERE session_key = %(session)s",
    "switched off": "UPDATE accounts_user SET is_active = false WHERE email = 'bob@example.org'",
    "made viewer": f"UPDATE accounts_membership SET role = 'viewer' WHERE {_OF_BOB}",
    "custom role without it": _CUSTOM % "keys.write_own",
    "suspended": "UPDATE accounts_organisation SET suspended_at = now() WHERE slug = 'acme'",
    "archived": "UPDATE accounts_organisation SET archived_at = now() WHERE slug = 'acme'",
}
STAYS = {
    "custom role with it": _CUSTOM % "playground.use",
    "out of all teams": f"UPDATE accounts_membership SET all_teams = false WHERE {_OF_BOB}",
}
_UNDONE = (
    "UPDATE accounts_user SET is_active = true WHERE email = 'bob@example.org'",
    "UPDATE accounts_membership SET role = 'developer', custom_role_id = NULL, all_teams = true "
    f"WHERE {_OF_BOB}",
    "UPDATE accounts_organisation SET suspended_at = NULL, archived_at = NULL WHERE slug = 'acme'",
)


@pytest.fixture
def undone(stage: Stage) -> Iterator[None]:
    yield
    for statement in _UNDONE:
        stage.hub.connection.execute(statement)
    stage.hub.bump()


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize("cause", [*ENDS, *STAYS])
def test_a_stream_of_the_sessions_endpoint_ends_with_what_let_it_in(
    stage: Stage, cause: str
) -> None:
    """P11: within 5 s, with a typed error; what it cost is settled."""
    model = stage.own_model()
    stage.hub.know(model)
    session = _another_session(stage)
    cookies = {"session_8000": session}
    cookies |= dict(httpx.get(stage.playground, cookies=cookies).cookies)
    token = next(value for name, value in cookies.items() if "csrf" in name)
    tokens = 150 if cause in STAYS else 900
    body = {
        "model": model,
        "stream": True,
        "messages": [{"role": "user", "content": f"hi #tokens={tokens} #delay_ms=20"}],
    }
    asked = httpx.stream(
        "POST", f"{stage.hub.url}/pg/chat/completions", json=body, timeout=20,
        headers={"x-csrftoken": token}, cookies=cookies,
    )  # fmt: skip
    with asked as answer:
        lines = answer.iter_lines()
        next(line for line in lines if '"content":" ' in line)
        began = time.monotonic()
        stage.hub.connection.execute((ENDS | STAYS)[cause], {"session": session_digest(session)})
        stage.hub.bump()
        last = [line for line in lines if line][-1]
        assert cause in STAYS or time.monotonic() - began < 5
    assert ("[DONE]" if cause in STAYS else '"code":"invalid_api_key"') in last
    query = "SELECT charge_nano FROM usage_usagerecord WHERE model = %s AND final"
    stage.hub.wait(lambda: bool(stage.rows(query, model)), "a record is missing")
    assert stage.rows(query, model)[0]["charge_nano"] > 0


# Run beside the hub: people of acme with a session and an authenticator each, to whom it happens.
_PEOPLE = """
import json
from allauth.mfa.models import Authenticator
from accounts import members
from accounts.actors import SYSTEM
from accounts.models import Organisation, Role
from accounts.session_store import SessionStore
acme = Organisation.objects.get(slug="acme")

def session(name):
    user = members.set_member(acme, f"{name}@example.org", Role.DEVELOPER, actor=SYSTEM).user
    Authenticator.objects.create(user=user, type="totp", data={})
    store = SessionStore()
    store["_auth_user_id"] = str(user.id)
    store["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    store["_auth_user_hash"] = user.get_session_auth_hash()
    store.create()
    return store.session_key

print(json.dumps({name: session(name) for name in %s}))
"""
_HAPPENS = """
from accounts import members, second_factor, sessions
from accounts.actors import SYSTEM
from accounts.models import Organisation, User
acme = Organisation.objects.get(slug="acme")
user = User.objects.get(email="%s@example.org")
%s
"""
EVENTS = {
    "removed": "members.remove_member(acme, user.email, actor=SYSTEM)",
    "deactivated": "members.set_active(user, False, actor=SYSTEM)",
    "sessions ended": "sessions.end(user, 'test')",
    "second factor reset": "second_factor.reset_factors(SYSTEM, user)",
}


def name_of(event: str) -> str:
    return event.replace(" ", "-")


@pytest.fixture(scope="module")
def sessions(stage: Stage) -> dict[str, str]:
    """One for each event, of a person to whom it alone happens."""
    made: dict[str, str] = json.loads(beside(stage, _PEOPLE % [*map(name_of, EVENTS)]))
    return made


@pytest.mark.parametrize("event", EVENTS)
def test_what_operators_and_owners_do_to_a_person_ends_their_streams(
    stage: Stage, sessions: dict[str, str], event: str
) -> None:
    """P11: within 5 s; and what the session asks next is refused."""
    model = stage.own_model()
    stage.hub.know(model)
    name = name_of(event)
    cookies = {"session_8000": sessions[name]}
    cookies |= dict(httpx.get(stage.playground, cookies=cookies).cookies)
    token = next(value for name, value in cookies.items() if "csrf" in name)
    body = {
        "model": model,
        "stream": True,
        "messages": [{"role": "user", "content": "hi #tokens=900 #delay_ms=20"}],
    }
    asked = httpx.stream(
        "POST", f"{stage.hub.url}/pg/chat/completions", json=body, timeout=30,
        headers={"x-csrftoken": token}, cookies=cookies,
    )  # fmt: skip
    with asked as answer:
        lines = answer.iter_lines()
        next(line for line in lines if '"content":" ' in line)
        beside(stage, _HAPPENS % (name, EVENTS[event]))
        began = time.monotonic()
        last = [line for line in lines if line][-1]
        assert time.monotonic() - began < 5
    assert '"code":"invalid_api_key"' in last
    assert httpx.get(stage.playground, cookies=cookies).status_code in (302, 404)


def test_a_page_says_that_access_has_ended(stage: Stage, chromium: Browser) -> None:
    """P11: the answer that grows on it stops there, and it does not come back for more."""
    bob = watch(chromium, stage)
    session = _another_session(stage)
    bob.context.add_cookies([{"name": "session_8000", "value": session, "url": stage.hub.url}])
    page = bob.context.new_page()
    ask(page, stage, stage.echo_model(2, 60), "A weir raises the water behind it. " * 30)
    expect(page.locator("[data-part=blocks]").last).to_contain_text("weir")
    stage.hub.connection.execute(
        "DELETE FROM django_session WHERE session_key = %s", [session_digest(session)]
    )
    ended = page.locator("[data-error=access_ended]")
    expect(ended).to_contain_text("Your access has ended.", timeout=5_000)
    expect(page.locator("[hx-sse\\:connect]")).to_have_count(0)
    bob.context.close()


def test_a_chosen_model_names_a_chat_at_the_price_that_was_told(
    stage: Stage, chromium: Browser
) -> None:
    namer, model = stage.own_model(), stage.echo_model(9, 0)
    alice = watch(chromium, stage, "alice")
    page = alice.context.new_page()
    page.goto(f"{stage.playground}/settings")
    expect(page.locator("#title-cost")).to_have_text("Nothing is sent or charged.")
    page.select_option("#title-model", namer)
    expect(page.locator("#title-cost")).to_contain_text("up to $0.0000")
    most = re.search(r"up to \$(\d+\.\d+)", page.inner_text("#title-cost"))
    assert most
    with page.expect_navigation():
        page.locator("form[action$=titles] [type=submit]").click()
    page.clock.install()
    ask(page, stage, model, "What is a weir? #tokens=4")
    first = page.locator(".chat-list .chat-link[aria-current=page]")
    page.wait_for_selector(DONE)
    newest = "SELECT named_by FROM playground_conversation ORDER BY id DESC LIMIT 1"
    stage.hub.wait(lambda: stage.rows(newest)[0]["named_by"] == "model", "the chat has no name")
    page.clock.run_for(3_000)  # the list looks again
    expect(first).not_to_contain_text("What is a weir?")
    (chat,) = stage.rows(
        "SELECT title, named_by, title_request_id FROM playground_conversation "
        "ORDER BY id DESC LIMIT 1"
    )
    assert chat["named_by"] == "model"
    assert first.inner_text() == chat["title"]
    (record,) = stage.rows(
        "SELECT source, model, charge_nano FROM usage_usagerecord WHERE request_id = %s AND final",
        chat["title_request_id"],
    )
    assert (record["source"], record["model"]) == ("playground", namer)
    assert 0 < record["charge_nano"] <= float(most[1]) * 10**9
    page.goto(f"{stage.playground}/settings")
    expect(page.get_by_text("A model has titled 1 of your chats, for $")).to_be_visible()
    page.select_option("#title-model", "")
    page.locator("form[action$=titles] [type=submit]").click()
    page.goto(f"{stage.hub.url}/o/acme/requests/{id_text(chat['title_request_id'])}")
    expect(page.locator("h1")).to_be_visible()
    alice.assert_calm()
    alice.context.close()
