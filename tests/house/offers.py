"""What a page offers its reader: forms as a browser sends them, with every choice of theirs, and
what comes of it. Nothing of it stays."""

import datetime as dt
import inspect
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from html import unescape
from html.parser import HTMLParser
from typing import Any, Final, TypeVar

import pytest
from django.contrib.messages import constants
from django.contrib.messages.storage.base import BaseStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.urls import Resolver404, resolve

from lib import clock
from tests.config.test_every_write import QUIET
from tests.isolation.cells import methods, page_routes
from tests.isolation.table import PAGES

CHOICES_MAX: Final = 8
"""Of a longer list, such as that of time zones, some are sent, evenly spread."""
OFFERING: Final = frozenset(
    {
        "invitations", "roles", "service_accounts", "webhooks", "webhook", "top_up", "teams",
        "team", "members", "member", "keys", "key", "budgets", "budget", "budget_log", "raises",
        "raise", "sessions", "session", "request", "usage_marks", "provider_keys", "conversation",
        "earlier", "in_step", "chat_menu", "share", "prompt", "key_rotate", "compare", "playground",
        "exports", "views", "gallery", "log_rules", "policies", "policy", "policy_try",
        "request_conversation", "end_users",
    }
)  # fmt: skip
"""The pages of an organisation that offer to change one of its objects."""
_FORM: Final = re.compile(r"<form\b.*?</form>", re.DOTALL)
_LOOSE: Final = re.compile(r"<(?:input|button)\b[^>]*\sform=\"[^\"]+\"[^>]*>", re.DOTALL)
_LINK: Final = re.compile(r'\b(?:href|hx-get)="(/[^"#]*)')
_ERROR: Final = re.compile(r'<div class="error" id="id_(\w+)_error">(.*?)</div>', re.DOTALL)
_CHOICE: Final = re.compile(r'data-value="([^"]*)"')
_WORDS: Final = re.compile(r"<[^>]+>|\s+")
_WRITTEN: Final = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "?([a-z]+_\w+)')
_BUTTONS: Final = ("submit", "image", "reset", "button")
_UNSEEN: Final = ("hidden", *_BUTTONS)


@dataclass
class Field:
    """A field of a form: the values that it sends untouched, and those it lets somebody choose."""

    name: str
    type: str
    of: Mapping[str, str]
    values: list[str] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    picker: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_seen(self) -> bool:
        return self.type not in _UNSEEN

    @property
    def filling(self) -> str:
        """What somebody would enter who has nothing in mind."""
        tomorrow = clock.now() + dt.timedelta(days=1)
        return {
            "email": "new@example.org",
            "number": self.of.get("min") or "1",
            "url": "http://127.0.0.1:9/made",
            "date": f"{tomorrow:%Y-%m-%d}",
            "month": f"{tomorrow:%Y-%m}",
            "datetime-local": f"{tomorrow:%Y-%m-%dT%H:%M}",
        }.get(self.type) or ("1" if self.of.get("inputmode") else "made")


@dataclass
class Form:
    """A form of a page, and the buttons that send it: what each adds, and where it sends it to."""

    of: Mapping[str, str]
    fields: list[Field] = field(default_factory=list)
    buttons: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def is_one_press(self) -> bool:
        """Whether there is nothing to fill in."""
        return not any(one.is_seen for one in self.fields)

    def sends(self, **over: str) -> dict[str, Any]:
        """What it sends as it is, required fields filled in."""
        data: dict[str, Any] = {}
        for one in self.fields:
            if one.type == "file":
                if "required" in one.of:
                    data[one.name] = SimpleUploadedFile("made.csv", b"a,b\n1,2\n")
                continue
            values = list(one.values)
            # A row of a list is ticked before its buttons are there.
            if one.name == "id" and one.type == "checkbox":
                values = one.choices[:1]
            if "required" in one.of and not any(values):
                values = one.choices[-1:] if one.choices else [one.filling]
            if values:
                data.setdefault(one.name, []).extend(values)
        return data | over


class _Reader(HTMLParser):
    """The forms of a text; what stands outside of them and names one comes behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select: Field | None = None
        self._picker: Mapping[str, str] = {}
        self._option: str | None = None

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(of))
        if not self.forms:
            return
        form = next((one for one in self.forms if one.of.get("id") == of.get("form")), None)
        form = form if form and "form" in of else self.forms[-1]
        if "data-picker" in of:
            self._picker = of
        if tag == "button":
            # One that is neither seen nor pressed keeps Enter from pressing another.
            nobodys = {"hidden", "disabled"} <= of.keys()
            if of.get("type", "submit") == "submit" and not nobodys:
                form.buttons.append(of)
        elif tag == "option" and self._select is not None:
            if "disabled" not in of:
                self._select.choices.append(of.get("value", ""))
                if "selected" in of:
                    self._select.values.append(of.get("value", ""))
        elif tag in ("input", "select", "textarea"):
            picker, self._picker = self._picker, {}
            if of.get("name") and "disabled" not in of:
                self._add(form, tag, of, picker)

    def _add(self, form: Form, tag: str, of: Mapping[str, str], picker: Mapping[str, str]) -> None:
        type = of.get("type", "text") if tag == "input" else tag
        known = next((one for one in form.fields if one.name == of["name"]), None)
        if type in _BUTTONS:
            form.buttons.append(of)
        elif type in ("radio", "checkbox") and known and known.type == type:
            known.choices.append(of.get("value", "on"))
            known.values += [of.get("value", "on")] if "checked" in of else []
        else:
            one = Field(of["name"], type, of, picker=picker)
            if type in ("radio", "checkbox"):
                one.choices = [of.get("value", "on")]
                one.values = one.choices[:] if "checked" in of else []
            elif tag == "input":
                one.values = [of.get("value", "")]
            self._select = one if tag == "select" else None
            self._option = "" if tag == "textarea" else None
            form.fields.append(one)

    def handle_data(self, data: str) -> None:
        if self._option is not None:
            self._option += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._option is not None:
            self.forms[-1].fields[-1].values = [self._option.strip("\n")]
            self._option = None
        if tag == "select" and self._select is not None:
            one, self._select = self._select, None
            if not one.values and "multiple" not in one.of:
                one.values = one.choices[:1]


def body_of(text: str) -> str:
    """A page without what every page has around it."""
    return text.partition("<main")[2].partition("</main>")[0] or text


def forms_of(text: str) -> list[Form]:
    """The forms of a page or part, in the order in which they stand there."""
    reader = _Reader()
    reader.feed("".join((*_FORM.findall(text), *_LOOSE.findall(_FORM.sub("", text)))))
    return reader.forms


def links_of(text: str) -> set[str]:
    """The addresses to which it links, and from which it lets htmx fetch."""
    return {unescape(path) for path in _LINK.findall(text)}


def name_of(path: str) -> str:
    """The page to which an address leads; "" for a file and for what is no page."""
    try:
        name = resolve(path.partition("?")[0]).url_name or ""
    except Resolver404:
        return ""
    is_plain = name in PAGES and not inspect.iscoroutinefunction(page_routes()[name][1])
    return name if is_plain else ""


def takes_post(name: str) -> bool:
    return name in PAGES and "POST" in methods(name)


# What of an answer a browser acts on.
_ACTED_ON: Final = ("Location", "HX-Redirect", "HX-Location", "HX-Push-Url", "HX-Replace-Url",
                    "HX-Refresh", "HX-Retarget", "HX-Reswap", "HX-Reselect", "HX-Trigger",
                    "Content-Disposition")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of a press: the answer, what of it is a warning, the tables that were written and
    where they take it back; all that it says beside its text, and what it left in the tables."""

    status: int
    text: str
    said: tuple[str, ...]
    written: frozenset[str]
    undo: str
    beside: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.status < 400 and not self.errors

    @property
    def errors(self) -> dict[str, str]:
        """What it says of each field."""
        found = _ERROR.findall(self.text)
        return {name: _WORDS.sub(" ", error).strip() for name, error in found}


@dataclass
class Reader:
    """Somebody with a browser, who presses what they see. `left` knows what a write left that
    wrote to some tables and began then."""

    client: Client
    left: Callable[[frozenset[str], dt.datetime], Sequence[str]] = lambda tables, began: ()

    def get(self, path: str, *, whole: bool = False) -> Outcome:
        """Ask for a page, or for the part or dialog that htmx asks for."""
        return self._ask("GET", path, whole=whole)

    def press(self, path: str, data: Mapping[str, Any]) -> Outcome:
        """Send a form, and take back whatever it changed."""
        return self._ask("POST", path, data)

    def undone(self, path: str, data: Mapping[str, Any], tables: frozenset[str]) -> list[str]:
        """The tables whose rows are not what they were before a press that was undone."""
        before = {table: _rows_of(table) for table in tables}
        with _taken_back():
            undo = self._sent("POST", path, data).undo
            outcome = self._sent("POST", undo, {})
            after = {table: _rows_of(table) for table in tables}
        wrong = [] if outcome.status < 400 else [f"{undo} answers {outcome.status}"]
        return wrong + [table for table in sorted(tables) if before[table] != after[table]]

    def _ask(
        self, method: str, path: str, data: Mapping[str, Any] | None = None, *, whole: bool = False
    ) -> Outcome:
        with _taken_back():
            began = clock.now()
            outcome = self._sent(method, path, data, whole=whole)
            return replace(outcome, left=(*self.left(outcome.written, began),))

    def _sent(
        self, method: str, path: str, data: Mapping[str, Any] | None = None, *, whole: bool = False
    ) -> Outcome:
        kept = deepcopy(self.client.cookies)
        said: list[tuple[int, str, str]] = []
        written: set[str] = set()
        try:
            with _noting(said, written):
                headers = {} if whole else {"HX-Request": "true"}
                if method == "GET":
                    response: Any = self.client.get(path, headers=headers)
                else:
                    response = self.client.post(path, data, headers=headers)
                text = "" if response.streaming else response.content.decode(errors="replace")
        finally:
            self.client.cookies = kept
        events = response.get("HX-Trigger", "")
        toast = json.loads(events).get("toast", {}) if events[:1] == "{" else {}
        undo = toast.get("post") or next((tags for _, _, tags in said if tags[:1] == "/"), "")
        bad = [words for level, words, _ in said if level >= constants.WARNING]
        bad += [toast["text"]] if toast.get("tone") == "bad" else []
        beside = [f"{name}: {response[name]}" for name in _ACTED_ON if name in response]
        beside += [
            " ".join(filter(None, (f"{constants.DEFAULT_TAGS[level]}:", words, tags)))
            for level, words, tags in said
        ]
        return Outcome(response.status_code, text, (*bad,), frozenset(written), undo, (*beside,))


@contextmanager
def _noting(said: list[tuple[int, str, str]], written: set[str]) -> Iterator[None]:
    add = BaseStorage.add

    def adding(self: Any, level: int, message: Any, extra_tags: str = "") -> None:
        said.append((level, str(message), extra_tags))
        add(self, level, message, extra_tags)

    with pytest.MonkeyPatch.context() as patch, noting_tables(written):
        patch.setattr(BaseStorage, "add", adding)
        yield


@contextmanager
def noting_tables(written: set[str]) -> Iterator[None]:
    """The tables that statements write meanwhile."""

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        written.update({*_WRITTEN.findall(str(sql))} - _UNCOUNTED)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield


# What a sign-in writes, and what every write does.
_UNCOUNTED: Final = frozenset(
    {"django_session", "usersessions_usersession", "accounts_keyuse", "accounts_epoch"}
)
APPENDED: Final = frozenset({"accounts_auditevent", "outbox_fact"})
"""What no undo takes back."""


@contextmanager
def _taken_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


_FREE: Final = {
    # It counts the changes of budgets.
    "billing_account": "guards",
    # A window is made anew.
    "billing_budgetwindow": "id",
    # Which message is the last of a chat; without one, it is the newest.
    "playground_conversation": "leaf_id",
}


def _rows_of(table: str) -> list[str]:
    with connection.cursor() as cursor:
        query = f"SELECT (to_jsonb(t) - %s::text)::text FROM {table} t ORDER BY 1"
        cursor.execute(query, [_FREE.get(table, "")])
        return [row for (row,) in cursor.fetchall()]


_T = TypeVar("_T")


def spread(values: Sequence[_T], most: int = CHOICES_MAX) -> Sequence[_T]:
    """So many of the values at most, the first and others in even steps."""
    step = -(-len(values) // most) or 1
    return values[::step]


def choices_of(reader: Reader, one: Field, sent: Mapping[str, Any]) -> Sequence[str]:
    """The values that a field lets somebody choose: its own, or those that its list shows."""
    if address := one.picker.get("data-picker", ""):
        beside = one.picker.get("data-beside", "")
        query = {"q": "", **({beside: sent.get(beside, "")} if beside else {})}
        with _taken_back():
            response: Any = reader.client.get(address, query)
        return [unescape(value) for value in _CHOICE.findall(response.content.decode())]
    return one.choices if one.type in ("select", "radio") else ()


@dataclass(frozen=True)
class Press:
    """A button of a page that somebody sees, with its form and where that is sent to."""

    page: str
    path: str
    form: Form
    button: Mapping[str, str]

    @property
    def name(self) -> str:
        """The page that takes it."""
        return name_of(self.path)

    @property
    def key(self) -> str:
        """What names it: where it is sent to, and what its button adds."""
        return f"{self.path} {self.button.get('name', '')}={self.button.get('value', '')}"

    @property
    def shape(self) -> tuple[object, ...]:
        """What is pressed once of all that are alike: rows of a list, and lists of one kind."""
        fields = [one.name for one in self.form.fields]
        return (self.name, self.button.get("name"), self.button.get("value"), *sorted({*fields}))

    def data(self, **over: Any) -> dict[str, Any]:
        data = self.form.sends()
        if self.button.get("name"):
            data[self.button["name"]] = self.button.get("value", "")
        return data | over


def presses_of(page: str, path: str, text: str) -> Iterator[Press]:
    """Every button of a page that sends a form to one of ours that is no stream."""
    for form in forms_of(text):
        if form.of.get("method") == "post":
            # One without a button is sent by a script, or by nobody.
            for button in form.buttons or ([{}] if "hx-trigger" in form.of else []):
                to = unescape(button.get("formaction") or form.of.get("action") or path)
                if takes_post(name_of(to)):
                    yield Press(page, to, form, button)


REFUSED: Final = (403, 404, 405)


def faults_of(press: Press, outcome: Outcome) -> Iterator[str]:
    """What is wrong with the answer to whoever was offered a button."""
    if outcome.status in REFUSED or outcome.status >= 500:
        yield f"answers {outcome.status}"
    if press.form.is_one_press:
        yield from outcome.said
        yield from outcome.errors.values()
        if outcome.status == 422:
            yield "is refused"
        # What answers with a page shows something.
        if outcome.status in (204, 302, 303) and not outcome.written and press.name not in QUIET:
            yield "does nothing"


def filled(reader: Reader, press: Press, data: dict[str, Any]) -> tuple[Outcome, dict[str, Any]]:
    """The answer to a form in which somebody has corrected what it complained about."""
    outcome = reader.press(press.path, data)
    for _ in range(2):
        wrong = [one for one in press.form.fields if one.name in outcome.errors and one.is_seen]
        if not wrong:
            break
        for one in wrong:
            choices = choices_of(reader, one, data)
            data = data | {one.name: choices[0] if any(choices) else one.filling}
        outcome = reader.press(press.path, data)
    return outcome, data


def faults_of_choices(
    reader: Reader, press: Press, outcome: Outcome, data: Mapping[str, Any], every_choice: bool
) -> Iterator[tuple[str, str]]:
    """The choices of a form that are refused, each sent with the rest of what is accepted: the
    field, and what is wrong. Without `every_choice`, one of each field is sent.

    What is accepted together is so one by one: the choices of all fields are sent at once, and
    alone where that is refused."""
    values = defaultdict[str, list[str]](list)
    for one in press.form.fields:
        every = spread([value for value in choices_of(reader, one, data) if value])
        values[one.name] += every if every_choice else every[-1:]
    for place in range(max(map(len, values.values()), default=0)):
        together = {
            name: some[place]
            for name, some in values.items()
            if place < len(some)
            if name in outcome.errors or data.get(name) not in (some[place], [some[place]])
        }
        at_once = len(together) > 1 and outcome.accepted
        if at_once and reader.press(press.path, {**data, **together}).accepted:
            continue
        for one in {one.name: one for one in press.form.fields}.values():
            if one.name in together:
                yield from _faults_of_choice(reader, press, one, data, together[one.name])


def _faults_of_choice(
    reader: Reader, press: Press, one: Field, data: Mapping[str, Any], value: str
) -> Iterator[tuple[str, str]]:
    for other in _others(reader, press, one, data):
        tried = reader.press(press.path, {**data, **other, one.name: value})
        if one.name not in tried.errors:
            break
    if tried.status in REFUSED or tried.status >= 500:
        yield one.name, f"answers {tried.status} to {one.name}={value!r}"
    elif one.name in tried.errors:
        yield one.name, f"refuses {one.name}={value!r}: {tried.errors[one.name]}"


def _others(
    reader: Reader, press: Press, chosen: Field, data: Mapping[str, Any]
) -> Iterator[dict[str, str]]:
    """What else may be chosen beside a choice: nothing, or another value of one field. Some choices
    are good for some of these alone, such as a person for their team."""
    yield {}
    for one in press.form.fields:
        if one is not chosen:
            for value in spread(choices_of(reader, one, data)):
                if data.get(one.name) not in (value, [value]):
                    yield {one.name: value}


def faults_of_offer(
    reader: Reader, press: Press, outcome: Outcome, data: Mapping[str, Any], *, every_choice: bool
) -> Iterator[str]:
    """What is wrong with a button that was answered so to its form, with its choices, and with the
    way back that the answer offers; and with a form that nobody could fill in."""
    where = f"{press.page}: {press.key}"
    if press.name not in REFUSED_HERE:
        yield from (f"{where} {fault}" for fault in faults_of(press, outcome))
    if press.name not in NEEDS and (outcome.status == 422 or outcome.errors):
        yield f"{where} is not accepted: {outcome.errors} {outcome.said}"
    for field_name, fault in faults_of_choices(reader, press, outcome, data, every_choice):
        if (press.name, field_name) not in REFUSED_CHOICES:
            yield f"{where} {fault}"
    if outcome.undo:
        tables = outcome.written - APPENDED
        yield from (
            f"{where} is undone otherwise: {fault}"
            for fault in reader.undone(press.path, data, tables)
        )


ASKS_OTHERS: Final = frozenset(
    {
        "catalogue_update", "channel_models_fetch", "channel_new_models", "channel_new_test",
        "channel_test", "mail_server_test", "route_preview", "single_sign_on",
    }
)  # fmt: skip
"""What asks another machine, or a relay; the tests of each have one that answers."""
REFUSED_HERE: Final = {
    "message_rate": "the request of an answer is not in this world",
    "document_propose": "the books of this world are not sealed",
}
REFUSED_CHOICES: Final = {
    ("alias", "target"): "the list is of every model; the message names the cycle",
    ("organisation_add_member", "role"): "the dialog says first whom an operator can add",
    ("sign_up_settings", "mode"): "the message asks for a mail server first",
}
_SECRET: Final = "it asks for a password or a code"
_NAME: Final = "it asks for the name of what is to end"
_OF_THIS_WORLD: Final = "it asks for something that this world does not have"
NEEDS: Final = {
    "account_change_password": _SECRET,
    "account_reauthenticate": _SECRET,
    "account_set_password": _SECRET,
    "mfa_activate_totp": _SECRET,
    "mfa_reauthenticate": _SECRET,
    "redeem": _SECRET,
    "code_kill": _NAME,
    "key_revoke": _NAME,
    "member_erase": _NAME,
    "organisation_archive": _NAME,
    "own_erasure": _NAME,
    "person_erase": _NAME,
    "webhook_remove": _NAME,
    "bill_new": _OF_THIS_WORLD,
    "channel_overrides": _OF_THIS_WORLD,
    "document_note": _OF_THIS_WORLD,
    "document_payment": _OF_THIS_WORLD,
    "exchange_rate_add": _OF_THIS_WORLD,
    "limit_create": _OF_THIS_WORLD,
    "operator_alert_create": _OF_THIS_WORLD,
    "organisation_add_member": _OF_THIS_WORLD,
    "raise_deny": "it asks for a reason",
    "view_new": "it saves the page on which it was opened",
    "tax_rate_add": _OF_THIS_WORLD,
    "webhook_create": _OF_THIS_WORLD,
}
"""The forms that are not accepted as somebody fills them in who has nothing in mind."""
