"""End users of an application that shares one key: whose name is believed, and what becomes of a
name that is not."""

import json
import os
import time
from typing import Any

import jwt
import pytest

from accounts.secrets.key_format import digest, end_user_secret
from relay.credentials.end_users import _TOKEN_LENGTH_MAX, EndUserRule, read_end_user
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support import hostile
from tests.support.hub import Answer, Hub, Tenant

EMAIL = "x-openwebui-user-email"
TOKEN = "x-openwebui-user-jwt"
ALICE = "alice@example.org"
HERE, ELSEWHERE = ["127.0.0.0/8"], ["10.0.0.0/8"]


def application(hub: Hub, **rule: Any) -> Tenant:
    """A tenant whose key names end users in a header."""
    tenant = hub.tenant()
    hub.limit(tenant, **{"end_user_header": EMAIL, "end_user_networks": HERE} | rule)
    hub.bump()
    return tenant


def signing(hub: Hub, **rule: Any) -> tuple[Tenant, str]:
    """An application whose names must be signed, and its secret."""
    named = {"end_user_header": TOKEN, "end_user_networks": [], "end_users_signed": True}
    tenant = application(hub, **named | rule)
    pepper = os.environ["WEIR_KEY_PEPPER"]
    return tenant, end_user_secret(pepper, digest(pepper, tenant.key))


def signed(secret: str, algorithm: str = "HS256", **claims: Any) -> dict[str, str]:
    """The header that Open WebUI sends."""
    now = int(time.time())
    whole = {
        "sub": "u-1", "email": ALICE, "name": "Alice", "role": "user", "iss": "open-webui",
        "iat": now, "exp": now + 300,
    } | claims  # fmt: skip
    claims = {name: value for name, value in whole.items() if value is not None}
    return {TOKEN: jwt.encode(claims, secret, algorithm=algorithm)}


def sent(hub: Hub, tenant: Tenant, model: str, headers: Any) -> tuple[Answer, dict[str, Any]]:
    answer = hub.post(tenant, ask(model, "#tokens=2", user="body"), headers=headers)
    assert answer.status == 200, answer.body
    return answer, hub.record(answer.headers["x-request-id"])


def says(answer: Answer, record: dict[str, Any]) -> tuple[str, str, list[str]]:
    return answer.headers["x-weir-end-user"], record["end_user"], record["flags"]


VERIFIED = ("verified", ALICE, ["end_user_verified"])


def ignored(state: str) -> tuple[str, str, list[str]]:
    return state, "body", ["end_user_ignored"]


def test_a_name_from_a_listed_network_is_believed(hub: Hub, fake: FakeUpstream) -> None:
    """It takes the place of the name in the body, and is not sent to the provider."""
    tenant, model = application(hub), hub.model(fake)
    headers = {EMAIL: ALICE, "x-openwebui-user-name": "Alice"}
    answer = hub.post(tenant, ask(model, "#tokens=2 keep", user="body"), headers=headers)
    record = hub.record(answer.headers["x-request-id"])
    assert says(answer, record) == VERIFIED
    (row,) = hub.rows("SELECT end_user FROM usage_attempt WHERE id = %s", record["id"])
    assert row["end_user"] == ALICE
    assert "openwebui" not in json.dumps(fake.books()[-1]["headers"]).lower()


def test_a_name_from_another_network_is_ignored(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = application(hub, end_user_networks=ELSEWHERE), hub.model(fake)
    assert says(*sent(hub, tenant, model, {EMAIL: ALICE})) == ignored("network")


def test_a_request_without_the_header_keeps_the_name_of_its_body(
    hub: Hub, fake: FakeUpstream
) -> None:
    tenant, model = application(hub), hub.model(fake)
    assert says(*sent(hub, tenant, model, {})) == ("missing", "body", [])


def test_a_key_without_a_rule_ignores_the_header_silently(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    answer, record = sent(hub, tenant, model, {EMAIL: ALICE})
    assert "x-weir-end-user" not in answer.headers
    assert (record["end_user"], record["flags"]) == ("body", [])


def test_a_signed_name_is_believed_from_anywhere(hub: Hub, fake: FakeUpstream) -> None:
    (tenant, secret), model = signing(hub), hub.model(fake)
    assert says(*sent(hub, tenant, model, signed(secret))) == VERIFIED
    answer, record = sent(hub, tenant, model, signed(secret, email=None))
    assert says(answer, record) == ("verified", "u-1", ["end_user_verified"])


def test_a_signature_and_networks_are_both_needed_where_both_are_set(
    hub: Hub, fake: FakeUpstream
) -> None:
    model = hub.model(fake)
    here, secret = signing(hub, end_user_networks=HERE)
    assert says(*sent(hub, here, model, signed(secret))) == VERIFIED
    assert says(*sent(hub, here, model, {TOKEN: ALICE})) == ignored("signature")
    away, secret = signing(hub, end_user_networks=ELSEWHERE)
    assert says(*sent(hub, away, model, signed(secret))) == ignored("network")


@pytest.mark.parametrize(
    ("state", "headers"),
    [
        ("signature", lambda secret: signed("another secret of enough bytes for it")),
        ("signature", lambda secret: signed("", algorithm="none")),
        ("signature", lambda secret: signed(secret, exp=None)),
        ("signature", lambda secret: signed(secret, exp="soon")),
        ("signature", lambda secret: {TOKEN: "alice"}),
        ("expired", lambda secret: signed(secret, exp=int(time.time()) - 60)),
        ("invalid", lambda secret: signed(secret, email=None, sub=None)),
        ("invalid", lambda secret: signed(secret, email=["alice"], sub=7)),
        ("invalid", lambda secret: signed(secret, email="a\0b")),
        ("invalid", lambda secret: signed(secret, email="a" * 4096)),
    ],
)
def test_an_invalid_token_names_nobody(
    hub: Hub, fake: FakeUpstream, state: str, headers: Any
) -> None:
    (tenant, secret), model = signing(hub), hub.model(fake)
    assert says(*sent(hub, tenant, model, headers(secret))) == ignored(state)


@pytest.mark.parametrize(("more", "state"), [(0, "signature"), (1, "invalid")])
def test_a_token_has_a_greatest_length(more: int, state: str) -> None:
    rule = EndUserRule(TOKEN.encode(), (), "s" * 43)
    lines = [(TOKEN.encode(), b"a" * (_TOKEN_LENGTH_MAX + more))]
    assert read_end_user(rule, lines, "127.0.0.1").state == state


def test_a_token_for_another_key_is_not_believed(hub: Hub, fake: FakeUpstream) -> None:
    (tenant, _), (_, other), model = signing(hub), signing(hub), hub.model(fake)
    assert says(*sent(hub, tenant, model, signed(other))) == ignored("signature")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a" * 257,
        "\u202ecba",
        "a\u200db",
        hostile.LONG[:3000],
        "{{LIBRECHAT_USER_EMAIL}}",
        "a\tb",
    ],
)
def test_a_name_that_cannot_be_read_is_not_believed(
    hub: Hub, fake: FakeUpstream, name: str
) -> None:
    tenant, model = application(hub), hub.model(fake)
    headers = {EMAIL: name.encode().decode("latin-1")}
    assert says(*sent(hub, tenant, model, headers)) == ignored("invalid")


@pytest.mark.parametrize(
    "name", ["a" * 256, "\u5f20\u4f1f", "\u05d3\u05d5\u05d3", "\U0001f600", "a b"]
)
def test_any_readable_name_is_stored_whole(hub: Hub, fake: FakeUpstream, name: str) -> None:
    tenant, model = application(hub), hub.model(fake)
    headers = {EMAIL: name.encode().decode("latin-1")}
    assert says(*sent(hub, tenant, model, headers)) == ("verified", name, ["end_user_verified"])


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("Alice@Example.ORG", ALICE),
        ("U-7f", "U-7f"),
        ("Rene\u0301", "Ren\u00e9"),
        ("RENE\u0301@example.org", "ren\u00e9@example.org"),
        ("\u212aarl@example.org", "karl@example.org"),
    ],
)
def test_each_spelling_of_an_address_is_one_end_user(sent: str, name: str) -> None:
    """Otherwise each spelling would have a budget of its own."""
    rule = EndUserRule(EMAIL.encode(), (), "")
    assert read_end_user(rule, [(EMAIL.encode(), sent.encode())], "127.0.0.1").name == name


def test_the_quoted_name_of_open_webui_is_read(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = application(hub, end_user_header="x-openwebui-user-name"), hub.model(fake)
    _, record = sent(hub, tenant, model, {"x-openwebui-user-name": "%E5%BC%A0 %E4%BC%9F"})
    assert record["end_user"] == "\u5f20 \u4f1f"


def test_refusals_and_failures_name_the_end_user(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = application(hub), hub.model(fake)
    for body, status in ((ask("no-such-model"), 404), (ask(model, "#status=400"), 400)):
        answer = hub.post(tenant, body, headers={EMAIL: ALICE})
        assert (answer.status, answer.headers["x-weir-end-user"]) == (status, "verified")
        record = hub.record(answer.headers["x-request-id"])
        assert record["end_user"] == ALICE
        assert "end_user_verified" in record["flags"]
