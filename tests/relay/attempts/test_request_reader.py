"""Which model a request asks for, under which of its names, and which may answer in its place."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialects.codec import Target
from dialects.errors.errors import RequestFault
from gateway.routing.model_rule_bounds import FAILURES
from lib.id_types import ModelName
from relay.attempts import request_reader
from relay.attempts.next_attempts import NO_FALLBACKS
from relay.attempts.request_reader import RequestReader
from relay.requests.invocation import MODEL_LENGTH_MAX

LONG = "x" * (MODEL_LENGTH_MAX + 1)


class Catalogue:
    """Models with routes: `served`; some are `ended`, others `off`, and of some the plan shows
    nothing."""

    aliases = {"usual": "m"}
    entries: Any = {}

    def __init__(self, rule: Any = None) -> None:
        self.served = {"m", "n", "cloud-m", "hidden", "mine", "usual", LONG}
        self.rule = rule or SimpleNamespace(fallbacks=(), causes=frozenset())
        self.rules = [rule] if rule else []

    def routes_of(self, name: str) -> Any:
        return ["route"] if name in self.served else []

    def has_ended(self, name: str) -> bool:
        return name == "ended"

    def off_channels(self, name: str) -> Any:
        return ["off"] if name == "off" else []

    def shows(self, name: str, plan: Any, role: Any) -> bool:
        return name != "hidden"

    def rule_of(self, name: str) -> Any:
        return self.rule


def reader(*, plan: int | None = None, rule: Any = None) -> RequestReader:
    principal = SimpleNamespace(
        price_plan_id=plan, role="member", may_use=lambda name: name != "mine",
        explain_model=lambda name: f"{name} is not for this key", required_labels=(),
    )  # fmt: skip
    codec = SimpleNamespace(other_names=lambda name: ["cloud-m"] if name == "m-1" else [])
    context = SimpleNamespace(
        snapshot=Catalogue(rule),
        principal=principal,
        invocation=SimpleNamespace(codec=codec, target=Target()),
    )
    return RequestReader(cast(Any, context))


@pytest.fixture(autouse=True)
def plain_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestReader, "check_labels", lambda self: None)


@pytest.mark.parametrize("name", ["unknown", LONG])
def test_model_that_nothing_serves_is_named(name: str) -> None:
    with pytest.raises(RequestFault) as missing:
        reader().find_model(name)
    assert (missing.value.kind, missing.value.param) == ("model_not_found", "model")
    assert name[:60] in missing.value.message


def test_model_is_hidden_by_the_plan_of_a_key_alone() -> None:
    assert reader().find_model("hidden").name == "hidden"
    with pytest.raises(RequestFault) as hidden:
        reader(plan=1).find_model("hidden")
    assert hidden.value.kind == "model_not_found"
    assert reader(plan=1).find_model("m").name == "m"


def test_model_that_a_key_may_not_use_says_why() -> None:
    with pytest.raises(RequestFault) as refused:
        reader().find_model("mine")
    assert (refused.value.kind, refused.value.param) == ("permission", "model")
    assert "mine is not for this key" in refused.value.message


@pytest.mark.parametrize(
    ("name", "found", "alias"),
    [
        ("m", "m", ""), ("ended", "ended", ""), ("off", "off", ""), ("usual", "m", "usual"),
        # A client's cloud has another name for it.
        ("m-1", "cloud-m", "m-1"),
    ],
)  # fmt: skip
def test_model_is_found_by_each_of_its_names(name: str, found: str, alias: str) -> None:
    model = reader().find_model(name)
    assert (model.name, model.alias) == (found, alias)


def test_model_of_the_catalogue_is_answered_by_its_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catalogue, "entries", {"m": "entry"})
    monkeypatch.setattr(request_reader, "answering_model", lambda snapshot, name, param: "n")
    model = reader().find_model("m")
    assert (model.name, model.alias) == ("n", "m")


# ---- fallbacks


def facts(named: Any = None) -> Any:
    members = {} if named is None else {"models": named}
    return SimpleNamespace(body=SimpleNamespace(members=members))


def test_fallbacks_are_those_of_the_client_or_of_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_reader, "read_fallbacks", lambda body: body.members["models"])
    rule = SimpleNamespace(fallbacks=("n", "m", "mine", "off", "unknown"), causes="causes")
    one = reader(rule=rule)
    own = one.find_model("m")
    ruled = one.find_fallbacks(facts(), own)
    # Those that the key may not use, or that are not served now, are left out.
    assert [model.name for model in ruled.models] == ["n"]
    assert (ruled.causes, ruled.why) == (cast(Any, "causes"), "fallback_rule")
    named = one.find_fallbacks(facts(["n", "m", "usual", "n"]), own)
    assert [model.name for model in named.models] == ["n"]
    assert named.causes == FAILURES
    with pytest.raises(RequestFault) as missing:
        one.find_fallbacks(facts(["n", "unknown"]), own)
    assert missing.value.param == "models"
    assert reader().find_fallbacks(facts(), own) == NO_FALLBACKS
    assert one.find_fallbacks(facts(["m"]), own).models == []
    assert ModelName("m") == own.name
