"""The reference pages are what the code says: `make reference` writes them."""

import re

import pytest

from accounts.limits.answer_cache import SECONDS_MAX, SECONDS_MIN
from config.api.api import api
from config.apply.file_format import Installation
from config.system.metrics import metrics_text
from gateway.breaker.breaker import CONNECTS_MAX, LONGEST_FACTOR, SAMPLE_MIN
from gateway.channels import schemas
from gateway.channels.channel_tests.rules import ATTEMPTS_MIN, WINDOW_MIN
from tools import apply_file, reference_pages
from tools.reference_pages import PAGES, metric_families, path_of


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_matches_the_code(name: str) -> None:
    assert path_of(name).read_text(encoding="utf-8") == PAGES[name]()


@pytest.mark.django_db
def test_metrics_page_lists_the_scraped_metrics() -> None:
    """With its types: the generator reads the source, and not what is sent."""
    scraped = re.findall(r"^# TYPE (\w+) (\w+)$", metrics_text().decode(), re.MULTILINE)
    assert sorted(scraped) == [(family.name, family.kind) for family in metric_families()]


def test_the_file_has_the_texts_of_the_api_for_what_both_share() -> None:
    """A text of its own would hide a wrong one of the API."""
    parts = Installation.model_json_schema()["$defs"]
    shared = {
        name for name, one in vars(schemas).items()
        if name in parts and one.__module__ == schemas.__name__
    }  # fmt: skip
    assert shared >= {"BreakerIn", "TestingIn", "TimeoutsIn", "ConditionsIn", "OverridesIn"}
    meanings = apply_file._MEANINGS
    assert not [key for key in meanings if key.partition(".")[0] in shared]
    assert not {"Team.cache_seconds", "Key.cache_seconds"} & meanings.keys()


@pytest.mark.parametrize(
    ("part", "key", "words"),
    [
        ("BreakerIn", "failures", f"at least half of {SAMPLE_MIN} or more attempts"),
        ("BreakerIn", "failures", f"{CONNECTS_MAX} connections in a row"),
        ("BreakerIn", "open_for", f"{LONGEST_FACTOR} times as long as the first"),
        ("TestingIn", "on_key", "rejects the key in a test"),
        ("TestingIn", "statuses", "if a test fails"),
        ("TestingIn", "words", "if a test fails"),
        ("TestingIn", "success_percent", f"attempts in the last {WINDOW_MIN} minutes"),
        ("TestingIn", "success_percent", f"fewer than {ATTEMPTS_MIN} attempts"),
        ("KeyIn", "cache_seconds", f"({SECONDS_MIN} to {SECONDS_MAX:,})"),
        ("KeyIn", "cache_seconds", "0: never. Null: as in the team."),
        ("TeamChange", "cache_seconds", f"({SECONDS_MIN} to {SECONDS_MAX:,})"),
        ("TeamChange", "cache_seconds", "0 or null: never."),
    ],
)
def test_the_api_says_what_the_rule_does(part: str, key: str, words: str) -> None:
    described = api.get_openapi_schema()["components"]["schemas"]
    assert words in described[part]["properties"][key]["description"]


@pytest.mark.parametrize("change", [{"invented": "What is of no event."}, {"until": None}])
def test_each_field_of_an_event_has_its_meaning(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str | None]
) -> None:
    """Whoever adds one has to explain it, and an explanation goes with what it explains."""
    meanings = {**reference_pages._EVENT_FIELDS, **change}
    kept = {name: meaning for name, meaning in meanings.items() if meaning is not None}
    monkeypatch.setattr(reference_pages, "_EVENT_FIELDS", kept)
    with pytest.raises(LookupError, match=str(set(change))):
        reference_pages.events()


def test_empty_text_is_no_meaning_of_a_key() -> None:
    texts: list[apply_file.Schema] = [
        {"kind": {"description": ""}},
        {"kind": {"description": "What it is."}},
    ]
    assert apply_file._meaning("Team", "kind", {}, texts, set()) == "What it is."
    with pytest.raises(LookupError, match=r"Team\.kind has no meaning"):
        apply_file._meaning("Team", "kind", {"description": ""}, texts[:1], set())
