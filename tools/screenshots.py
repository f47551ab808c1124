"""Make the pictures of the documentation: `make screenshots`; some of them:
`make screenshots ARGS="status admin-channel"`; all in one look: `make screenshots ARGS="-dark"`.

A fresh installation is started beside whatever runs here. Its chats are real, though their provider
is tools/answers.py; the company that it shows is made by tools/company.py.
"""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from stack.ports import free_port
from stack.test_programs import browser as chromium
from tools import answers, pictures

ROOT = Path(__file__).resolve().parents[1]
# What `make screenshots` makes, and the pictures of it that documents show.
PICTURES = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "images"
SIZE: ViewportSize = {"width": 1440, "height": 900}
TELEPHONE: ViewportSize = {"width": 390, "height": 780}
ANSWER_MS = 120_000

HUB = """
version: 1
settings: {{egress_allow: ["127.0.0.1/32"], public_status: true}}
channels:
  - {{name: openai-eu, provider: openai_compatible, base_url: "{provider}", keys: [sk-pictures-7f3a],
      models: {{support-chat: {{}}}}}}
  - {{name: deepseek, provider: openai_compatible, base_url: "{provider}", keys: [sk-pictures-c20e],
      models: {{summaries: {{}}}}, balance_source: deepseek, balance_warn_below: "50.00", balance_rest_below: "5.00"}}
  - {{name: anthropic-eu, provider: openai_compatible, base_url: "{provider}", keys: [sk-pictures-91bd],
      models: {{code-review: {{}}}}}}
  - {{name: translation, provider: openai_compatible, base_url: "{provider}", keys: [sk-pictures-5e10],
      models: {{translations: {{}}}}, pass_through: [{{methods: [GET, DELETE], path: "/files/*"}},
        {{methods: [POST], path: /glossaries, price: "0.01", pointer: /usage/terms, unit_price: "0.0002", max_charge: "0.50"}}]}}
  - {{name: studio, provider: openai_compatible, base_url: "{provider}", keys: [sk-pictures],
      models: {{gpt-image-1: {{}}, gpt-4o-mini-tts: {{}}, whisper-1: {{}}, gpt-realtime: {{}}}}}}
  - {{name: songs, provider: suno_api, base_url: "{services}", keys: [sk-pictures],
      models: {{suno_music: {{}}, suno_lyrics: {{}}}}}}
  - {{name: drawings, provider: midjourney_proxy, base_url: "{services}", keys: [sk-pictures],
      models: {{mj_imagine: {{}}, mj_upscale: {{}}, mj_variation: {{}}, mj_reroll: {{}}, mj_blend: {{}}, mj_describe: {{}}}}}}
prices:
  - {{model: support-chat, valid_from: 2026-01-01T00:00:00Z, meters: {{in_text: "1.25", out_text: "10.00"}}}}
  - {{model: summaries, valid_from: 2026-01-01T00:00:00Z, meters: {{in_text: "0.30", out_text: "2.50"}}}}
  - {{model: code-review, valid_from: 2026-01-01T00:00:00Z, meters: {{in_text: "3.00", in_cache_read: "0.30", out_text: "15.00"}}}}
  - {{model: translations, valid_from: 2026-01-01T00:00:00Z, meters: {{in_text: "0.20", out_text: "0.60"}}}}
  - {{model: gpt-image-1, valid_from: 2026-01-01T00:00:00Z, meters: {{images: "0.042", "images[low]": "0.011"}}}}
  - {{model: gpt-4o-mini-tts, valid_from: 2026-01-01T00:00:00Z, meters: {{characters: "15"}}}}
  - {{model: gpt-realtime, valid_from: 2026-01-01T00:00:00Z,
      meters: {{in_text: "4", in_audio: "32", out_text: "16", out_audio: "64"}}}}
  - {{model: "suno_*", valid_from: 2026-01-01T00:00:00Z, meters: {{requests: "0.12"}}}}
  - {{model: "mj_*", valid_from: 2026-01-01T00:00:00Z, meters: {{requests: "0.05"}}}}
  - {{model: whisper-1, valid_from: 2026-01-01T00:00:00Z, meters: {{audio_ms: "0.1"}}}}
models:
  - {{name: support-chat, context_max: 128000, output_max: 16384, deprecated_at: 2026-12-01T00:00:00Z,
      sunset_at: 2027-03-01T00:00:00Z, replacement: summaries}}
model_rules:
  - {{model: support-chat, fallbacks: [summaries], causes: [error, context_length, budget],
      shadow: {{channel: deepseek, model: summaries, percent: 100, cap: "5.00"}}}}
  - {{model: "code-*", pick: latency}}
aliases: {{assistant: support-chat}}
"""  # noqa: E501

# Chats of the list: title, model, days ago, pinned.
CHATS = (
    ("Tone of voice for refunds", "support-chat", 2, True),
    ("Release notes 4.2", "summaries", 0, False),
    ("Parcel that never arrived", "support-chat", 1, False),
    ("Review: retry with jitter", "code-review", 1, False),
    ("Weekly digest for the board", "summaries", 4, False),
    ("Why the nightly import is slow", "code-review", 6, False),
)

# Every page, by the name of its picture; in braces is what tools/company.py made.
PAGES: Final = {
    "home": "{o}/",
    "usage": "{o}/usage",
    "explore": "{o}/usage/explore?group_by=team&then_by=model",
    "requests": "{o}/requests",
    "sessions": "{o}/sessions",
    "session": "{o}/sessions/{session}",
    "connect": "{o}/connect?agent=codex",
    "keys": "{o}/keys",
    "keys-bulk": "{o}/keys",
    "key": "{o}/keys/{key}",
    "key-new": "{o}/keys/new",
    "key-edit": "{o}/keys/{key}/edit",
    "key-rotate": "{o}/keys/{key}/rotate",
    "key-revoke": "{o}/keys/{key}/revoke",
    "provider-keys": "{o}/provider-keys",
    "provider-key-new": "{o}/provider-keys/new",
    "service-accounts": "{o}/service-accounts",
    "service-account-new": "{o}/service-accounts/new",
    "limits": "{o}/limits",
    "limits-of-the-organisation": "{o}/limits/organisation",
    "limits-of-a-team": "{o}/limits/team/{team}",
    "budgets": "{o}/budgets",
    "budget": "{o}/budgets/{budget}",
    "budget-new": "{o}/budgets/new",
    "budget-increases": "{o}/budgets/requests",
    "budget-increase": "{o}/budgets/requests/{more}",
    "members": "{o}/team",
    "member": "{o}/team/members/{member}",
    "member-edit": "{o}/team/members/{member}/edit",
    "member-remove": "{o}/team/members/{member}/remove",
    "invitations": "{o}/team/invitations",
    "invite": "{o}/team/invitations/new",
    "roles": "{o}/team/roles",
    "role": "{o}/team/roles/{role}",
    "role-new": "{o}/team/roles/new",
    "teams": "{o}/teams",
    "team": "{o}/teams/{team}",
    "team-new": "{o}/teams/new",
    "project-edit": "{o}/projects/{project}/edit",
    "settings": "{o}/settings",
    "organisation-archive": "{o}/settings/archive",
    "single-sign-on": "{o}/settings/sso",
    "audit-log": "{o}/audit",
    "audit-event": "{o}/audit/{event}",
    "billing": "{o}/billing",
    "billing-held": "{o}/billing/holds",
    "billing-top-up": "{o}/billing/top-up",
    "billing-top-up-open": "{o}/billing/top-ups/{top_up}",
    "billing-redeem": "{o}/billing/redeem",
    "billing-alerts": "{o}/billing/alerts",
    "billing-details": "{o}/billing/details",
    "billing-plan": "{o}/billing/plan",
    "invoices": "{o}/billing/invoices",
    "invoice": "{o}/billing/invoices/{invoice}",
    "statements": "{o}/billing/statements",
    "statement": "{o}/billing/statements/{month}",
    "statements-proof": "{o}/billing/proof",
    "webhooks": "{o}/webhooks",
    "webhook": "{o}/webhooks/{webhook}",
    "webhook-remove": "{o}/webhooks/{webhook}/remove",
    "prices-of-an-organisation": "{o}/prices",
    "start": "{o}/start",
    "history": "{o}/playground/history",
    "votes": "{o}/playground/votes",
    "embeddings": "{o}/playground/embeddings",
    "images": "{o}/playground/images",
    "images-mask": "{o}/playground/images",
    "speech": "{o}/playground/speech",
    "transcription": "{o}/playground/transcription",
    "music": "{o}/playground/music",
    "midjourney": "{o}/playground/midjourney",
    "realtime": "{o}/playground/realtime?model=gpt-realtime",
    "gallery": "{o}/playground/gallery",
    "playground-settings": "{o}/playground/settings",
    "prompts": "{o}/prompts",
    "prompt": "{o}/prompts/{prompt}",
    "models": "/models",
    "model": "/models/support-chat",
    "pricing": "/pricing",
    "status": "/status",
    "account-password": "/password/set",
    "account-security": "/account/security",
    "account-sign-ins": "/account/sign-ins",
    "sign-out": "/logout",
    "admin-organisations": "/admin/organisations",
    "admin-people": "/admin/people",
    "admin-sign-up": "/admin/people/sign-up",
    "admin-suspend": "/admin/organisations/{suspended}/suspend",
    "admin-audit-log": "/admin/audit",
    "admin-view-as": "/admin/view-as",
    "admin-credits": "/admin/credits",
    "admin-approvals": "/admin/approvals",
    "admin-approval": "/admin/approvals/{approval}",
    "admin-codes": "/admin/codes",
    "admin-codes-disable": "/admin/codes/{batch}/kill",
    "admin-payments": "/admin/payments",
    "admin-payment": "/admin/payments/{top_up}/confirm",
    "admin-channels": "/admin/channels",
    "admin-channel": "/admin/channels/{channel}",
    "admin-channel-own-keys": "/admin/channels/{offered}/own-keys",
    "admin-channel-pass-through": "/admin/channels/{offered}#pass-through-title",
    "admin-channel-new": "/admin/channels/new",
    "admin-channel-balance": "/admin/channels/{paid}#balance",
    "admin-channel-new-bedrock": "/admin/channels/new?provider=bedrock",
    "admin-channel-new-vertex": "/admin/channels/new?provider=vertex",
    "admin-channel-edit": "/admin/channels/{channel}/edit",
    "admin-channel-models": "/admin/channels/{channel}/models",
    "admin-channel-overrides": "/admin/channels/{channel}/overrides",
    "admin-channel-model-changes": "/admin/channels/{channel}/models/changes",
    "admin-models": "/admin/models",
    "admin-model": "/admin/models/named/support-chat",
    "admin-model-rules": "/admin/models/rules",
    "admin-model-rule": "/admin/models/rules/{rule}",
    "admin-shadow-traffic": "/admin/models/shadows",
    "admin-catalogue": "/admin/models/catalogue",
    "admin-route-preview": "/admin/routes/preview?key={key}&model=support-chat",
    "admin-prices": "/admin/prices",
    "admin-price": "/admin/prices/{price}",
    "admin-price-new": "/admin/prices/new",
    "admin-proposals": "/admin/prices/proposals",
    "admin-proposal": "/admin/prices/proposals/{draft}",
    "admin-preview": "/admin/prices/previews/{preview}",
    "admin-plans": "/admin/plans",
    "admin-plan": "/admin/plans/{plan}",
    "admin-subscription-plans": "/admin/subscription-plans",
    "admin-reviews": "/admin/reviews",
    "admin-margin": "/admin/margin",
    "admin-reconcile-new": "/admin/reconcile/new",
    "admin-invoices-seller": "/admin/invoices/seller",
    "admin-announcements": "/admin/announcements",
    "admin-announcement": "/admin/announcements/{announcement}",
    "admin-health": "/admin/health",
    "admin-settings": "/admin/settings",
    "not-found": "/no/such/page",
    "api": "/api/v1/docs",
    "api-keys": "/api/v1/docs/keys",
    "docs": "/docs",
    "docs-headers": "/docs/headers",
    "docs-chat": "/docs/chat-completions",
    "docs-errors": "/docs/errors",
    "docs-questions": "/docs/faq",
}


def choose_keys(page: Page, facts: Mapping[str, str]) -> None:
    """On the list: two keys, and the form that sets their limits, previewed."""
    for name in ("web-chat", "review-bot"):
        page.locator("tr", has_text=name).locator(".tick input").check()
    page.locator(".bulk button[value=limits]").click()
    page.locator("[name=rpm]").fill("300")
    page.locator("[name=step][value=preview]").click()
    page.wait_for_load_state()


def preview_route(page: Page, facts: Mapping[str, str]) -> None:
    """A request of the key and to the model that are chosen."""
    # The bar of a telephone may lie over it.
    page.get_by_role("main").locator("form [type=submit]").press("Enter")
    page.wait_for_load_state()


def connect_provider(page: Page, facts: Mapping[str, str]) -> None:
    """The wizard, with what the provider lists."""
    page.locator("[name=provider]").select_option("openai_compatible")
    expect(page.locator("[name=name]")).to_have_value("openai_compatible")
    page.wait_for_load_state("networkidle")
    page.locator("[name=base_url]").fill(facts["provider"])
    page.locator("[name=secret]").fill("sk-of-the-pictures")
    page.locator("#new-channel [formnovalidate]").first.click()
    expect(page.locator("#found tbody tr").first).to_be_visible(timeout=ANSWER_MS)


def paint_mask(page: Page, facts: Mapping[str, str]) -> None:
    """The picture that was made, with a part of it painted."""
    page.locator("article").get_by_role("link").filter(has=page.locator("[href*=pencil]")).click()
    page.wait_for_load_state("networkidle")
    canvas = page.locator(".mask canvas")
    box = canvas.bounding_box()
    if box is None:
        raise AssertionError("there is no canvas")
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.62 * box["height"], steps=8)
    page.mouse.up()


def show_receipt(page: Page, facts: Mapping[str, str]) -> None:
    """The lower part of the page of a request."""
    page.locator("#receipt-title").scroll_into_view_if_needed()
    page.evaluate("document.getElementById('receipt-title').scrollIntoView({block: 'start'})")


# What is done on a page before its picture.
ACTS: Final[dict[str, Callable[[Page, Mapping[str, str]], None]]] = {
    "keys-bulk": choose_keys,
    "receipt": show_receipt,
    "images-mask": paint_mask,
    "admin-route-preview": preview_route,
    "admin-channel-new": connect_provider,
}
# Without a session.
PUBLIC: Final = {
    "sign-in": "/login",
    "sign-in-sso": "/login/sso",
    "sign-up": "/signup",
    "password-lost": "/password/reset",
    "invitation": "{invite}",
    "status-public": "/status",
    "models-public": "/models",
}
# The first run, in its order.
SET_UP: Final = ("set-up-first", "set-up", "set-up-steps")
COUNT: Final = "from billing.tasks import count_promo; count_promo()"
INVOICE_PDF: Final = "invoice-pdf"
# The picture of the README.
FIRST: Final = "weir"
_DEMO: Final = "demo@weir.example"
_FIRST_OPERATOR: Final = {
    "email": "robin.vale@riverside.example",
    "name": "Robin Vale",
    "password": "of-the-pictures-only",
}


missing: dict[str, str] = {}


class Running(NamedTuple):
    url: str
    environment: dict[str, str]

    def manage(self, *command: str) -> str:
        return subprocess.run(  # noqa: S603
            [sys.executable, "manage.py", *command],
            cwd=ROOT, env=self.environment, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip


@contextmanager
def installation(data: Path) -> Iterator[Running]:
    """`make run` on fresh data; what it prints is read for the address and the link."""
    # The authorities of the machine that makes the pictures do not belong in them either.
    foreign = (
        *("DATABASE_URL", "BROKER_URL", "SECRET_KEY", "WEIR_KEK", "WEIR_KEY_PEPPER"),
        "SSL_CERT_FILE",
    )
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment |= {"DATA_DIR": str(data), "PORT": str(free_port())}
    process = subprocess.Popen(
        [sys.executable, "-m", "stack.up"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        output = _read_output(process)
        link = re.search(r"(http://\S+)/link/\S+", output)
        if link is None:
            raise SystemExit(output)
        yield Running(link[1], environment)
    finally:
        ended = process.poll()
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate()
        if ended is not None:
            sys.stderr.write(f"The installation ended by itself ({ended}):\n{rest}")


def _read_output(process: "subprocess.Popen[str]") -> str:
    """What it prints until it runs, or ends."""
    output = ""
    for line in process.stdout or ():
        output += line
        if line.startswith("Ctrl-C"):
            break
    return output


def configure(running: Running, data: Path, provider: str) -> None:
    """Apply more models."""
    file = data / "hub.yaml"
    services = provider.removesuffix("/v1")
    file.write_text(HUB.format(provider=provider, services=services))
    running.manage("apply", str(file))


def connect_database(data: Path) -> "psycopg.Connection[tuple[str, ...]]":
    """The installation's database."""
    return psycopg.connect((data / "run" / "DATABASE_URL").read_text().strip(), autocommit=True)


def make_company(running: Running) -> dict[str, str]:
    """Let tools/company.py make it; what the addresses of the pages need."""
    code = "from tools.company import make; print(make())"
    output = running.manage("shell", "--no-imports", "-c", code)
    # The first pictures are of usage, and are not to depend on when the worker gets to it.
    running.manage(
        "shell", "--no-imports", "-c", "from usage.rollups.rollups import rebuild; rebuild()"
    )
    facts: dict[str, str] = json.loads(output.splitlines()[-1])
    return facts


def fill_the_list(page: Page, data: Path, playground: str) -> None:
    """Chats of the last days."""
    for title, name, days, pinned in CHATS:
        page.goto(f"{playground}?m={name}")
        ask(page, title)
        with connect_database(data) as connection:
            connection.execute(
                "UPDATE playground_conversation SET updated_at = now() - make_interval(days => %s),"
                " pinned = %s WHERE title = %s",
                [days, pinned, title],
            )


def ask(page: Page, question: str) -> None:
    """Send, and wait for the answer of every column."""
    page.locator("#chat-text").fill(question)
    page.locator("[data-send]").click()
    expect(page.locator("[data-role=assistant]").first).to_be_visible(timeout=ANSWER_MS)
    for answer in page.locator("[data-role=assistant]").all():
        expect(answer).to_have_attribute("data-state", "done", timeout=ANSWER_MS)


def make_media(page: Page, playground: str) -> None:
    """A picture, a text that is read aloud, a message that is written down, a song, and a picture
    with buttons."""
    page.goto(f"{playground}/images?model=gpt-image-1")
    page.locator("#media-prompt").fill("A paper boat on a calm river at dawn")
    page.locator("#media-size").select_option("1536x1024")
    page.locator("#media-form [type=submit]").click()
    made_pictures = page.locator("article[data-state=done]")
    expect(made_pictures).to_have_count(1, timeout=ANSWER_MS)
    page.goto(f"{playground}/speech?model=gpt-4o-mini-tts")
    page.locator("#media-prompt").fill(
        "Your parcel is on its way and arrives tomorrow before noon."
    )
    page.locator("#media-response_format").select_option("wav")
    page.locator("#media-form [type=submit]").click()
    expect(made_pictures).to_have_count(1, timeout=ANSWER_MS)
    page.goto(f"{playground}/transcription?model=whisper-1")
    page.locator("#media-upload [type=file]").set_input_files(
        {"name": "message.wav", "mimeType": "audio/wav", "buffer": pictures.make_hum(14)}
    )
    expect(page.locator("#media-given audio")).to_be_visible(timeout=ANSWER_MS)
    page.locator("#media-form [type=submit]").click()
    expect(made_pictures).to_have_count(1, timeout=ANSWER_MS)
    page.goto(f"{playground}/music")
    page.locator("#media-prompt").fill("A slow folk song about a river town in autumn")
    page.locator("#media-tags").fill("acoustic folk, warm")
    page.locator("#media-form [type=submit]").click()
    expect(made_pictures).to_have_count(1, timeout=ANSWER_MS)
    page.goto(f"{playground}/midjourney")
    page.locator("#media-prompt").fill("A paper boat on a calm river at dawn, watercolour")
    page.locator("#media-aspect").select_option("3:2")
    page.locator("#media-form [type=submit]").click()
    expect(made_pictures).to_have_count(1, timeout=ANSWER_MS)


def chat(page: Page, playground: str) -> dict[str, str]:
    """A chat, and the same question to three models; the addresses of both, and of a request."""
    page.goto(f"{playground}?m=support-chat")
    ask(page, answers.WEBHOOKS)
    request = page.get_by_role("link", name="Request", exact=True).get_attribute("href")
    paths = {"playground": page.url, "request": request or "", "receipt": request or ""}
    page.goto(f"{playground}/compare?m=support-chat&m=summaries&m=code-review")
    ask(page, answers.WEBHOOKS)
    expect(page.locator("#summary table")).to_be_visible(timeout=ANSWER_MS)
    return paths | {"compare": page.url}


def use_playground(
    page: Page, running: Running, data: Path, facts: Mapping[str, str]
) -> dict[str, str]:
    """Chat and make media; the paths of all pages, by the names of their pictures."""
    playground = f"{facts['o']}/playground"
    fill_the_list(page, data, playground)
    make_media(page, playground)
    paths = chat(page, playground)
    # What the plan paid of it is counted each minute.
    running.manage("shell", "--no-imports", "-c", COUNT)
    return paths | {name: path.format(**facts) for name, path in PAGES.items()}


# Repeat over several frames: a log scrolls to its end when it is first laid out.
_FROM_THE_BEGINNING = """async () => {
  await document.fonts.ready;
  document.activeElement.blur();
  for (let frame = 0; frame < 4; frame += 1) {
    for (const one of document.querySelectorAll("[data-log], textarea")) one.scrollTop = 0;
    await new Promise(requestAnimationFrame);
  }
}"""


class Look(NamedTuple):
    """How a page is looked at; its picture is `scale` times as large as the window."""

    options: dict[str, Any]
    scale: float = 0.5
    language: str = "en"
    locale: str = "en-GB"


# By the ending of a picture's name.
LOOKS: Final = {
    "": Look({"viewport": SIZE}, 0.75),
    "-dark": Look({"viewport": SIZE, "color_scheme": "dark"}),
    "-zh": Look({"viewport": SIZE}, language="zh-hans", locale="zh-CN"),
    "-phone": Look({"viewport": TELEPHONE, "is_mobile": True, "has_touch": True}, 1),
}


def take(
    page: Page,
    path: str,
    file: Path,
    facts: Mapping[str, str],
    *,
    scale: float = 1,
    quality: int = 55,
) -> None:
    """The window, from the beginning of a chat, with nothing on its way."""
    page.goto(path)
    page.wait_for_load_state("networkidle")
    for name, act in ACTS.items():
        if file.stem in {f"{name}{ending}" for ending in LOOKS}:
            act(page, facts)
            page.wait_for_load_state("networkidle")
    page.evaluate(_FROM_THE_BEGINNING)
    page.mouse.move(0, 0)
    asked: dict[str, Any] = {"format": "webp", "quality": quality}
    # A clip lays a telephone's page out anew, beside a scroll bar.
    if scale != 1:
        # An act may have led further down.
        window = page.viewport_size or SIZE
        asked["clip"] = {"x": 0, "y": page.evaluate("scrollY"), "scale": scale, **window}
    taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", asked)
    file.write_bytes(base64.b64decode(taken["data"]))


def take_all(
    browser: Browser,
    running: Running,
    state: Callable[[], Any],
    pages: Mapping[str, str],
    facts: Mapping[str, str],
) -> None:
    """Each page in each look, in the `state` of a browser that is made for each look; of those that
    were asked for, where some were: a name alone asks for every look of a page, an ending alone for
    every page in that look."""
    wanted = sys.argv[1:]
    for ending, look in LOOKS.items():
        context = browser.new_context(
            base_url=running.url,
            storage_state=state(),
            reduced_motion="reduce",
            locale=look.locale,
            **look.options,
        )
        context.add_cookies([{"name": "language", "value": look.language, "url": running.url}])
        page = context.new_page()
        for name, path in pages.items():
            if wanted and not {name, ending, f"{name}{ending}"} & set(wanted):
                continue
            try:
                take(page, path, PICTURES / f"{name}{ending}.webp", facts, scale=look.scale)
            except (PlaywrightError, AssertionError) as error:
                # The others are worth their minutes; main() says which are missing.
                missing[f"{name}{ending}"] = str(error)
        context.close()


def take_invoice_pdf(browser: Browser, running: Running, number: str) -> None:
    """The first page of an invoice's PDF."""
    if sys.argv[1:] and INVOICE_PDF not in sys.argv[1:]:
        return
    code = f"from tools.company import invoice_page; print(invoice_page({number!r}))"
    png = running.manage("shell", "--no-imports", "-c", code).splitlines()[-1]
    page = browser.new_page(viewport={"width": 1191, "height": 1684})
    page.set_content(f'<body style="margin: 0"><img src="data:image/png;base64,{png}">')
    page.locator("img").evaluate("image => image.decode()")
    taken = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot", {"format": "webp", "quality": 80}
    )
    (PICTURES / f"{INVOICE_PDF}.webp").write_bytes(base64.b64decode(taken["data"]))
    page.close()


def renew_shown() -> None:
    """Replace the pictures that documents show by new ones, where they were taken."""
    for old in IMAGES.glob("*.webp"):
        if (new := PICTURES / old.name).exists():
            shutil.copy(new, old)


def sign_in(browser: Browser, running: Running) -> Page:
    page = browser.new_context(viewport=SIZE, base_url=running.url).new_page()
    page.goto(running.manage("sign_in_link", _DEMO).strip())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/o/*/")
    return page


def state_of_now(browser: Browser, running: Running) -> Any:
    """The state of a browser that signs in now: some pages ask for a sign-in of the last quarter of
    an hour, and to look at all takes longer."""
    page = sign_in(browser, running)
    state = page.context.storage_state()
    page.context.close()
    return state


def _nobody() -> None:
    """The state of a browser without a session."""


def take_set_up(browser: Browser, running: Running, data: Path) -> None:
    """The first run, for which this installation has no operator for a while."""
    with connect_database(data) as connection:
        connection.execute("UPDATE accounts_user SET operator = false")
        link = running.manage("set_up_link").strip().replace(running.url, "")
        first = dict(zip(SET_UP, ("/setup", link), strict=False))
        take_all(browser, running, _nobody, first, {})
        page = browser.new_context(viewport=SIZE, base_url=running.url).new_page()
        page.goto(link)
        for name, text in _FIRST_OPERATOR.items():
            page.locator(f"[name={name}]").fill(text)
        page.locator("main [type=submit]").click()
        page.wait_for_url("**/admin/setup")
        state = page.context.storage_state
        take_all(browser, running, state, {SET_UP[-1]: "/admin/setup"}, {})
        connection.execute("UPDATE accounts_user SET operator = true WHERE email = %s", [_DEMO])


def main() -> None:
    need_chinese()
    with (
        tempfile.TemporaryDirectory(prefix="weir-pictures-") as directory,
        answers.provider() as provider,
        installation(data := Path(directory) / "data") as running,
        sync_playwright() as playwright,
    ):
        configure(running, data, provider)
        facts = make_company(running) | {"provider": provider}
        browser = playwright.chromium.launch(
            executable_path=chromium.find(), args=["--no-sandbox", "--hide-scrollbars"]
        )
        page = sign_in(browser, running)
        paths = use_playground(page, running, data, facts)
        PICTURES.mkdir(parents=True, exist_ok=True)
        if not sys.argv[1:] or FIRST in sys.argv[1:]:
            take(page, paths["playground"], PICTURES / f"{FIRST}.webp", facts, quality=80)
        take_all(browser, running, lambda: state_of_now(browser, running), paths, facts)
        public = {name: path.format(**facts) for name, path in PUBLIC.items()}
        take_all(browser, running, _nobody, public, facts)
        take_invoice_pdf(browser, running, facts["invoice"])
        take_set_up(browser, running, data)
        renew_shown()
        browser.close()
    if missing:
        sys.exit("\n".join(f"{name}: {why}" for name, why in missing.items()))


def need_chinese() -> None:
    """Without a font that has Chinese the pictures would show boxes. Raises SystemExit."""
    if shutil.which("fc-list") is None:
        return
    fonts = subprocess.run(["fc-list", ":lang=zh"], capture_output=True, check=True)  # noqa: S607
    if not fonts.stdout:
        sys.exit("No font here has Chinese. Install one: apt-get install fonts-noto-cjk.")


if __name__ == "__main__":
    main()
