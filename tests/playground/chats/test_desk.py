"""The playground's desk in a real browser: settings, tools, schema, tree, files, comparing."""

import json
import re
import secrets
import struct
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from lib.ids import id_text, parse_id
from tests.browser.visitor import findings, findings_in_both_themes, too_wide
from tests.playground.conftest import Desks, Stage, Watched, watch
from tests.playground.conversations.test_tree import shape
from tests.playground.runs.test_live import ask

pytestmark = pytest.mark.browser

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + struct.pack(">II", 8, 8) + bytes(9)
WEATHER = [
    {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "mock": {"sky": "clear"},
    }
]
ENDED = ".msg[data-role=assistant]:not([data-state=answering])"


@pytest.fixture
def bob(desks: Desks) -> Iterator[Watched]:
    with desks.lent("bob", width=1440) as watched:
        yield watched


@pytest.fixture
def alice(desks: Desks) -> Iterator[Watched]:
    with desks.lent("alice", width=1440) as watched:
        yield watched


def open_with(page: Page, stage: Stage, model: str, query: str = "") -> None:
    page.goto(f"{stage.playground}?m={model}{query}")
    expect(page.locator("#chat-model")).to_have_value(model)


def send(page: Page, text: str) -> None:
    page.fill("#chat-text", text)
    page.keyboard.press("Enter")


def last_answer(page: Page) -> str:
    return page.locator("[data-part=blocks]").last.inner_text()


@pytest.mark.slow
def test_maximum_before_send_covers_the_charge(stage: Stage, alice: Watched) -> None:
    page = alice.page
    open_with(page, stage, stage.fake_model(), "&panel=params")
    page.fill("#chat-text", "hi #tokens=40")
    bound = page.locator("#bound")
    expect(bound).to_contain_text("reserved · balance after $")
    match = re.search(r"≤ \$([\d.]+) reserved", bound.inner_text())
    assert match
    page.locator(".bound-line").click()
    expect(page.locator("#menu-bound")).to_contain_text("Output (max)")
    page.keyboard.press("Escape")
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(ENDED)
    (run,) = stage.rows("SELECT outcome FROM playground_run ORDER BY id DESC LIMIT 1")
    assert 0 < run["outcome"]["charge_nano"] <= run["outcome"]["hold_nano"]
    assert run["outcome"]["hold_nano"] <= float(match[1]) * 10**9 * 1.001
    alice.assert_calm()
    page.fill("#set-max-cost", "0.000000001")
    page.fill("#chat-text", "hi " + "long " * 50)
    expect(page.locator("#bound")).to_contain_text("could cost more than its limit")
    send = page.locator("[data-send]")
    expect(send).to_be_disabled()
    # A page that has not heard of the bound yet sends all the same.
    send.evaluate("button => { button.disabled = false }")
    with page.expect_response("**/playground/runs") as answered:
        send.click()
    assert answered.value.status == 200
    refused = page.locator(".msg[data-state=refused]")
    expect(refused).to_contain_text("This message could cost more than its limit.")
    expect(refused).to_contain_text("You were not charged.")
    expect(page.locator("#chat-text")).to_have_value("")
    page.goto(f"{page.url.partition('?')[0]}?panel=params")
    refused.get_by_role("link", name="Edit and resend").click()
    edited = page.locator(".edit textarea")
    expect(edited).to_be_focused()
    assert edited.input_value().startswith("hi long")
    page.get_by_role("link", name="Cancel").click()
    page.fill("#chat-text", "hi again")
    page.fill("#set-max-cost", "")
    expect(page.locator("[data-send]")).to_be_enabled()


@pytest.mark.slow
def test_two_parallel_calls_are_answered_and_the_answer_goes_on(stage: Stage, bob: Watched) -> None:
    """No policy is broken with every menu open before that a swap replaces: the script gives them a
    place by style."""
    page = bob.page
    open_with(page, stage, stage.fake_model(), "&panel=tools")
    page.fill("#set-tools", '[{"name": "a b"}]')
    expect(page.locator("#tools-check")).to_contain_text("/0/name")
    page.fill("#set-tools", json.dumps(WEATHER))
    expect(page.locator("#tools-check")).to_contain_text("1 tool, valid")
    page.locator(".pane[data-pane=tools]").get_by_role("button", name="Search").click()
    expect(page.locator("#tools-check")).to_contain_text("2 tools, valid")  # an example beside it
    page.fill("#chat-text", "Weather? #tools=2 #reasoning=4")
    for button in (".bound-line", "[popovertarget=menu-attach]"):
        page.locator(button).click()
        page.keyboard.press("Escape")
    page.locator("#chat-text").press("Enter")
    expect(page.locator(".calls .call")).to_have_count(2)
    page.locator("[popovertarget^=more-]").last.click()
    page.keyboard.press("Escape")
    boxes = page.locator(".calls textarea")
    expect(boxes.first).to_have_value(re.compile("clear"))
    boxes.nth(0).fill("sunny here")
    boxes.nth(1).fill("rainy there")
    page.get_by_role("button", name="Send 2 results").click()
    expect(page.locator(ENDED)).to_have_count(2)
    expect(page.locator("[data-part=blocks]").last).to_contain_text("sunny here")
    expect(page.locator("[data-part=blocks]").last).to_contain_text("rainy there")
    expect(page.locator(".calls textarea")).to_have_count(0)
    bob.assert_calm()


@pytest.mark.slow
def test_the_tree_is_walked_by_keys_and_undone(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(40, 0), "first question")
    page.wait_for_selector(ENDED)
    page.keyboard.press("Alt+KeyE")
    box = page.locator("[name=edited]")
    expect(box).to_be_focused()
    box.fill("second question")
    page.get_by_role("button", name="Send as new version").click()
    expect(page.locator("[data-part=blocks]")).to_have_text("second question")
    page.wait_for_selector(ENDED)
    expect(page.locator(".versions")).to_contain_text("2/2")
    page.keyboard.press("Alt+ArrowLeft")
    expect(page.locator("[data-part=blocks]")).to_have_text("first question")
    # The foot of an answer, with what the key presses, is drawn a frame after its end.
    page.wait_for_selector("[data-regenerate]", state="attached")
    page.keyboard.press("Alt+KeyR")
    expect(page.locator("[data-role=assistant] .versions")).to_contain_text("2/2")
    page.wait_for_selector(ENDED)
    page.locator("[data-role=user]").hover()
    page.locator("[data-role=user]").get_by_role("button", name="Delete").click()
    expect(page.locator("[data-part=blocks]")).to_have_text("second question")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("[data-part=blocks]")).to_have_text("first question")
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)
    bob.assert_calm()


def exported(page: Page) -> dict[str, Any]:
    """The open chat, by the menu of its line in the list."""
    page.locator(".chat-list .chat-row:has([aria-current=page]) .chat-more").click()
    with page.expect_download() as downloaded:
        page.get_by_role("dialog").get_by_role("link", name="JSON").click()
    chat: dict[str, Any] = json.loads(downloaded.value.path().read_text())
    page.keyboard.press("Escape")
    return chat


def walked(page: Page) -> list[str]:
    """The answers that are shown, from the last version of the question back to its first."""
    texts = [last_answer(page)]
    while page.locator("[data-role=user] [data-version=before]").count():
        page.locator("[data-role=user] [data-version=before]").click()
        expect(page.locator("[data-part=blocks]")).not_to_have_text(texts[-1])
        texts.append(last_answer(page))
    return texts


@pytest.mark.slow
def test_exported_tree_imports_and_navigates_the_same(stage: Stage, bob: Watched) -> None:
    page = bob.page
    ask(page, stage, stage.echo_model(40, 0), "first question")
    page.wait_for_selector(ENDED)
    for text in ("second question", "third question"):
        page.keyboard.press("Alt+KeyE")
        page.locator("[name=edited]").fill(text)
        page.get_by_role("button", name="Send as new version").click()
        expect(page.locator("[data-part=blocks]")).to_have_text(text)
        page.wait_for_selector(ENDED)
    # The foot of an answer, with what the key presses, is drawn a frame after its end.
    page.wait_for_selector("[data-regenerate]", state="attached")
    page.keyboard.press("Alt+KeyR")
    expect(page.locator("[data-role=assistant] .versions")).to_contain_text("2/2")
    page.wait_for_selector(ENDED)
    page.reload()
    before, url = exported(page), page.url
    texts = ["third question", "second question", "first question"]
    assert walked(page) == texts
    page.locator(".chat-list .import [type=file]").set_input_files(
        {"name": "chat.json", "mimeType": "application/json", "buffer": json.dumps(before).encode()}
    )
    expect(page).not_to_have_url(url)
    after = exported(page)
    assert shape(after) == shape(before)
    assert len(after["messages"]) == 7
    assert walked(page) == texts
    bob.assert_calm()


def test_files_come_by_button_paste_and_drop(stage: Stage, bob: Watched) -> None:
    page = bob.page
    open_with(page, stage, stage.fake_model())
    page.locator("#attach input[type=file]").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": PNG}
    )
    expect(page.locator(".file-chip")).to_have_count(1)
    for kind in ("paste", "drop"):
        page.evaluate(
            """(kind) => {
              const carrier = new DataTransfer();
              carrier.items.add(new File([`${kind} words`], `${kind}.txt`));
              const box = document.querySelector('#chat-text');
              const rest = {bubbles: true, cancelable: true};
              box.dispatchEvent(kind === 'paste'
                ? new ClipboardEvent('paste', {clipboardData: carrier, ...rest})
                : new DragEvent('drop', {dataTransfer: carrier, ...rest}));
            }""",
            kind,
        )
        expect(page.locator(".file-chip").filter(has_text=f"{kind}.txt")).to_be_visible()
    expect(page.locator(".file-chip").first).to_contain_text("8×8")
    page.get_by_role("button", name="Remove paste.txt").click()
    expect(page.locator(".file-chip")).to_have_count(2)
    send(page, "Look at these #tokens=3")
    page.wait_for_selector(ENDED)
    expect(page.locator(".sent-files img")).to_be_visible()
    expect(page.locator(".sent-files")).to_contain_text("drop.txt")
    bob.assert_calm()


def test_columns_stream_in_parallel_over_one_connection(stage: Stage, bob: Watched) -> None:
    page = bob.page
    streams: list[str] = []
    page.on("request", lambda r: streams.append(r.url) if "/events" in r.url else None)
    models = [stage.echo_model(3, delay) for delay in (4, 8, 16, 150)]
    query = "&".join(f"m={model}" for model in models)
    page.goto(f"{stage.playground}/compare?{query}")
    for number, model in enumerate(models):
        expect(page.locator(f"#compare-model-{number}")).to_have_value(model)
    send(page, "the same long message to every one of them " * 6)
    blocks = page.locator(".column [data-part=blocks]")
    for number in range(4):
        expect(blocks.nth(number)).to_contain_text("the same")
    # All of them have begun while the slowest is far from its end.
    expect(page.locator(".column [data-state=answering]").last).to_be_visible()
    page.locator("#column-3").get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#column-3 [data-state=stopped]")).to_be_visible()
    expect(page.locator("#summary table")).to_be_visible(timeout=20_000)
    states = page.locator(".column .msg").evaluate_all("all => all.map(one => one.dataset.state)")
    assert states == ["done", "done", "done", "stopped"]
    assert len(streams) == 1
    charged = (
        "SELECT u.charge_nano FROM playground_run r JOIN usage_usagerecord u "
        "ON u.request_id = r.request_id AND u.final WHERE r.batch = "
        "(SELECT batch FROM playground_run ORDER BY id DESC LIMIT 1)"
    )
    stage.hub.wait(lambda: len(stage.rows(charged)) == 4, "a record is missing")
    rows = stage.rows(charged)
    total = sum(row["charge_nano"] for row in rows)
    text = page.locator("#summary tfoot td").nth(3).inner_text()
    # What is shown is rounded in its last digit, and no further.
    amount = Decimal(text.strip("$"))
    digits = len(text.partition(".")[2])
    assert abs(amount - Decimal(total).scaleb(-9)) <= Decimal(5).scaleb(-digits - 1)
    page.get_by_role("link", name="Word diff").click()
    expect(page.locator(".diff-text")).to_contain_text("the same long message")
    page.locator("#column-1").get_by_role("button", name="Keep").click()
    expect(page.locator("#chat-model")).to_have_value(models[1])
    expect(page.locator("[data-role=assistant]")).to_have_count(1)
    bob.assert_calm()


@pytest.mark.slow
def test_a_column_offers_what_its_own_answer_allows(stage: Stage, bob: Watched) -> None:
    """Stop while it is written and Keep once there is one, whatever the other columns do."""
    page = bob.page
    models = [
        stage.fake_model(),  # waits for ever behind two words
        stage.echo_model(4, 0),
        stage.hub.model("http://127.0.0.1:1/v1"),
    ]
    page.goto(f"{stage.playground}/compare?" + "&".join(f"m={model}" for model in models))
    send(page, "To each its own #tokens=9 #hold=2")
    expect(page.locator("#column-1 [data-state=done]")).to_be_visible()
    expect(page.locator("#column-2 [data-state=failed]")).to_be_visible()
    expect(page.locator("#column-0 [data-state=answering]")).to_be_visible()
    for number, offered in enumerate((["Stop"], ["Keep"], [])):
        buttons = page.locator(f"#column-{number} button:visible")
        expect(buttons.filter(has_text=re.compile(r"^\s*(Stop|Keep)\s*$"))).to_have_text(offered)
    page.locator("#column-0").get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#summary table")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    page.reload()
    expect(page.get_by_role("button", name="Keep")).to_have_count(2)
    expect(page.locator("#column-2").get_by_role("button", name="Keep")).to_have_count(0)
    bob.assert_calm()


@pytest.mark.slow
def test_best_column_is_named_for_each_measure(stage: Stage, bob: Watched) -> None:
    page = bob.page
    models = [stage.echo_model(3, 0), stage.echo_model(3, 40)]
    page.goto(f"{stage.playground}/compare?m={models[0]}&m={models[1]}")
    send(page, "to be said again " * 5)
    rows = page.locator("#summary tbody tr")
    expect(rows.first).to_contain_text("Fastest overall")
    expect(rows.last).not_to_contain_text("Fastest overall")
    expect(page.locator("#summary tbody")).not_to_contain_text("Cheapest")  # both cost the same
    expect(page.locator("#summary .measures")).to_contain_text("of the answers that finished")
    page.locator("#summary").get_by_role("link", name="Win rates").click()
    expect(page.locator("main")).to_contain_text("a vote for “None of them” counts for no model")
    bob.assert_calm()


def test_phone_comparison_shows_charges_in_tabs_and_cards(stage: Stage, bob: Watched) -> None:
    page = bob.page
    page.set_viewport_size({"width": 390, "height": 844})
    models = [stage.echo_model(30, 0), stage.echo_model(31, 0)]
    page.goto(f"{stage.playground}/compare?m={models[0]}&m={models[1]}")
    send(page, "word " * 40)
    tabs = page.locator(".column-tabs a")
    for number in range(2):
        expect(tabs.nth(number)).to_contain_text(re.compile(r"\$0\.\d"))
    expect(page.locator("#summary tbody tr")).to_have_count(2)
    # One model is the best by everything: its row has the most badges.
    stage.rows(
        """UPDATE playground_run SET outcome = outcome || jsonb_build_object(
             'ttft_ms', 10 + 10 * "column", 'total_ms', 20 + 10 * "column")
           WHERE model = ANY(%s) RETURNING id""",
        models,
    )
    page.reload()
    expect(tabs.last).to_contain_text(re.compile(r"\$0\.\d"))
    tabs.last.press("Enter")
    expect(page.locator("#column-1")).to_be_in_viewport(ratio=0.5)
    card = page.locator("#summary tbody tr").first
    expect(card.locator(".badge")).to_have_count(2)
    for cell in ("title", "money", "second", "last"):
        expect(card.locator(f"[data-card={cell}]")).to_be_visible()
    expect(page.locator("#summary thead")).to_have_css("position", "absolute")
    assert too_wide(page) == ""
    bob.assert_calm()


@pytest.mark.slow
def test_a_comparison_is_as_wide_as_its_columns(stage: Stage, bob: Watched) -> None:
    """Four stand beside each other whatever the width, and all around is as wide as they are."""
    page = bob.page
    model = stage.echo_model(40, 0)
    for width, count in ((3200, 2), (3200, 4), (1000, 4), (1440, 3)):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{stage.playground}/compare?" + f"m={model}&" * count)
        columns = page.locator(".column")
        expect(columns).to_have_count(count)
        boxes = [columns.nth(number).bounding_box() for number in range(count)]
        assert len({box["y"] for box in boxes if box}) == 1
        assert min(box["width"] for box in boxes if box) >= 17 * 16 - 1
        around = page.locator(".compare-columns").bounding_box()
        composer = page.locator("#composer").bounding_box()
        assert around
        assert composer
        assert around["width"] <= count * 46 * 16
        assert abs(around["x"] - composer["x"]) <= 1
        assert abs(around["width"] - composer["width"]) <= 1
        assert too_wide(page) == ""
    bob.assert_calm()


@pytest.mark.slow
def test_a_model_is_added_later(stage: Stage, bob: Watched) -> None:
    page = bob.page
    models = [stage.echo_model(9, delay) for delay in (0, 1, 2)]
    page.goto(f"{stage.playground}/compare?m={models[0]}&m={models[1]}")
    send(page, "one question for all")
    expect(page.locator("#summary table")).to_be_visible(timeout=15_000)
    page.locator("[data-pick-for=add-model]").press("Enter")
    page.get_by_role("combobox", name="Search models").fill(models[2])
    expect(page.locator("#models-found [aria-selected=true]")).to_contain_text(models[2])
    page.keyboard.press("Enter")
    expect(page.locator("#column-2 [data-state=done]")).to_contain_text("one question for all")
    expect(page.locator("#summary tbody tr")).to_have_count(3)
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator("[data-pick-for=add-model]")).to_be_visible()
    assert too_wide(page) == ""
    bob.assert_calm()


@pytest.mark.slow
def test_a_blind_vote_shows_the_names_afterwards(stage: Stage, bob: Watched) -> None:
    page = bob.page
    models = [stage.echo_model(9, 0), stage.fake_model()]
    page.goto(f"{stage.playground}/compare?m={models[0]}&m={models[1]}&blind=1")
    expect(page.locator(".column-head")).to_have_text(["Model A", "Model B"])
    send(page, "who are you? #tokens=5")
    expect(page.locator(".vote")).to_be_visible(timeout=15_000)
    columns = page.locator(".compare-columns").inner_text()
    assert not any(model in columns for model in models)
    assert "$" not in columns
    page.locator(".vote").get_by_role("button", name="Model A").click()
    expect(page.locator("#summary table")).to_be_visible()
    heads = page.locator(".column-head").all_inner_texts()
    assert sorted(heads) == sorted(models)
    page.goto(f"{stage.playground}/votes")
    expect(page.get_by_role("table")).to_contain_text("100%")
    bob.assert_calm()


def open_long_chat(stage: Stage, page: Page, times: int) -> list[float]:
    """Open a chat of 200 turns so many times: how many seconds each took."""
    ask(page, stage, stage.echo_model(40, 0), "the beginning")
    page.wait_for_selector(ENDED)
    (answer,) = stage.rows(
        "SELECT id, conversation_id FROM playground_message WHERE role = 'assistant' "
        "AND conversation_id = %s",
        parse_id(page.url.rpartition("/")[2]),
    )
    ids = f"ffffffff-{secrets.token_hex(2)}-7000-8000-"
    text = "Some **words** about weirs.\n\n- one\n- two\n\n```python\nhead = 0.4\n```\n" * 4
    stage.hub.connection.execute(
        "INSERT INTO playground_message (id, conversation_id, parent_id, role, content, reasoning, "
        "model, state, parts, created_at) "
        "SELECT gen, %(chat)s, before, role, %(text)s, '', 'm', 'done', '{}', now() FROM ("
        "SELECT lpad(to_hex(n), 12, 'f')::text || '', n, "
        "(%(ids)s || lpad(to_hex(n), 12, '0'))::uuid AS gen, "
        "CASE WHEN n = 1 THEN %(answer)s::uuid ELSE "
        "(%(ids)s || lpad(to_hex(n - 1), 12, '0'))::uuid END AS before, "
        "CASE WHEN n %% 2 = 1 THEN 'user' ELSE 'assistant' END AS role "
        "FROM generate_series(1, 400) n) made",
        {"chat": answer["conversation_id"], "answer": answer["id"], "text": text, "ids": ids},
    )
    stage.hub.connection.execute(
        "UPDATE playground_conversation SET leaf_id = "
        "(%(ids)s || lpad(to_hex(400), 12, '0'))::uuid WHERE id = %(chat)s",
        {"chat": answer["conversation_id"], "ids": ids},
    )
    url = f"{stage.playground}/c/{id_text(answer['conversation_id'])}"
    took = []
    for _ in range(times):
        began = time.monotonic()
        page.goto(url)
        expect(page.locator(".msg").last).to_be_in_viewport()
        took.append(time.monotonic() - began)
    return took


@pytest.mark.slow
def test_a_long_chat_opens_at_its_end(stage: Stage, bob: Watched) -> None:
    """200 turns; what is old comes when it is asked for."""
    page = bob.page
    open_long_chat(stage, page, 1)
    page_text = page.locator(".msg").count()
    page.get_by_role("link", name="Earlier messages").click()
    expect(page.locator(".msg")).to_have_count(2 * page_text)
    bob.assert_calm()


@pytest.mark.timed
@pytest.mark.slow
def test_a_long_chat_opens_within_a_second(stage: Stage, bob: Watched) -> None:
    took = open_long_chat(stage, bob.page, 3)
    assert min(took) < 1.0, took


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "language", "theme"), [(1440, "en", "light"), (360, "zh-hans", "dark")]
)
def test_every_view_is_accessible_and_fits(
    stage: Stage,
    chromium: Browser,
    width: int,
    language: Literal["en", "zh-hans"],
    theme: str,
) -> None:
    """W10, W11: panes, calls and a comparison, in each theme and language. An empty chat and what
    lies around it are looked at with all pages, in tests/browser/test_pages.py."""
    values = {"viewport": {"width": width, "height": 800}, "color_scheme": theme}
    watched = watch(chromium, stage, "alice", **values)
    watched.context.add_cookies([{"name": "language", "value": language, "url": stage.hub.url}])
    page = watched.context.new_page()
    model = stage.fake_model()
    problems: list[str] = []
    views = ("tools", "debug", "code", "chat", "schema", "body", "params", "comparison")
    left = list(views)

    def look() -> None:
        assert page.locator("html").get_attribute("lang") == language
        assert too_wide(page) == "", page.url
        left.pop(0)
        problems.extend(findings(page))

    def open_pane(name: str) -> None:
        page.locator("[popovertarget^=more-]").last.click()
        page.locator(f".menu:popover-open [data-panel-open={name}]").click()

    page.goto(stage.playground)
    assert page.evaluate("document.querySelector('[data-log]').scrollTop") == 0
    expect(page.locator("[data-to-end]")).to_be_hidden()
    open_with(page, stage, model, "&panel=tools")
    page.fill("#set-tools", json.dumps(WEATHER))
    expect(page.locator("#tools-check .check-result")).to_be_visible()
    look()
    if width < 500:
        page.locator("[data-panel-close]").click()
    send(page, "Weather? #tools=2 #reasoning=4")
    expect(page.locator(".calls .call")).to_have_count(2)
    chat = page.url.partition("?")[0]
    open_pane("debug")
    expect(page.locator("#debug .wire")).to_be_visible()
    look()
    page.goto(chat)
    open_pane("code")
    expect(page.locator("#run-code")).to_be_visible()
    look()
    for query in ("", "?panel=schema", "?panel=body"):
        page.goto(chat + query)
        look()
    page.goto(f"{chat}?panel=params")
    page.fill("#set-system", "Be brief.")
    page.locator("details:has(#prompt-name) summary").click()
    page.fill("#prompt-name", f"Brief {language}")
    look()
    page.locator("form:has(#prompt-name) [type=submit]").click()
    expect(page.locator(".toast")).to_be_visible()
    page.goto(f"{stage.playground}/compare?m={model}&m={model}&m={model}")
    send(page, "Compare #tokens=9")
    expect(page.locator("#summary table")).to_be_visible(timeout=15_000)
    look()
    assert problems == []
    assert left == []
    watched.context.close()


@pytest.mark.slow
def test_phone_columns_are_tabs(stage: Stage, bob: Watched) -> None:
    """W11 under 720 px: tabs tell the state of each; a tap, Alt and a digit or a swipe changes."""
    page = bob.page
    page.set_viewport_size({"width": 360, "height": 740})
    models = [stage.echo_model(400, 0), stage.fake_model()]
    page.goto(f"{stage.playground}/compare?m={models[0]}&m={models[1]}")
    tabs = page.get_by_role("navigation", name="Columns").get_by_role("link")
    expect(tabs).to_have_text(models)
    send(page, "hi #tokens=400 #hold=3\n\n" + "A longer line of the answer. " * 60)
    done, stopped = (re.compile(rf"{state}\s+\$[\d.]+\s*$") for state in ("Done", "Stopped"))
    expect(tabs).to_have_text([done, re.compile(r"Answering\s*$")])
    first, second = page.locator(".column").first, page.locator(".column").last
    expect(tabs.first).to_have_attribute("aria-current", "true")
    expect(first).to_be_in_viewport()
    expect(second).not_to_be_in_viewport()
    tabs.last.click()
    expect(second).to_be_focused()
    expect(tabs.last).to_have_attribute("aria-current", "true")
    expect(tabs.first).not_to_have_attribute("aria-current", "true")
    expect(second.locator("[data-part=blocks]")).to_be_in_viewport()  # shorter than the other one
    expect(first).not_to_be_in_viewport()
    assert too_wide(page) == ""
    page.keyboard.press("Alt+1")
    expect(first).to_be_focused()
    expect(tabs.first).to_have_attribute("aria-current", "true")
    page.locator(".compare-columns").evaluate("columns => columns.scrollTo(columns.scrollWidth, 0)")
    expect(tabs.last).to_have_attribute("aria-current", "true")
    second.get_by_role("button", name="Stop").click()
    expect(tabs.last).to_have_text(stopped)
    page.reload()
    expect(tabs).to_have_text([done, stopped])
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(tabs.first).to_be_hidden()
    bob.assert_calm()


@pytest.mark.slow
def test_a_saved_prompt_is_put_into_the_draft(stage: Stage, bob: Watched) -> None:
    page = bob.page
    name = f"Letters {secrets.token_hex(3)}"
    model = stage.echo_model()
    open_with(page, stage, model, "&panel=params")
    page.fill("#set-system", "You answer letters to {{party}}.")
    page.locator("summary", has_text="Save as a prompt").click()
    page.fill("#prompt-name", name)
    page.get_by_role("button", name="Save version").click()
    expect(page.locator(".toast")).to_contain_text("version 1")
    page.fill("#set-system", "")
    page.fill("#chat-text", "what was typed before")
    page.get_by_role("button", name="Prompt", exact=True).click()
    field = page.locator("#prompts-q")
    expect(field).to_be_focused()
    page.keyboard.type(name.lower())
    expect(page.locator("#prompts-found").get_by_role("option")).to_have_text(
        [re.compile(f"{name}.*version 1, latest", re.DOTALL)]
    )
    page.keyboard.press("Enter")
    page.wait_for_url("**prompt=*")
    expect(page.locator("#set-system")).to_have_value("You answer letters to {{party}}.")
    expect(page.locator("#chat-model")).to_have_value(model)
    expect(page.locator("#chat-text")).to_have_value("what was typed before")
    expect(page.locator("#bound [data-blocked]")).to_be_visible()  # the party is missing
    page.fill("[name='var.party']", "nobody")
    page.locator("#chat-text").press("Enter")
    page.wait_for_selector(ENDED)
    chat = page.url.partition("?")[0]
    page.fill("#set-system", "Of this chat")
    page.get_by_role("button", name="Prompt", exact=True).click()
    page.locator("#prompts-found").get_by_role("option", name=name).click()
    expect(page.locator("#set-system")).to_have_value("You answer letters to {{party}}.")
    assert page.url.startswith(f"{chat}?prompt=")  # into the chat that is open
    bob.assert_calm()


# A microphone that hums when it is told to: this machine has none.
_MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  const sound = new AudioContext(), out = sound.createMediaStreamDestination();
  const hum = sound.createOscillator();
  window.volume = sound.createGain();
  window.volume.gain.value = 0;
  hum.connect(window.volume).connect(out);
  hum.start();
  return out.stream;
};
"""


# What a browser says when there is a microphone that it may not, or cannot, give.
_NO_MICROPHONE = """(name) => {
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", name); };
}"""


def test_rejected_microphone_access_says_so(stage: Stage, bob: Watched) -> None:
    page = bob.page  # nobody is there to allow it
    open_with(page, stage, stage.echo_model())
    button = page.get_by_role("button", name="Record audio")
    button.click()
    toast = page.locator("#toasts .toast").last
    expect(toast).to_contain_text("microphone")
    for fault, message in (
        ("NotAllowedError", "The microphone is blocked. Allow it for this site in your browser"),
        ("NotFoundError", "No microphone was found."),
        ("NotReadableError", "Close other apps that use it"),
    ):
        page.evaluate(_NO_MICROPHONE, fault)
        button.click()
        expect(toast).to_contain_text(message)
        expect(button).to_have_attribute("aria-pressed", "false")
        expect(page.locator("#recording")).to_be_hidden()
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    button.click()
    expect(toast).to_contain_text("only over HTTPS")
    bob.assert_calm()


@pytest.mark.slow
@pytest.mark.parametrize(
    "motion", ["no-preference", pytest.param("reduce", marks=pytest.mark.slow)]
)
def test_a_recording_shows_how_loud_it_is(
    stage: Stage, bob_apart: Watched, motion: Literal["no-preference", "reduce"]
) -> None:
    page = bob_apart.page
    page.emulate_media(reduced_motion=motion)
    page.add_init_script(_MICROPHONE)
    open_with(page, stage, stage.echo_model())
    strip, level = page.locator("#recording"), page.locator("#recording [data-level]")
    button = page.get_by_role("button", name="Record audio")
    expect(strip).to_be_hidden()
    button.click()
    expect(strip.get_by_role("status")).to_have_text("No sound detected")
    assert level.get_attribute("width") == "0"
    page.evaluate("window.volume.gain.value = 0.5")
    expect(strip.get_by_role("status")).to_have_text("Sound detected")
    if motion == "reduce":
        expect(level).to_be_hidden()
        assert level.get_attribute("width") == "0"
        assert findings_in_both_themes(page) == []
    else:
        expect(level).to_have_attribute("width", re.compile(r"^[5-9]\d$"))
    button.click()
    expect(strip).to_be_hidden()
    chips = page.locator("#chips .file-chip")
    expect(chips).to_contain_text("recording.webm")
    # One follows another.
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(chips).to_have_count(2)
    bob_apart.assert_calm()
