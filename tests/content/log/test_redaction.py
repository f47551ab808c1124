"""P31: what is redacted is in no part of a stored body, and the rest of it is."""

import json
from base64 import b64encode
from typing import Any, cast

import pytest

from content.guards.rules import GuardRule
from content.log.kept import Pieces
from content.log.redaction import Redaction, Unredactable, redacting_rules
from content.rules.rules import REDACTED, REDACTED_BY_DEFAULT

CARD = "4111 1111 1111 1111"
DIGITS = CARD.replace(" ", "")
PLANTED = {
    "card": CARD,
    "iban": "DE89 3704 0044 0532 0130 00",
    "email": "ann@example.com",
    "telephone": "+49 30 901820",
    "secret": "sk-abcdefghijklmnopqrstu123",
    "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
}


def redaction(*rules: GuardRule, known: dict[str, str] | None = None) -> Redaction:
    return Redaction(redacting_rules(rules, REDACTED), known or {})


def redacted(value: Any, *rules: GuardRule) -> Any:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return json.loads(redaction(*rules).body(raw, "application/json"))


def places(planted: str) -> dict[str, bytes]:
    """Bodies that contain a text, each in another place."""
    inside = json.dumps({"note": f"a\n{planted}", "list": [{"deep": planted}]})
    escaped = "".join(f"\\u{ord(one):04x}" for one in planted)
    whole = json.dumps(planted)
    bodies = {
        "message": json.dumps({"messages": [{"role": "user", "content": f"It is {planted}."}]}),
        "part": json.dumps({"contents": [{"parts": [{"text": f"x: {planted}\n"}]}]}),
        "name": json.dumps({"args": {planted: 1}}),
        "role": json.dumps({"messages": [{"role": planted, "content": planted}]}),
        "unknown member": json.dumps({"whatever": {"else": [[planted]]}}),
        "arguments": json.dumps({"arguments": inside}),
        "arguments within arguments": json.dumps({"arguments": json.dumps({"json": inside})}),
        "arguments that broke off": json.dumps({"arguments": inside[:-3]}),
        "escapes": f'{{"content": "{escaped}"}}',
        "escapes within arguments": json.dumps({"arguments": f'{{"a": "{escaped}"}}'}),
        "arguments with a name twice": json.dumps({"arguments": f'{{"a": {whole}, "a": 1}}'}),
        "a name twice": f'{{"a": {whole}, "a": 1}}',
        "no JSON": f"Is {planted} mine?",
        "JSON that broke off": f'{{"content": "It is\\n{json.dumps(planted)[1:-1]} and',
        "quoted JSON": json.dumps({"content": f"See ```{json.dumps(inside)}```"}),
        "text file": json.dumps({
            "url": "data:text/plain;base64," + b64encode(planted.encode()).decode()
        }),
        "beside half a pair": f'{{"a": "\\ud83d", "b": {whole}}}',
        "beside no number": f'{{"a": NaN, "b": {whole}}}',
    }  # fmt: skip
    return {place: body.encode() for place, body in bodies.items()}


def leaves(value: Any) -> list[str]:
    """All texts of a value, JSON inside strings and files included."""
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in leaves(item)]
    if isinstance(value, list):
        return [text for item in value for text in leaves(item)]
    if not isinstance(value, str):
        return [str(value)]
    try:
        return [value, *leaves(json.loads(value))] if value[:1] in '{["' else [value]
    except ValueError:
        return [value, value.replace("\\n", "\n")]


def is_in(planted: str, body: bytes) -> bool:
    text = body.decode()
    try:
        texts = leaves(json.loads(text))
    except ValueError:
        texts = leaves(f" {text}"[1:])
    encoded = b64encode(planted.encode()).decode()[:-4]
    return any(planted in one or encoded in one for one in [text, *texts])


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_redacted_is_nowhere_in_a_body(kind: str) -> None:
    planted = PLANTED[kind]
    core = planted.split("\n")[len(planted.split("\n")) // 2]
    for place, body in places(planted).items():
        stored = redaction().body(body, "application/json")
        assert not is_in(core, stored), (place, stored)
        assert place in ("a name twice", "text file") or is_in(f"<{kind.upper()}_1>", stored), place


def test_a_number_is_a_text_too() -> None:
    assert redacted({"card": int(DIGITS), "at": 1764400000, "n": [1.5, True, None]}) == {
        "card": "<CARD_1>", "at": 1764400000, "n": [1.5, True, None],
    }  # fmt: skip
    assert redacted({"card": float(DIGITS)}) == {"card": "<CARD_1>"}


def test_the_same_text_has_the_same_placeholder_in_one_entry() -> None:
    one = redaction()
    first = json.loads(one.body(json.dumps({"a": f"{CARD} or ann@example.com"}).encode(), ""))
    second = json.loads(one.body(json.dumps({"b": f"5500 0000 0000 0004, {CARD}"}).encode(), ""))
    assert (first, second) == (
        {"a": "<CARD_1> or <EMAIL_1>"}, {"b": "<CARD_2>, <CARD_1>"},
    )  # fmt: skip
    assert one.text(f"No {CARD}") == "No <CARD_1>"


def test_body_without_anything_to_redact_keeps_its_texts() -> None:
    body = {
        "model": "m", "messages": [{"role": "user", "content": '[1, 2] {"a": "\\n"} C:\\new'}],
        "tools": [{"arguments": '{"a" : 1, "b": "\\u00e9"}'}], "stream": True, "temperature": 0.3,
    }  # fmt: skip
    assert redacted(body) == body


def test_rules_that_mask_or_refuse_are_applied_everywhere() -> None:
    masked = GuardRule("words", {"words": ["falcon", "user"]}, ["answer"], "mask", "a")
    refused = GuardRule("expressions", {"expressions": ["E-[0-9]{3}"]}, ["tool_call"], "refuse", "")
    flagged = GuardRule("words", {"words": ["hello"]}, ["request"], "flag", "b")
    body = {"messages": [{"role": "user", "content": "Hello user Falcon E-123", "falcon": "E-999"}]}
    assert redacted(body, masked, refused, flagged) == {
        "messages": [
            {"role": "user", "content": "Hello <WORD_1> <WORD_2> <PATTERN_1>",
             "<WORD_3>": "<PATTERN_2>"}
        ]
    }  # fmt: skip


def test_what_was_masked_for_the_provider_is_masked() -> None:
    one = redaction(known={"<PERSON_1>": "Ann", "<PERSON_2>": "Ann Lee"})
    body = json.dumps({"content": "Ann Lee and Ann", "role": "Ann"}).encode()
    stored = json.loads(one.body(body, ""))
    assert stored == {"content": "<PERSON_2> and <PERSON_1>", "role": "<PERSON_1>"}


def test_nothing_is_redacted_by_guards_that_a_rule_does_not_name() -> None:
    rules = redacting_rules([], REDACTED_BY_DEFAULT)
    assert Redaction(rules, {}).text(f"ann@example.com {CARD}") == "ann@example.com <CARD_1>"


@pytest.mark.parametrize("depth", [990, 100_000])
def test_body_that_is_nested_too_deeply_is_left_out(depth: int) -> None:
    body = (b'{"a":' * depth) + b'"4111111111111111"' + b"}" * depth
    with pytest.raises(Unredactable):
        redaction().body(body, "application/json")


def test_body_that_is_no_text_is_kept_by_reference() -> None:
    stored = json.loads(redaction().body(b"\xff\xfb sound", "audio/mpeg"))
    assert (stored["type"], stored["bytes"], len(stored["sha256"])) == ("audio/mpeg", 8, 64)


# ---- a text that came in pieces


def pieces(*texts: str, before: str = "", ends: bool = False) -> list[str]:
    """What is stored of each piece."""
    one = Redaction(redacting_rules((), REDACTED_BY_DEFAULT), {})
    body = json.dumps({"input": texts}).encode()
    stored = one.body(body, "", one.cut_texts([Pieces(texts, before, ends)]))
    return cast(list[str], json.loads(stored)["input"])


def test_pieces_without_anything_to_mask_stay_as_they_came() -> None:
    assert pieces("Room 12", "4", "4", "4, please.") == ["Room 12", "4", "4", "4, please."]


def test_number_is_stored_with_the_piece_that_ends_it() -> None:
    assert pieces("No. 4111 11", "11 1111", " 1111, ", "12.") == ["No. ", "", "<CARD_1>, ", "12."]


def test_equal_pieces_are_told_apart() -> None:
    texts = ("Yes,", " 1111.", " No, 4111 1111 1111", " 1111.")
    assert pieces(*texts) == ["Yes,", " 1111.", " No, ", "<CARD_1>."]


@pytest.mark.parametrize(("ends", "last"), [(True, "It is 12"), (False, "It is ")])
def test_last_piece_waits_unless_nothing_follows(ends: bool, last: str) -> None:
    assert pieces("One.", "It is 12", ends=ends) == ["One.", last]


def test_first_piece_has_what_an_earlier_entry_did_not_store() -> None:
    assert pieces(" of it.", "Room 7", "Yes.", before="I want 12") == [
        "12 of it.", "Room 7", "Yes.",
    ]  # fmt: skip
    assert pieces("11 1111 1111.", before="My card is 4111 11") == ["<CARD_1>."]


@pytest.mark.parametrize(
    ("before", "left_out", "stored"),
    [
        ("My card is 4111 11", [(0, 18)], "<CARD_1>."),
        ("Yes. My card is 4111 11", [(0, 5)], "<CARD_1>."),
        ("I want 12, no, ", [(9, 15)], "12…11 1111 1111."),
        ("I want 12, no, 41", [(9, 15)], "4111 1111 1111."),
        ("12 or 4111 1111 ", [(2, 6), (11, 16)], "4111 …11 1111 1111."),
    ],
)
def test_what_is_left_out_of_an_earlier_text_is_not_stored(
    before: str, left_out: list[tuple[int, int]], stored: str
) -> None:
    one = Redaction(redacting_rules((), REDACTED_BY_DEFAULT), {})
    text = "11 1111 1111."
    cut = one.cut_texts([Pieces((text,), before, ends=True, left_out=left_out)])
    body = one.body(json.dumps({"input": text}).encode(), "", cut)
    assert json.loads(body)["input"] == stored


def test_escaped_end_of_a_piece_waits() -> None:
    assert "4111" not in pieces('{"of": "\\u0034111 1111 11')[0]
