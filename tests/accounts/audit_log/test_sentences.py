"""Every kind of audit event is a sentence in both languages; its machine form stays in the fold."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from django.test import Client
from django.utils import translation

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.audit_log import log as audit_log
from accounts.audit_log.sentences import kinds_of, sentence_html, sentence_text
from accounts.audit_log.words import ACTS, OBJECTS, SENTENCES
from accounts.keys import keys
from accounts.models import AuditEvent, Team
from billing.models import ApprovalState, BudgetScope
from billing.topups.rules import EventKind
from gateway.models.catalogue import FactState
from lib.ids import id_text
from tests.house.parsed import tree_of
from tests.house.test_style import ROOMS, ROOT
from tests.support.cast import Cast, actor, make_key, signed_in
from usage.limits import budget_simulation

LANGUAGES: Final = ("en", "zh-hans")
KIND: Final = re.compile(r"[a-z_]+\.[a-z_]+")
# What only a machine says: names of events and fields, and ids.
MACHINE: Final = re.compile(r"[a-z]+[._][a-z]+|[0-9A-HJKMNP-TV-Z]{26}|[{}<>]")
# The kinds that are made of two parts, as they are written in the code.
COMPOSED: Final = {
    "f'approval.{state}'": [
        f"approval.{one}" for one in ApprovalState if one != ApprovalState.WAITING
    ],
    "f'raise.{state}'": ["raise.approved", "raise.denied"],
    "f'payment.{event.kind}'": [f"payment.{kind}" for kind in get_args(EventKind)],
    "f'model.proposal_{state.value}'": [
        f"model.proposal_{one}" for one in FactState if one != FactState.OPEN
    ],
    "f'{kind.level}.plan'": ["organisation.plan", "team.plan", "member.plan"],
    "f'{noun}.changed'": ["organisation.changed", "team.changed"],
    "f\"{('member' if isinstance(locked, Membership) else locked._meta.model_name)}.limited\"": [
        "organisation.limited", "team.limited", "member.limited",
    ],
}  # fmt: skip


# Where kinds are written.
WRITING: Final = ("audit.record", "change_row", "_Recorded")


# The kinds that the code writes -------------------------------------------------------------------


@cache
def _texts() -> Mapping[Path, str]:
    return {path: path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")}


def _trees(*words: str) -> Iterator[ast.Module]:
    """The files in which one of the words stands."""
    found = (path for path, text in _texts().items() if any(word in text for word in words))
    return map(tree_of, found)


@cache
def _calls_by_name(tree: ast.AST) -> dict[str, list[ast.Call]]:
    calls: dict[str, list[ast.Call]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    calls.setdefault(name, []).append(node)
    return calls


def _calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return _calls_by_name(tree).get(name, [])


def _values(node: ast.expr) -> Iterator[str]:
    """The kinds that an expression can be; nothing for a name."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield from COMPOSED[ast.unparse(node)]
    elif isinstance(node, ast.IfExp):
        yield from (*_values(node.body), *_values(node.orelse))


def _named(tree: ast.Module, function: ast.FunctionDef, name: str) -> Iterator[str]:
    """The kinds that a name of a function holds: assigned there, or passed by any caller."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            yield from _values(node.value)
    if name in {one.arg for one in function.args.args}:
        for other in _trees(function.name):
            for caller in _functions(other):
                for call in _calls(caller, function.name):
                    yield from _passed(other, caller, call, name)


def _passed(tree: ast.Module, caller: ast.FunctionDef, call: ast.Call, name: str) -> Iterator[str]:
    """The kinds that a call passes: a text, or what the caller itself was passed."""
    for node in call.args:
        if isinstance(node, ast.Name) and node.id == name:
            yield from _named(tree, caller, name)
        else:
            yield from (kind for kind in _values(node) if KIND.fullmatch(kind))


@cache
def _functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _written(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The kinds that a file writes, each with its place; an empty kind for one that is not read."""
    for function in _functions(tree):
        for call in _calls(function, "record"):
            if ast.unparse(call.func) == "audit.record":
                node = call.args[2]
                kinds = list(_values(node)) or list(_named(tree, function, ast.unparse(node)))
                yield from ((kind, ast.unparse(call)) for kind in kinds or [""])
        for call in _calls(function, "change_row"):
            kinds = list(_values(call.args[1]))
            yield from ((kind, ast.unparse(call)) for kind in kinds or [""])
    for view in ast.walk(tree):
        # The views of the second factor name their event.
        if isinstance(view, ast.ClassDef) and "_Recorded" in map(ast.unparse, view.bases):
            for line in view.body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "action":
                    yield from ((kind, view.name) for kind in _values(line.value))


@cache
def written_kinds() -> frozenset[str]:
    found = [(kind, place) for tree in _trees(*WRITING) for kind, place in _written(tree)]
    assert [place for kind, place in found if not kind] == []
    return frozenset(kind for kind, _ in found)


def test_every_kind_that_the_code_writes_has_a_sentence() -> None:
    assert len(written_kinds()) > 150
    assert sorted(written_kinds() - set(SENTENCES)) == []
    assert sorted(set(SENTENCES) - written_kinds()) == [], "no code writes these"


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_avoid_technical_terms(language: str) -> None:
    facts = {fact: "X" for sentence in SENTENCES.values() for form in sentence.forms
             for fact in re.findall(r"%\((\w+)\)s", str(form))}  # fmt: skip
    with translation.override(language):
        for kind, sentence in SENTENCES.items():
            forms = [*sentence.forms, *([sentence.own] if sentence.own else [])]
            for form in forms:
                text = str(form) % facts
                assert text.startswith("X "), kind
                assert not MACHINE.search(text), text
                if language != "en":
                    left = set(re.findall(r"[A-Za-z]{2,}", text))
                    assert left <= {"API", "Webhook"}, text
    assert {act for act in ACTS if kinds_of(act)} == set(ACTS)


def test_each_form_of_a_sentence_says_more_than_those_behind_it() -> None:
    """The first form whose facts are known is taken: behind one that needs fewer, none ever is."""
    for kind, sentence in SENTENCES.items():
        facts = [{*re.findall(r"%\((\w+)\)s", str(form))} for form in sentence.forms]
        for n, needed in enumerate(facts):
            assert not any(needed <= later for later in facts[n + 1 :]), (kind, n)


# What they say ------------------------------------------------------------------------------------


def _sentence(event: AuditEvent) -> str:
    (one,) = audit_log.describe_events([event])
    return one.sentence


def _last() -> AuditEvent:
    return AuditEvent.objects.order_by("-id")[0]


def test_raised_budget_names_its_subject_and_amount(people: Cast) -> None:
    people.alice.name = "Ana"
    people.alice.save()
    ana = actor(people.alice, people.acme)
    budget = budget_simulation.create_budget(
        ana, people.acme, scope=BudgetScope.TEAM, subject=str(people.core.id),
        amount_nano=50 * 10**9, period="month",
    )  # fmt: skip
    assert _sentence(_last()) == "Ana created a budget of $50.00 for team core"
    budget_simulation.change_budget(ana, budget, amount_nano=8_000 * 10**9)
    assert _sentence(_last()) == "Ana raised the budget of team core from $50.00 to $8,000.00"
    with translation.override("zh-hans"):
        assert _sentence(_last()) == "Ana 将团队「core」的预算从 $50.00 提高到 $8,000.00"
    budget_simulation.change_budget(ana, budget, amount_nano=10 * 10**9)
    assert _sentence(_last()) == "Ana lowered the budget of team core from $8,000.00 to $10.00"
    budget_simulation.change_budget(ana, budget, enabled=False)
    assert _sentence(_last()) == "Ana changed the budget of team core"


def test_nameless_object_is_named_by_its_row(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.alice)
    keys.change_key(actor(people.alice, people.acme), key, disabled=True)
    assert _sentence(_last()) == "Alice changed API key ci"


def test_unknown_kind_has_a_true_sentence(people: Cast) -> None:
    audit.record(SYSTEM, people.acme, "core.reticulated", people.core, splines=3)
    assert _sentence(_last()) == "System acted on Team core"


HOSTILE: Final = "<img src=x onerror=alert(1)> \u202eevil\n%(who)s %s {0}"


def test_hostile_names_are_inert(people: Cast) -> None:
    """Neither markup nor direction nor a placeholder of a name reaches the page."""
    Team.objects.filter(id=people.core.id).update(name=HOSTILE)
    audit.record(actor(people.alice, people.acme), people.acme, "team.limited", people.core)
    page = signed_in(people.alice).get("/o/acme/audit").content.decode()
    assert "<img src=x" not in page
    assert "\u202e" not in page
    shown = "&lt;img src=x onerror=alert(1)&gt; evil %(who)s %s {0}"
    assert f"team <bdi>{shown}</bdi>" in page
    (one,) = audit_log.describe_events([_last()])
    event_page = signed_in(people.alice).get(f"/o/acme/audit/{id_text(one.event.id)}")
    assert "<img src=x" not in event_page.content.decode()


def test_unexpected_facts_are_no_error() -> None:
    for kind in SENTENCES:
        facts = {"who": "Ana", "object": "Thing 1"}
        assert sentence_text(kind, facts).startswith("Ana ")
        assert "<bdi>Ana</bdi>" in sentence_html(kind, facts)


@pytest.fixture
def alice(people: Cast) -> Client:
    return signed_in(people.alice)


def test_the_action_code_is_folded_on_pages_and_full_in_files(people: Cast, alice: Client) -> None:
    make_key(people.core, "ci", user=people.alice)
    event = AuditEvent.objects.get(action="key.created")
    listed = alice.get("/o/acme/audit").content.decode()
    assert "API key <bdi>ci</bdi>" in listed
    assert "key.created" not in listed
    page = alice.get(f"/o/acme/audit/{id_text(event.id)}").content.decode()
    before, fold = page.split("<details", 1)
    assert "key.created" not in before
    assert "key.created" in fold
    files: Any = alice.get("/o/acme/audit?export=jsonl")
    assert '"action": "key.created"' in b"".join(files).decode()


def test_choices_filter_the_log(people: Cast, alice: Client) -> None:
    make_key(people.core, "ci", user=people.alice)
    bob = actor(people.bob, people.acme)
    audit.record(bob, people.acme, "team.archived", people.core)

    def kinds(query: str) -> set[str]:
        lines: Any = alice.get(f"/o/acme/audit?export=jsonl&{query}")
        return set(re.findall(r'"action": "(\S+)"', b"".join(lines).decode()))

    assert kinds("action=removed") == {"team.archived"}
    assert kinds("object=team") == {"team.archived"}
    assert kinds("actor=bob@example.org") == {"team.archived"}
    assert "key.created" in kinds("object=key")
    page = alice.get("/o/acme/audit").content.decode()
    assert '<option value="bob@example.org"' in page
    assert '<option value="channel"' not in page
    assert 'type="search"' not in page.partition('class="filters"')[2].partition("</form>")[0]


def test_every_kind_of_thing_has_one_word_in_each_language() -> None:
    for language in LANGUAGES:
        with translation.override(language):
            assert all(str(word) for word in OBJECTS.values())
