"""P40: a request whose bytes tell that nothing in it can match is let through unread, and nothing
else comes of it than if each of its texts were read."""

import json
from base64 import b64encode
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.detectors.registry import GUARDS
from content.guards.guard import check
from content.guards.masks import Masks
from content.guards.prefilter import Prefilter
from content.guards.rules import GuardRule
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from relay.guarding import guarding as module
from relay.guarding.guarding import Guarding
from relay.guarding.refusals import GuardRefused
from relay.guarding.request_texts import check_texts, has_texts_as_written
from relay.guarding.rule_set import KeyRules
from tests.content.corpus.planted import COUNTRIES, PLANTED

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "national_number": {"countries": COUNTRIES}, "words": {"words": ["falcon", "c++"]},
    "expressions": {"expressions": [r"EMP-\d{3,6}"]},
}  # fmt: skip
SETS: Final = (
    ("email",), ("card", "iban"), ("email", "card", "iban"), ("private_key", "secret"),
    ("telephone", "national_number"), ("words",), ("expressions", "email"), (),
)  # fmt: skip


def rules_of(guards: tuple[str, ...], action: Any = "mask") -> list[GuardRule]:
    return [
        GuardRule(one, SETTINGS.get(one, {}), ["request", "tool_call", "tool_result"], action, one)
        for one in guards
    ]


TEXTS: Final = st.one_of(
    st.sampled_from([one.text for one in PLANTED[::7]]),
    st.sampled_from([one.secret for one in PLANTED[::3]]),
    st.sampled_from(["hello", "river stone", "", "a falcon", "EMP-1234", "<EMAIL_1>", "caf\u00e9"]),
    st.sampled_from(
        ["4111\uff11111 11111111", "bob\uff20example.com", "\u673a\u5bc6", "a\\b", '"']
    ),
    st.text(max_size=20),
)
ENCODED: Final = TEXTS.map(lambda one: b64encode(one.encode("utf-8", "replace")).decode())
LEAVES: Final = st.one_of(
    TEXTS,
    TEXTS.map(lambda one: json.dumps({"to": one})),
    ENCODED.map(lambda one: f"data:text/plain;base64,{one}"),
    ENCODED.map(lambda one: {"media_type": "text/plain", "type": "base64", "data": one}),
    st.sampled_from([4111111111111111, 12345, 4111111111111111.0, -4111111111111111, True, None]),
)
NAMES: Final = st.sampled_from(
    ["content", "text", "input", "arguments", "role", "name", "type", "id", "bob@example.com", "to"]
)
VALUES: Final = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
BODIES: Final = st.dictionaries(
    st.sampled_from(["messages", "input", "tools", "metadata", "user", "instructions"]), VALUES
)


def read_whole(guarding: Guarding, raw: bytes) -> bytes:
    """The body as it is let through if each text is read."""
    guarding.masks.reserve(raw.decode())
    return check_texts(read_body(raw), guarding.check_text)


def outcome(guarding: Guarding, check: Any) -> Any:
    try:
        sent = check()
    except GuardRefused as refused:
        sent = str(refused), refused.code
    return sent, guarding.masks.originals, guarding.masks.by_rule, guarding._flags


@given(BODIES, st.sampled_from(SETS), st.sampled_from(["mask", "refuse", "flag"]), st.booleans())
def test_p40_a_request_passes_as_if_each_text_were_read(
    body: dict[str, Any], guards: tuple[str, ...], action: str, ascii: bool
) -> None:
    raw = json.dumps(body, ensure_ascii=ascii).encode("utf-8", "replace")
    try:
        read_body(raw)
    except RequestFault:
        return
    rules = KeyRules(rules_of(guards, action))
    quick, plain = Guarding(rules), Guarding(rules)
    assert outcome(quick, lambda: quick.check_request(read_body(raw))) == outcome(
        plain, lambda: read_whole(plain, raw)
    )


def test_p40_each_planted_text_is_read() -> None:
    rules = {guard: rules_of((guard,)) for guard in {one.guard for one in PLANTED}}
    filters = {guard: KeyRules(its).of_requests for guard, its in rules.items()}
    told = 0
    for one in PLANTED:
        raw = json.dumps({"text": one.text}, ensure_ascii=False).encode()
        if (
            has_texts_as_written(raw)
            and check(rules[one.guard], "request", one.text, Masks()).masked
        ):
            told += 1
            assert filters[one.guard].may_match(raw), one
    assert told > len(PLANTED) / 3


@pytest.mark.parametrize(
    ("guards", "content", "reads"),
    [
        (("email", "card", "iban"), "Which rivers flow through Vienna since 1870?", False),
        (("email", "secret", "private_key", "telephone"), "What is 3.14 * 2, and why?", False),
        (
            ("email", "card", "iban"),
            "\u7ef4\u4e5f\u7eb3\u6709\u54ea\u4e9b\u6cb3\u6d41\uff1f",
            False,
        ),
        (("words",), "Which rivers flow through Vienna?", True),
        (("email",), "Ask bob@example.com.", True),
    ],
)
def test_texts_in_which_nothing_can_match_are_not_read(
    guards: tuple[str, ...], content: str, reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def note(body: Any, check: Any) -> bytes:
        read.append(body)
        return check_texts(body, check)

    monkeypatch.setattr(module, "check_texts", note)
    messages = [{"role": "user", "content": content}]
    raw = json.dumps({"model": "m", "messages": messages}, ensure_ascii=False).encode()
    body = read_body(raw)
    sent = Guarding(KeyRules(rules_of(guards))).check_request(body)
    assert (bool(read), sent is body.raw) == (reads, content != "Ask bob@example.com.")


def test_a_detector_without_an_expression_has_every_text_read() -> None:
    class Foreign:
        """A detector of an extension."""

    others = GUARDS["email"].detectors
    assert others is not None
    known = others(None)
    assert Prefilter([*known, Foreign()]).may_match(b"x")  # type: ignore[list-item]
    assert not Prefilter(known).may_match(b"x")
    assert not Prefilter([]).may_match(b"bob@example.com")
