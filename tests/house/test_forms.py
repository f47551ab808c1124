"""Every form of every template works without script, once, and from our pages alone.

Read off the templates, because no test opens each of them in each state (W32, "Requests of a
browser").
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
_QUOTED = r"(?:[^>\"']|\"[^\"]*\"|'[^']*')*"
_FORM = re.compile(rf"<form\b({_QUOTED})>(.*?)</form>", re.DOTALL)
TAG = re.compile(rf"<([a-z]+)\b({_QUOTED})>", re.DOTALL)
_TOKEN = re.compile(r'\{% csrf_token %\}|name="csrfmiddlewaretoken" value="\{\{ csrf_token \}\}"')
# The attributes and the hidden fields of a form that stand in a template of their own.
_INCLUDED = re.compile(
    r'\{% include "(playground/(?:\w+/)?_(?:composer_attributes|again_fields)\.html)"[^%]*%\}'
)
# Buttons of what a script alone has put there: the page without it has no such state. Scripts send
# the token in a header.
OF_SCRIPTS = {
    "playground/panel/_turn_cost.html", "playground/rendering/_slow.html",
    "playground/turns/_thumbs.html",
}  # fmt: skip
# Their first buttons belong to rows of checkboxes, and move a row.
OF_ROWS = {"components/table_columns.html", "components/table.html"}
_INCLUDE = re.compile(r'\{% include "([^"]+)"([^%]*)%\}')
# The bar of selected rows: what each list has of its own stands behind what all have.
_BULK = re.compile(r"\{% bulk %\}(.*?)\{% endbulk %\}", re.DOTALL)
_BAR = re.compile(r'id="bulk"[^>]*>(.*?)\{\{ bulk_html \}\}', re.DOTALL)
_NO_LINES = {"hidden", "file", "range", "radio"}
# Only the attributes of a form that is there already; its fields stay.
MORPHED = {
    "playground/turns/_begun.html",
    "playground/chats/_in_step.html",
    "playground/rendering/_released.html",
}

_COMPOSER = "#composer, [form=composer]"
# What each address reads of fields that stand in another form than the element that asks for it.
SENT_ALONG = {
    "{{ code_url }}": _COMPOSER,
    "{{ draft_url }}": _COMPOSER,
    "{{ runs_url }}": _COMPOSER,
    "{% url 'bound' slug %}": "#composer",
    "{% url 'chat_summarise' slug %}": "#composer",
    "{% url 'check' slug 'schema' %}": "#composer",
    "{% url 'draft_code' slug %}": _COMPOSER,
    "{% url 'draft_debug' slug %}": _COMPOSER,
    "{% url 'embedding_bound' slug %}": "#embed",
    "{% url 'params' slug %}": "#composer",
    "{% url 'payer_choose' slug %}": "#pay-key, #pay-project",
    "{% url 'preset_save' slug %}": _COMPOSER,
    "{% url 'prompt_save' slug %}": _COMPOSER,
    "{% url 'realtime_bound' slug %}": "#realtime-form",
    "{% url 'realtime_code' slug %}": "#realtime-form",
    "{% url 'schema_from_example' slug %}": "#set-schema",
    "{% url 'tools_add' slug %}": "#set-tools",
    "{% url 'variables' slug %}": "#composer",
    "get {% url 'channel_new' %}": "#proposed",
}
# A form with one of these goes on from an answer, with the model and settings that it had.
_OF_AN_ANSWER = re.compile(r'name="(?:as_before|answered)"')


class Form(NamedTuple):
    where: str
    attributes: dict[str, str]
    inside: str

    @property
    def posts(self) -> bool:
        return self.attributes.get("method") == "post"


def attributes(text: str) -> dict[str, str]:
    """The attributes of a tag; where one stands in several branches, the last."""
    matches = re.findall(r"""([a-z][a-z:-]*)=("[^"]*"|'[^']*')""", text)
    return {name: value[1:-1] for name, value in matches}


def templates() -> Iterator[tuple[str, str]]:
    folder = ROOT / "templates"
    for path in sorted(folder.rglob("*.html")):
        where = str(path.relative_to(folder))
        # The page of the design's parts sends nothing.
        if not where.startswith("design/"):
            yield where, path.read_text()


def forms() -> Iterator[Form]:
    for where, text in templates():
        whole = _INCLUDED.sub(lambda found: (ROOT / "templates" / found[1]).read_text(), text)
        for forms in _FORM.finditer(whole):
            yield Form(where, attributes(forms[1]), forms[2])


FORMS = [pytest.param(form, id=f"{form.where}-{n}") for n, form in enumerate(forms())]


def test_every_form_is_covered() -> None:
    written = sum(len(re.findall(r"<form\b", text)) for _, text in templates())
    assert written == len(FORMS) > 100


@pytest.mark.parametrize("form", FORMS)
def test_form_states_its_method_and_a_post_its_token(form: Form) -> None:
    """A GET would put the token into an address, and the address into logs."""
    assert form.attributes.get("method") in ("get", "post", "dialog")
    if form.where not in MORPHED | OF_SCRIPTS:
        assert bool(_TOKEN.search(form.inside)) is form.posts


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_sent_the_same_with_and_without_script(form: Form) -> None:
    if "hx-post" in form.attributes:
        assert form.posts
        assert form.attributes["action"] == form.attributes["hx-post"]
    if "hx-get" in form.attributes:
        assert form.attributes["method"] == "get"
    if form.attributes.get("enctype") or form.attributes.get("hx-encoding"):
        assert form.attributes["hx-encoding"] == form.attributes["enctype"]


@pytest.mark.parametrize("form", FORMS)
def test_a_button_goes_where_its_form_does_or_says_where(form: Form) -> None:
    for tag, text in TAG.findall(form.inside):
        result = attributes(text)
        if tag != "button" or "hx-post" not in result or form.where in OF_SCRIPTS:
            continue
        plain = result.get("formaction") or form.attributes.get("action")
        assert result["hx-post"] == plain, text


def sent_along() -> Iterator[tuple[str, str, str]]:
    """Of each element that asks for an address: where it is, the address, and what it sends of
    other forms. The composer, and a form with an answer's own fields, have their own."""
    for where, text in templates():
        page = _INCLUDED.sub(lambda found: (ROOT / "templates" / found[1]).read_text(), text)
        for tag in TAG.finditer(page):
            of = attributes(tag[2])
            address = of.get("hx-post") or f"get {of.get('hx-get', '')}"
            address = address.partition("?")[0].replace("ending.", "")
            included = of.get("hx-include", "")
            inside = page[tag.end() :].partition("</form>")[0] if tag[1] == "form" else ""
            has_its_own = of.get("id") == "composer" or _OF_AN_ANSWER.search(inside)
            if "#" in included or (address in SENT_ALONG and not has_its_own):
                yield where, address, included


def test_fields_of_another_form_are_sent_from_everywhere() -> None:
    """What the view reads of them would be missing without a word, from one button of several."""
    sent = list(sent_along())
    assert [one for one in sent if SENT_ALONG.get(one[1]) != one[2]] == []
    assert {address for _, address, _ in sent} == SENT_ALONG.keys()
    ids = set(re.findall(r'\bid="([\w-]+)"', "".join(text for _, text in templates())))
    assert set(re.findall(r"#([\w-]+)", " ".join(SENT_ALONG.values()))) - ids == set()


def whole(text: str, inside: tuple[str, ...] = ()) -> str:
    """A template with all that it includes, and the texts that it gives to them."""

    def include(found: re.Match[str]) -> str:
        path = ROOT / "templates" / found[1]
        if found[1] in inside or not path.exists():
            return ""
        result = whole(path.read_text(), (*inside, found[1]))
        for name, value in re.findall(r'(\w+)="([^"]*)"', found[2]):
            result = result.replace(f"{{{{ {name} }}}}", value)
        return result

    return _INCLUDE.sub(include, text)


def choices_of_enter() -> Iterator[tuple[str, str, list[str]]]:
    """Of each form with a field of one line and several buttons that send it, with all that belongs
    to it from elsewhere on the page: where it is, its id, and the buttons."""
    bar = _BAR.findall((ROOT / "templates/components/table.html").read_text())[0]
    for where, text in templates():
        page = _BULK.sub(rf'<form id="bulk">{bar}\1</form>', whole(text))
        tags = [(tag.start(), tag[1], tag[2]) for tag in TAG.finditer(page)]
        for form in _FORM.finditer(page):
            id = attributes(form[1]).get("id", "")
            own = [
                (tag, inside)
                for at, tag, inside in tags
                if attributes(inside).get("form", id if form.start(2) <= at < form.end() else None)
                == id
            ]
            fields = [attributes(inside) for tag, inside in own if tag == "input"]
            lines = [its for its in fields if its.get("type", "text") not in _NO_LINES]
            buttons = [
                inside
                for tag, inside in own
                if tag == "button" and attributes(inside).get("type", "submit") == "submit"
            ]
            if lines and len(buttons) > 1:
                yield where, id, buttons


def test_enter_in_a_field_presses_the_main_button() -> None:
    """Browsers press the first button of a form that sends it, seen or not, and none if this one is
    disabled (HTML, implicit submission). Nothing happens by a button that shows a preview."""
    wrong = []
    for where, id, buttons in choices_of_enter():
        its = attributes(buttons[0])
        states = set(re.sub(r'"[^"]*"', "", buttons[0]).split()) & {"hidden", "disabled"}
        main = its.get("data-kind") == "primary" or its.get("value") == "preview"
        plain = states == {"hidden"} and not {"name", "formaction", "hx-post"} & set(its)
        if not main and not plain and "disabled" not in states and not OF_ROWS & {where}:
            wrong.append(f"{where} {id}: {buttons[0]}")
    assert wrong == []


def test_what_is_saved_is_what_was_reviewed() -> None:
    """A review and its button stay on the page while fields change, and Enter presses it."""
    pages = [(where, whole(text)) for where, text in templates()]
    saving = [
        (where, 'name="reviewed"' in page)
        for where, page in pages
        if re.search(r'<button\b[^>]*name="save"', page)
    ]
    assert [where for where, reviewed in saving if not reviewed] == []
    assert len(saving) > 3


def test_button_outside_a_form_states_its_target_too() -> None:
    results = []
    for where, text in templates():
        for tag, inside in TAG.findall(_FORM.sub("", text)):
            of = attributes(inside)
            if tag != "button" or "hx-post" not in of or where in OF_SCRIPTS:
                continue
            if of.get("formaction") != of["hx-post"] or "form" not in of:
                results.append(f"{where}: {inside}")
    assert results == []


def test_every_page_gives_its_token_to_scripts() -> None:
    """What is sent by a script and by no form has it in a header."""
    folder = ROOT / "templates"
    for name in ("base.html", "base_plain.html"):
        text = (folder / name).read_text()
        assert """hx-headers:inherited='{"X-CSRFToken": "{{ csrf_token }}"}'""" in text, name


def test_every_attribute_value_is_quoted() -> None:
    """A blank in it would begin another attribute: escaping keeps only quotes and signs."""
    results = [
        f"{where}: {text}"
        for where, html in templates()
        for _, text in TAG.findall(html)
        if re.search(r"=\{[{%]", re.sub(r"\"[^\"]*\"|'[^']*'", '""', text))
        and "{% include" not in text
    ]
    assert results == []
