"""Which form of a request goes to a channel, and the headers with it, without a hub."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from dialects.errors.errors import RequestFault
from lib.ids import id_text
from relay.preparation import translator as module
from relay.preparation.translator import RequestTranslator, has_operation, overridden_headers

REQUEST, ORGANISATION, KEY = (UUID(int=number) for number in (1, 2, 3))


class Overrides(msgspec.Struct):
    """What a channel changes."""

    refused: str = ""
    headers: Any = ()
    when: Any = ()
    passed: Any = ()

    def refused_field(self, body: Any) -> str | None:
        return self.refused or None

    def dropped_fields(self, body: Any) -> list[str]:
        return ["seed"]

    def written_headers(self, words: dict[str, str]) -> dict[str, str]:
        return {"x-who": " ".join(f"{name}={word}" for name, word in words.items())}


class Prepared(msgspec.Struct):
    client_headers: Any = (("x-a", "1"), ("x-b", "2"))
    overrides: Any = None
    dropped_fields: Any = ()


def context(overrides: Any = None, headers: Any = ()) -> Any:
    channel = SimpleNamespace(overrides=overrides)
    principal = SimpleNamespace(organisation_id=ORGANISATION, key_id=KEY, user_id=7)
    return SimpleNamespace(
        snapshot=SimpleNamespace(channels={"a": channel}), principal=principal,
        invocation=SimpleNamespace(headers=headers), request_id=REQUEST,
    )  # fmt: skip


def translator(overrides: Any = None) -> RequestTranslator:
    facts, model = SimpleNamespace(body="body"), SimpleNamespace(name="m")
    return RequestTranslator(context(overrides), cast(Any, facts), cast(Any, model), cap_max=9)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    async def prepared(self: Any, channel: Any, candidate: Any) -> Prepared:
        return Prepared()

    monkeypatch.setattr(RequestTranslator, "_prepared", prepared)
    monkeypatch.setattr(module, "fit_overrides", lambda context, overrides, model: overrides)


CANDIDATE: Any = SimpleNamespace(channel_id="a")


async def test_overrides_of_a_channel_are_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Any = await translator().prepare(CANDIDATE)
    assert plain == Prepared()
    monkeypatch.setattr(module, "overridden_headers", lambda *_: {"x-b": "mine", "x-c": "3"})
    overrides = Overrides()
    changed: Any = await translator(overrides).prepare(CANDIDATE)
    assert changed.client_headers == (("x-a", "1"), ("x-b", "mine"), ("x-c", "3"))
    assert (changed.overrides, changed.dropped_fields) == (overrides, ("seed",))


async def test_field_that_a_channel_refuses_is_named() -> None:
    with pytest.raises(RequestFault) as refused:
        await translator(Overrides(refused="logit_bias")).prepare(CANDIDATE)
    assert (refused.value.kind, refused.value.param) == ("unsupported_capability", "logit_bias")
    assert "of model m" in refused.value.message


def test_headers_that_a_channel_writes_name_who_asks() -> None:
    words = (
        f"request_id={id_text(REQUEST)} organisation={id_text(ORGANISATION)} key={id_text(KEY)} "
        "user=7 model=m"
    )
    ways: list[Any] = [{"headers": ("x-who",)}, {"when": ("x-who",)}]
    for over in ways:
        written = overridden_headers(context(), cast(Any, Overrides(**over)), "m")
        assert written == {"x-who": words}
    assert overridden_headers(context(), cast(Any, Overrides()), "m") == {}
    unnamed = context()
    unnamed.principal.user_id = None
    written = overridden_headers(unnamed, cast(Any, Overrides(headers=("x-who",))), "m")
    assert "user= model=m" in written["x-who"]


def test_headers_of_the_client_are_passed_where_the_channel_names_them() -> None:
    lines = [(b"x-trace", b"a"), (b"x-other", b"b"), (b"x-trace", b"c"), (b"x-bad", b"d\x01")]
    overrides: Any = Overrides(passed={b"x-trace", b"x-bad"})
    assert overridden_headers(context(headers=lines), overrides, "m") == {"x-trace": "a,c"}


@pytest.mark.parametrize(
    ("operation", "chat_only", "has_prompt", "offered"),
    [
        ("chat_completions", True, True, True), ("embeddings", False, False, False),
        ("completions", False, False, True), ("completions", True, False, False),
        ("completions", False, True, False),
    ],
)  # fmt: skip
def test_completion_is_forwarded_where_it_has_a_place(
    operation: Any, chat_only: bool, has_prompt: bool, offered: bool
) -> None:
    urls = {"chat_completions": "u", "completions": "u"}
    channel: Any = SimpleNamespace(address=SimpleNamespace(urls=urls), has_prompt=has_prompt)
    assert has_operation(channel, operation, cast(Any, SimpleNamespace(chat_only=chat_only))) is (
        offered
    )
