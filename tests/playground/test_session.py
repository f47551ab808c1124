"""What the signed-in session asks for itself: its own endpoint, and names for its chats."""

import re
from typing import Any

import httpx
import pytest
from openai import OpenAI, PermissionDeniedError
from playwright.sync_api import Browser, expect

from lib.ids import id_text
from tests.playground.conftest import Stage, watch
from tests.playground.test_live import ask

pytestmark = pytest.mark.browser


def test_the_official_client_speaks_to_the_sessions_endpoint(stage: Stage) -> None:
    """Session and CSRF token in the place of a key."""
    model = stage.fake_model()
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


def test_a_chosen_model_names_a_chat_at_the_price_that_was_told(
    stage: Stage, chromium: Browser
) -> None:
    namer, model = stage.fake_model(), stage.echo_model(9, 0)
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
    ask(page, stage, model, "What is a weir? #tokens=4")
    first = page.locator(".chat-list .chat-link[aria-current=page]")
    expect(first).not_to_contain_text("What is a weir?", timeout=15_000)  # the list looks again
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
