"""Every text has its Chinese form, and no page shows a text that has none."""

import ast
import datetime as dt
import io
import re
from collections.abc import Iterable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import allauth
import pytest
from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as Text
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po
from django import conf
from django.conf import settings
from django.contrib import auth
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils.translation.template import templatize

from accounts.access.actors import SYSTEM
from accounts.limits.rules import ENDPOINTS
from accounts.models import Role
from accounts.sign_up.sign_up import save_sign_up
from config.jobs.job_alarms import watch
from config.management.commands.messages import BORROWED_PLURALS, unseen_texts
from gateway.channels.channel_tests.words import FAULTS
from gateway.models import Channel, Route
from lib import clock
from lib.forms.country_and_zone_fields import zone_choices
from lib.ids import id_text, new_id
from playground.models import Conversation, Message, MessageRole, Run, RunState
from tests.house.parsed import nodes_of
from tests.house.test_style import ROOMS, ROOT, _at, _files
from tests.support.cast import Cast, make_key, member, signed_in
from tests.support.markup import squeezed
from tests.usage.rows import admit, credit, happen, price_version, refuse
from usage.rollups.rollups import replace_all

CHINESE = ROOT / "locale/zh_Hans/LC_MESSAGES/django.po"
COMPILE = ".venv/bin/pybabel compile -d locale -D django"
CALLS: Final = ("gettext", "gettext_lazy", "gettext_noop", "ngettext", "pgettext", "pgettext_lazy",
                "npgettext", "_")  # fmt: skip

CALL: Final = re.compile(rf"\b(?:{'|'.join(CALLS)})\s*\(")

# A sheet of specimens: what its parts are filled with is no text of the product.
SPECIMENS = ROOT / "templates/design"
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|%[sd]|(</?\w+[^>]*>)")
WORD = re.compile(r"[A-Za-z]{2,}")
BLANK = re.compile(r"\{[a-z]+\}")  # what a script fills in
ADDRESS = re.compile(r"https?://\S+")


# The catalogue ----------------------------------------------------------------------------------


@cache
def _catalogue() -> Catalog:
    with CHINESE.open("rb") as source:
        return read_po(source, locale="zh_Hans")


def _key(message: Text) -> tuple[str | None, str]:
    return message.context, message.id if isinstance(message.id, str) else message.id[0]


def _forms(message: Text) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


def _sources() -> Iterator[tuple[Path, str]]:
    """Every file that can hold texts, as Python: templates in the form that gettext reads."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            yield path, path.read_text()
    templates = (ROOT / "templates", *(ROOT / "extensions").glob("*/templates"))
    for path in (path for folder in templates for path in folder.rglob("*.*")):
        if path.suffix in {".html", ".txt"} and SPECIMENS not in path.parents:
            # Indentation means nothing in a template.
            read = templatize(path.read_text()).splitlines()
            yield path, "\n".join(line.strip() for line in read)


@cache
def _texts_of_source() -> set[tuple[str | None, str]]:
    """Contexts and texts, read without GNU gettext, by other code than `make messages` uses."""
    results: set[tuple[str | None, str]] = {(None, text) for text in unseen_texts()}
    results |= {(None, one) for one, _ in BORROWED_PLURALS}
    calls = dict.fromkeys(CALLS)
    for source in (source for _, source in _sources() if CALL.search(source)):
        read: Iterable[Any] = extract_python(io.BytesIO(source.encode()), calls, (), {})
        for _, name, texts, _ in read:
            parts = [texts] if isinstance(texts, str) else list(texts or ())
            context = parts.pop(0) if name and "pgettext" in name else None
            if parts and parts[0]:  # not what is computed; its texts are named elsewhere
                results.add((context, parts[0]))
    return results


def test_the_catalogue_holds_the_texts_of_the_source() -> None:
    held = {_key(message) for message in _catalogue() if message.id}
    wanted = _texts_of_source()
    assert sorted(map(str, wanted - held)) == [], "not in the catalogue: run make messages"
    assert sorted(map(str, held - wanted)) == [], "no text of the source: run make messages"


def test_source_reader_finds_all_texts() -> None:
    texts = _texts_of_source()
    assert len(texts) > 600
    assert (None, "Create key") in texts  # a template
    assert (None, "%(n)s key changed.") in texts  # a plural
    assert ("unit", "ms") in texts  # a context
    assert (None, "All") in texts  # an argument of a filter
    assert (None, "The answer was cut off") in texts  # Python
    assert (None, "List keys") in texts  # the API's schema


def test_every_text_has_its_chinese_form() -> None:
    wrong = []
    for message in _catalogue():
        if not message.id:
            continue
        forms = _forms(message)
        if message.fuzzy or not forms or not all(forms):
            wrong.append(f"not translated: {message.id!r}")
        # The only Chinese form of a plural stands for every number, so it names the number.
        asked = message.id if isinstance(message.id, str) else message.id[-1]
        for form in forms:
            if _placeholders(asked) != _placeholders(form):
                wrong.append(f"other placeholders: {message.id!r}")
    assert wrong == []


def _placeholders(text: str) -> list[str]:
    return sorted(match[0] for match in PLACEHOLDER.finditer(text))


def test_chinese_is_written_as_agreed() -> None:
    """`你`, no exclamation marks, half-width figures, a space between Chinese and Latin, and the
    points of Chinese beside Chinese."""
    close = re.compile(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9%][\u4e00-\u9fff]")
    points = re.compile(r"[\u4e00-\u9fff][,;:?!(]|[,;:!)] ?[\u4e00-\u9fff]")
    wrong = []
    for message in _catalogue():
        _, text = _key(message)
        if not text:
            continue
        bare = [re.sub(r"%\(\w+\)s|`", "", form) for form in _forms(message)]
        wrong += [form for form in bare if close.search(form) or re.search("[您！０-９]", form)]
        wrong += [form for form in bare if points.search(form)]
    assert wrong == []


DATES: Final = (ROOT / "config/formats/en/formats.py", ROOT / "config/formats/zh_Hans/formats.py")
DATE_PATTERN = re.compile(r"""(?:\|date:(?:_\()?|date_format\(.*?, )["']([^"']*)""")


def test_dates_are_written_by_the_named_formats() -> None:
    """One place has the patterns of a language; a page names one of them."""
    known, chinese = (
        set(re.findall(r"^(\w+_FORMAT) =", path.read_text(), re.MULTILINE)) for path in DATES
    )
    assert known == chinese
    machines = {"c", "Y-m"}  # of attributes
    used, wrong = set(), []
    for path in _files(".py", *ROOMS) + _files(".html", "templates") + _files(".txt", "templates"):
        if SPECIMENS in path.parents:
            continue
        for one_result in DATE_PATTERN.finditer(path.read_text()):
            used.add(one_result[1])
            if one_result[1] not in known | machines:
                wrong.append(f"{path.relative_to(ROOT)}: {one_result[1]}")
    assert wrong == []
    assert known <= used


GLOSSARY = ROOT / "docs/reference/glossary.md"
# Letters of the alphabet, which are none that are sent; and what stands in a text as it is written.
LITERAL = re.compile(r"%\(\w+\)[sd]|`[^`]*`|(?:same|a) letter|letters, digits")


@cache
def _avoided(*only: str) -> re.Pattern[str]:
    """The last column of the glossary's table of what people read, or of its rows `only`."""
    table = GLOSSARY.read_text().split("## On pages")[1]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    used = [row for row in rows[1:] if not only or row[0] in only]
    assert len(used) == len(only or rows[1:])
    words = [word for row in used for word in row[2].split(", ")]
    latin = "|".join(re.escape(word) for word in words if word.isascii())
    other = [word for word in words if not word.isascii()]
    return re.compile("|".join([rf"\b(?:{latin})\b", *other]), re.IGNORECASE)


def test_texts_use_the_words_of_the_glossary() -> None:
    for text in ("Nobody was told.", "A letter is sent", "Upstream failed", "服务商即上游"):
        assert _avoided().search(LITERAL.sub("", text))
    for text in ("use the same letter", "Provider %(letter)s", "`bound`", "boundary"):
        assert not _avoided().search(LITERAL.sub("", text))
    wrong = []
    for message in _catalogue():
        asked = (message.id,) if isinstance(message.id, str) else message.id
        searched = message.context == "search words"  # what people type, and no page shows
        for text in (*asked, *_forms(message)) if message.id and not searched else ():
            if result := _avoided().search(LITERAL.sub("", text)):
                wrong.append(f"{result[0]}: {text!r}")
    assert wrong == []


# Pages for contributors speak of the code; the contract and the glossary define its terms. Words of
# these rows are no terms.
_OF_STYLE: Final = ("reject", "notify, alert", "no one, everyone", "again")
_OF_THE_CODE: Final = ("docs/adr", "docs/background", "docs/promises", "docs/reference/glossary",
                       "docs/reference/price-members", "docs/guides/adding-a-provider")  # fmt: skip
_CODE_OF_DOCUMENT: Final = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)", re.DOTALL)


def test_documents_use_the_words_of_the_glossary() -> None:
    wrong = []
    beside_code = [ROOT / "tests/README.md", ROOT / "dialects/README.md"]
    for path in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *beside_code]:
        name = str(path.relative_to(ROOT))
        of_the_code = path in beside_code or name.startswith(_OF_THE_CODE)
        words = _avoided(*_OF_STYLE) if of_the_code else _avoided()
        if path != GLOSSARY:
            prose = LITERAL.sub("", _CODE_OF_DOCUMENT.sub("", path.read_text()))
            wrong += [f"{name}: {found[0]}" for found in words.finditer(prose)]
    assert wrong == []


# Templates --------------------------------------------------------------------------------------

SPOKEN = ("aria-label", "title", "placeholder", "alt", "aria-valuetext")
CODE = frozenset({"script", "style", "code", "pre", "textarea", "kbd"})
VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
# What an include is given to show.
GIVEN = re.compile(
    r"\b(?:title|text|label|line|action|warning|verb|what|note|summary)=\"([^\"]*)\""
)


class _Visible(HTMLParser):
    """The texts of a page that somebody sees or hears; code is none."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._code_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        inputs = dict(attrs)
        self.found += [value for name in SPOKEN if (value := inputs.get(name))]
        if inputs.get("id") == "words":
            self.found += [value for name, value in attrs if name.startswith("data-") and value]
        code = tag in CODE or "mono" in (inputs.get("class") or "").split()
        if (code or self._code_depth) and tag not in VOID:
            self._code_depth += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if self._code_depth:
            self._code_depth -= 1

    def handle_data(self, data: str) -> None:
        if not self._code_depth and data.strip():
            self.found.append(data.strip())


def _visible(page: str) -> list[str]:
    reader = _Visible()
    reader.feed(page)
    return reader.found


def _without_tags(template: str) -> str:
    """A template with its translated texts and its logic taken out."""
    template = re.sub(r"\{#.*?#\}", "", template)
    # In a letter an address has its own line.
    template = re.sub(
        r"^(\{% url [^%]*%\})?\{\{ public_url \}\}.*$", "", template, flags=re.MULTILINE
    )
    template = re.sub(r"\{% block \w+_attrs %\}.*?\{% endblock %\}", "", template, flags=re.DOTALL)
    template = re.sub(
        r"\{% blocktranslate.*?%\}.*?\{% endblocktranslate %\}", "", template, flags=re.DOTALL
    )
    return re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", template, flags=re.DOTALL)


def test_templates_show_no_untranslated_text() -> None:
    names = {"Weir", "OpenAPI", "SHA", "Alt", "Ctrl", "Enter"}  # the product, formats, keys
    results = []
    templates = (ROOT / "templates", *(ROOT / "extensions").glob("*/templates"))
    for path in (path for folder in templates for path in folder.rglob("*.*")):
        if path.suffix not in {".html", ".txt"} or SPECIMENS in path.parents:
            continue
        source = path.read_text()
        if path.stem.endswith("_attributes"):  # of an element that two templates write
            source = f"<div {source}>"
        texts = _visible(_without_tags(source))
        for include in re.findall(r"\{% include .*?%\}", source, re.DOTALL):
            texts += [text for text in GIVEN.findall(include) if not text.startswith(".venv/bin/")]
        results += [
            f"{path.relative_to(ROOT)}: {text}"
            for text in texts
            if not set(WORD.findall(ADDRESS.sub("", text))) <= names
        ]
    assert results == []


# What only programs hear, and who types a command: the management API, files that are applied, the
# relay, months that go into files.
FOR_PROGRAMS: Final = (
    "config/management/", "config/apply/", "extensions/import_hubs/",
    "relay/", "dialects/", "tests/", "docs/", "stack/",
    "usage/months/detaching.py",
)  # fmt: skip


def _refusals(path: Path) -> Iterator[ast.Call]:
    """Where a refusal or an error of a form is made."""
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name.endswith("Refused") or name == "ValidationError":
                yield node


def _is_prose(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_prose(node.left)
    words = isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    return words or isinstance(node, ast.JoinedStr)


def test_no_rejection_on_a_page_is_untranslated() -> None:
    """An f-string is found in no catalogue."""
    results = [
        _at(path, node)
        for path in _files(".py")
        if not str(path.relative_to(ROOT)).startswith(FOR_PROGRAMS)
        and not path.stem.endswith("api")
        for node in _refusals(path)
        if any(map(_is_prose, node.args))
    ]
    assert results == []


def test_no_text_is_concatenated_before_translation() -> None:
    """A call with an f-string or a sum is not collected, and finds no translation."""
    results = []
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in nodes_of(path):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in CALLS
                    and any(isinstance(one, ast.JoinedStr | ast.BinOp) for one in node.args)
                ):
                    results.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert results == []


# Pages ------------------------------------------------------------------------------------------

# Names, codes, and words that Chinese takes over.
KEPT = frozenset({
    "Weir", "Slack", "Lark", "IP", "OpenAI", "OpenAPI", "API", "URL", "ID", "UTC", "JSON", "CSV",
    "XLSX", "USD", "US", "RFC", "DNS", "IANA", "https", "curl", "GET", "POST", "PUT", "PATCH",
    "DELETE", "token", "Token",
    "tok", "nano", "null", "slug", "Webhook", "Schema", "Python", "JavaScript", "Enter", "Shift",
    "Esc", "English", "PostgreSQL", "ClickHouse", "Excel", "Parquet", "JSONL", "FOCUS", "kB", "MB",
    "GB", "TB", "Midjourney", "Suno", "midjourney", "suno", "kling", "jimeng", "clickhouse",
})  # fmt: skip
# Names and code in hints and examples, kept only as a whole: `Top P` is a parameter, and a `Top`
# that stands alone is a word left over.
PHRASES = (
    "Top P",
    "Top K",
    "Live 会话",
    "import_hubs",
    "record_sink",
    "content_sink",
    "Open WebUI",
    "LibreChat",
    "Idempotency-Key",
    "weir.yaml",
    "WEIR_KEK",
    "settings 中将其网段加入 egress_allow",
    "chat_completions 或 messages",
    "auto、none、required",
    "eu 或 us-east-1",
    "“mock”",
    "“always”",
    "XXXX",
    "<think>",
    "{{ name }}",
    '{"type": "object"}',
    '{"temperature": 0.2, "logprobs": true}',
)

# Texts that are such a value themselves: a field's, a code block's.
VALUES = frozenset(
    {
        *("auto", "flex", "sh", *ENDPOINTS, *ENDPOINTS.values()),
        *(text for zone in zone_choices() for text in zone),
    }
)

# What the tests below put there: people, names, a dialect, a time zone.
OURS = frozenset(
    "alice bob dora example org core web prod gpt openai east chat stop Acme Stranger Alice Bob"
    " Dora vera Vera upstream_truncated insufficient_balance".replace("_", " ").split()
)


ID = r"\b[0-9A-Z]{26}\b|\b[0-9A-Z]{5}…[0-9A-Z]{4}\b"


@pytest.fixture(scope="module")
def _compiled() -> None:
    """The compiled catalogue is as new as its source; Django reads it once per process."""
    created = CHINESE.with_suffix(".mo")
    if not created.exists() or created.stat().st_mtime < CHINESE.stat().st_mtime:
        pytest.fail(f"The Chinese texts are not compiled. Run: {COMPILE}", pytrace=False)


def _in_chinese(client: Client) -> Client:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    return client


def _english(page: str) -> set[str]:
    """English words that a page shows, but for names, codes and what the tests put there."""
    page_text = " ".join(text for text in _visible(page) if text not in VALUES)
    for phrase in PHRASES:
        page_text = page_text.replace(phrase, "")
    page_text = BLANK.sub("", re.sub(ID, "", page_text))
    return set(WORD.findall(page_text)) - KEPT - OURS


def _read(client: Client, path: str, status: int = 200, **post: str) -> str:
    """The page of that path, or the answer to a form, after a look for English words."""
    response = client.post(path, post) if post else client.get(path)
    assert response.status_code == status, path
    page: str = response.content.decode()
    assert 'lang="zh-hans"' in page, path
    assert _english(page) == set(), path
    return page


def test_leftover_word_is_found() -> None:
    page = (
        '<p title="Cost">费用 <code>code</code> $1 01JCX5T9G7Q2M8K4N6P3R1S0TV</p>'
        '<input alt="Key"><time>2 h ago</time>'
    )
    assert _english(page) == {"Cost", "ago", "Key"}


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/login", 200),
        ("/signup", 200),
        ("/password/reset", 200),
        ("/password/reset/sent", 200),
        ("/password/reset/done", 200),
        ("/password/reset/1-no-such", 200),
        ("/confirm", 200),
        ("/inactive", 200),
        ("/confirm/unknown", 200),
        ("/link/used-up", 410),
        ("/nothing/here", 404),
        ("/api/v1/docs", 200),
        ("/api/v1/docs/operators", 200),
        ("/api/v1/docs/operator-billing", 200),
        ("/api/v1/docs/reconciliation", 200),
        ("/api/v1/docs/subscription-plans", 200),
    ],
)
def test_public_pages_are_chinese(people: Cast, path: str, status: int) -> None:
    _read(_in_chinese(Client()), path, status)


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(
    "path",
    ["", "playground", "usage", "requests", "keys", "keys?q=0", "keys/new",
     "requests?status=error", "usage?range=custom&from=2026-01-01&to=2026-01-02"],
)  # fmt: skip
def test_empty_pages_of_an_organisation_are_chinese(people: Cast, path: str) -> None:
    _read(_in_chinese(signed_in(people.alice)), f"/o/acme/{path}")


@pytest.mark.usefixtures("_compiled")
def test_quieter_pages_of_an_organisation_are_chinese(people: Cast) -> None:
    alice = _in_chinese(signed_in(people.alice))
    for path in (
        "budgets", "budgets/new", "budgets/requests", "limits", "webhooks", "prompts", "prices",
        "billing", "billing?tab=ledger", "billing?tab=topups", "billing/top-ups", "billing/top-up",
        "billing/redeem", "billing/alerts", "billing/holds",
        "playground/history", "playground/embeddings", "playground/votes", "playground/images",
        "playground/gallery", "exports", "views", "views/new?page=usage",
    ):  # fmt: skip
        _read(alice, f"/o/acme/{path}")
    for path in ("/models", "/pricing"):
        _read(alice, path)


@pytest.mark.usefixtures("_compiled")
def test_pages_of_an_active_organisation_are_chinese(people: Cast) -> None:
    key, _ = make_key(people.core, "web-prod", user=people.bob, model_patterns=("gpt-5", "gpt-*"))
    credit(key)
    price_version()
    at = clock.now() - dt.timedelta(hours=2)
    ended = happen(key, at, flags=["crash_cut"], raw_usage={"total": 1})
    broken = happen(key, at, status=502, kind="upstream_truncated", message="")
    refused = refuse(key, at, message="")
    running = admit(key, clock.now())
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
    alice = _in_chinese(signed_in(people.alice))
    usage = _read(alice, "/o/acme/usage")
    _read(alice, "/o/acme/usage/explore?group_by=team&then_by=status")
    assert "0.00042 USD" in usage
    assert f"{at.astimezone(dt.UTC):%Y年}{at.month}月" in usage
    for group in ("key", "user"):
        _read(alice, f"/o/acme/usage?group_by={group}&metric=tokens&range=24h")
    for path in ("", "requests", "keys"):
        _read(alice, f"/o/acme/{path}")
    for record in (ended, broken, refused, running):
        _read(alice, f"/o/acme/requests/{id_text(record.request_id)}")
    _read(alice, f"/o/acme/requests/{id_text(ended.request_id)}/recompute", next="/")
    revoke = f"/o/acme/keys/{id_text(key.id)}/revoke"
    _read(alice, revoke)
    _read(alice, revoke, 422, confirm="another")
    dora = _in_chinese(signed_in(people.dora))
    _read(dora, "/password/change")


@pytest.mark.usefixtures("_compiled")
def test_a_conversation_is_chinese(people: Cast) -> None:
    talk = Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, title="gpt", model="gpt-5"
    )
    asked = Message.objects.create(conversation=talk, role=MessageRole.USER, content="...")
    for state in (RunState.DONE, RunState.STOPPED, RunState.FAILED, RunState.INTERRUPTED):
        request_id = new_id()
        answer = Message.objects.create(
            conversation=talk, parent=asked, role=MessageRole.ASSISTANT, content="...",
            reasoning="...", model="gpt-5", state=state, request_id=request_id,
        )  # fmt: skip
        answer.run = Run.objects.create(
            conversation=talk, user_message=asked, assistant_message=answer, user=people.bob,
            model="gpt-5", token=new_id(), request_id=request_id, state=state,
            process="", ended_at=clock.now(), outcome=OUTCOME,
        )  # fmt: skip
        answer.save()
        page = _read(_in_chinese(signed_in(people.bob)), f"/o/acme/playground/c/{id_text(talk.id)}")
        assert "思考了 1.20 秒" in page
        assert "（读完后计量）" in page


OUTCOME = {
    "status": 200, "kind": "timeout", "message": "", "finish_reason": "length", "thought_ms": 1200,
    "meters": {"in_text": 3, "out_text": 2, "out_reasoning": 7}, "charge_nano": 1_800,
    "basis": "drained", "hold_nano": 9_000, "ttft_ms": 120, "total_ms": 620,
}  # fmt: skip


@pytest.mark.usefixtures("_compiled")
def test_pages_of_the_control_plane_are_chinese(people: Cast) -> None:
    dora = _in_chinese(signed_in(people.dora))
    for path in (
        "channels", "models", "prices", "prices/new", "prices/proposals", "plans", "credits",
        "codes", "payments", "reviews", "health",
    ):  # fmt: skip
        _read(dora, f"/admin/{path}")
    watch()
    _read(dora, "/admin/health")
    channel = Channel.objects.create(
        name="openai-east", provider="openai_compatible", base_url="https://web.example.org/v1"
    )
    Route.objects.create(channel=channel, model="gpt-5", upstream_model="gpt-5-2026")
    Route.objects.create(channel=channel, model="gpt-6*")
    price_version()
    for path in ("/admin/channels", "/admin/models", f"/admin/channels/{id_text(channel.id)}"):
        _read(dora, path)
    passed = [{"name": "address", "ms": 3, "ok": True}, {"name": "connect", "ms": 3, "ok": False}]
    for fault in FAULTS:
        channel.last_test = {
            "ok": False, "at": clock.now().isoformat(), "model": "gpt-5",
            "upstream_model": "gpt-5", "total_ms": 1204, "stages": passed, "fault": fault,
            "status": 500, "detail": "", "body": "...",
        }  # fmt: skip
        channel.save()
        _read(dora, f"/admin/channels/{id_text(channel.id)}")


@pytest.mark.usefixtures("_compiled")
def test_form_errors_are_chinese(people: Cast, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    save_sign_up(SYSTEM, mode="open", captcha=False)
    visitor = _in_chinese(Client())
    _read(visitor, "/login", login="alice", password="")
    page = _read(visitor, "/login", login="alice@example.org", password="wrong password")
    assert "邮箱或密码不正确。" in page
    page = _read(visitor, "/signup", email="eve@example.org", password1="short")
    assert "密码太短，至少 10 个字符。" in page
    alice = _in_chinese(signed_in(people.alice))
    page = _read(alice, "/o/acme/keys/new", 422, name="", kind="gpt", lifetime="3")
    assert "此项必填。" in page
    created = _read(alice, "/o/acme/keys/new", name="web-prod", kind="relay", lifetime="7")
    assert "请立即复制此密钥，之后无法再次查看。" in created
    _read(alice, "/password/change", oldpassword="no", password1="a", password2="b")


@pytest.mark.usefixtures("_compiled")
def test_rejections_are_chinese(people: Cast) -> None:
    bob = _in_chinese(signed_in(people.bob))
    bob.handler.enforce_csrf_checks = True
    assert "表单已失效" in _read(bob, "/o/acme/keys/new", 403, name="web-prod")
    vera = member(people.acme, "vera", Role.VIEWER)
    page = _read(_in_chinese(signed_in(vera)), "/o/acme/keys/new", 403)
    assert "需要开发者角色，可由组织所有者授予。" in page


@pytest.mark.usefixtures("_compiled")
def test_emails_are_chinese(people: Cast) -> None:
    visitor = _in_chinese(Client())
    for address in ("alice@example.org", "nobody@example.org"):
        visitor.post("/password/reset", {"email": address})
    for letter in mail.outbox:
        text = ADDRESS.sub("", f"{letter.subject} {letter.body}")
        assert set(WORD.findall(text)) <= {"Weir"}
    assert len(mail.outbox) == 2


@pytest.mark.usefixtures("_compiled")
def test_a_browser_that_asks_for_chinese_gets_it(people: Cast) -> None:
    answer = Client().get("/login", headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"})
    page = squeezed(answer.content.decode())
    assert 'lang="zh-hans"' in page
    # Who does not read Chinese finds the way out: a language is called by its own name.
    assert ">English</button>" in page


@pytest.mark.usefixtures("_compiled")
def test_library_texts_match_the_tone_of_the_pages(people: Cast) -> None:
    """What a library no longer says would stay in our catalogue, and change nothing."""
    with (ROOT / "locale/en/LC_MESSAGES/django.po").open("rb") as source:
        ours = [message for message in read_po(source, locale="en") if message.id]
    text = "".join(
        (Path(library.__path__[0]) / "locale/de/LC_MESSAGES/django.po").read_text()
        for library in (allauth, conf, auth)
    )
    for message in ours:
        asked = [message.id] if isinstance(message.id, str) else list(message.id)
        assert f'"{asked[0]}"' in text.replace('"\n"', ""), asked
        assert [*map(_placeholders, asked)] == [*map(_placeholders, _forms(message))]
    page = Client().post("/login", {"login": "nobody@example.org", "password": "wrong"})
    assert "The email address or password is not correct." in page.content.decode()
