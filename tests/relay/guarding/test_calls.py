"""P40, G1 to G12: guards that call a service, and services that hang, die or lie: in each place, in
each dialect, whole and streamed."""

import json
from typing import Any

import pytest

from lib.ids import id_text
from tests.fakes.guard_service import LIES, GuardService
from tests.fakes.listeners import refused_port
from tests.fakes.upstream import FakeUpstream
from tests.notify.receiver import signed
from tests.relay.content_log.test_content_log import add_rule, kept
from tests.relay.guarding.conftest import SECRET, GuardedHub, hook, presidio, rule
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Answer, Hub, Tenant

ADDRESS = "alice.liddell@example.com"
PLACES = ("request", "answer", "tool_call", "tool_result")
by_dialect = pytest.mark.parametrize("dialect", UPSTREAMS)
by_form = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
by_place = pytest.mark.parametrize("place", PLACES)


@pytest.fixture(scope="module")
def models(guarded_hub: GuardedHub, fake: FakeUpstream) -> dict[str, str]:
    return {dialect: guarded_hub.hub.model(fake, **UPSTREAMS[dialect]) for dialect in UPSTREAMS}


def send(hub: Hub, tenant: Tenant, dialect: str, model: str, place: str, *, stream: bool) -> Answer:
    """Send a request that has a text with `alpha` in this place; the answer has it there."""
    speaker = SPEAKERS[dialect]
    path = speaker.path(model, stream=stream)
    if place in ("request", "answer"):
        wish = Wish("#echo #chunk_bytes=7 Say alpha, alpha please", stream)
        return hub.post(tenant, speaker.body(model, wish), path=path)
    wish = Wish("#tokens=2 #tools=1 weather?", stream, tools=True)
    body = speaker.body(model, wish)
    answer = hub.post(tenant, body, path=path)
    if place == "tool_call":
        return answer
    return hub.post(tenant, speaker.follow(body, speaker.read(answer), ["alpha rain"]), path=path)


def error_of(dialect: str, answer: Answer) -> dict[str, Any]:
    """The error of an answer, also of one that is a stream."""
    if answer.headers["content-type"] == "application/json":
        return SPEAKERS[dialect].error_of(answer.json())
    spoken = SPEAKERS[dialect].read(answer)
    assert not spoken.whole
    assert spoken.error is not None, answer.body
    return spoken.error


@by_dialect
@by_form
@by_place
def test_a_hook_passes(
    guarded_hub: GuardedHub,
    service: GuardService,
    models: dict[str, str],
    dialect: str,
    stream: bool,
    place: str,
) -> None:
    tenant = guarded_hub.tenant(hook(f"{service.url}/pass", place))
    answer = send(guarded_hub.hub, tenant, dialect, models[dialect], place, stream=stream)
    assert answer.status == 200, answer.body
    spoken = SPEAKERS[dialect].read(answer)
    assert spoken.whole, answer.body
    if place == "tool_call":
        assert len(spoken.calls) == 1
    elif place != "tool_result":
        assert spoken.text.count("alpha") == 2
    asked = service.asked_by(answer.headers["x-request-id"])
    assert {one["place"] for one in asked} == {place}
    if place != "tool_call":
        assert "alpha" in str([one["texts"] for one in asked])


@by_dialect
@by_form
@pytest.mark.parametrize("place", ["request", "answer"])
def test_a_hook_changes_texts(
    guarded_hub: GuardedHub,
    service: GuardService,
    fake: FakeUpstream,
    models: dict[str, str],
    dialect: str,
    stream: bool,
    place: str,
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(hook(f"{service.url}/change", place))
    answer = send(hub, tenant, dialect, models[dialect], place, stream=stream)
    assert answer.status == 200, answer.body
    spoken = SPEAKERS[dialect].read(answer)
    assert spoken.whole
    assert "omega, omega" in spoken.text
    assert b"alpha" not in answer.body
    (attempt,) = hub.records(answer.headers["x-request-id"])
    assert any(flag.startswith("guard_ms:hook:") for flag in attempt["flags"])
    if place == "request":
        assert "alpha" not in str(fake.wait_for_row(id_text(attempt["id"])))


@by_dialect
@by_form
@by_place
def test_a_hook_refuses_with_its_own_code(
    guarded_hub: GuardedHub,
    service: GuardService,
    models: dict[str, str],
    dialect: str,
    stream: bool,
    place: str,
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(hook(f"{service.url}/refuse/weather", place))
    answer = send(hub, tenant, dialect, models[dialect], place, stream=stream)
    error = error_of(dialect, answer)
    assert "the guard hook rejects" in error["message"]
    assert "(weather)" in error["message"]
    assert b"alpha" not in answer.body
    hub.settled(tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"]) == (400, "guard_refused")


def test_a_hook_flags(
    guarded_hub: GuardedHub, service: GuardService, models: dict[str, str]
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(hook(f"{service.url}/flag/odd", "request"))
    answer = send(hub, tenant, "openai", models["openai"], "request", stream=False)
    assert answer.status == 200
    hub.settled(tenant)
    assert "guard:odd" in hub.record(answer.headers["x-request-id"])["flags"]


def test_a_hook_is_signed_and_gets_masked_texts(
    guarded_hub: GuardedHub, service: GuardService, models: dict[str, str]
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(
        hook(f"{service.url}/pass", "request", "answer"), rule("mask", "request")
    )
    body = SPEAKERS["openai"].body(models["openai"], Wish(f"#echo Write to {ADDRESS}"))
    answer = hub.post(tenant, body)
    assert SPEAKERS["openai"].read(answer).text.endswith(ADDRESS)
    id = answer.headers["x-request-id"]
    asked, answered = service.asked_by(id)
    assert asked == {
        "request_id": id, "place": "request", "texts": ["Be brief.", "#echo Write to <EMAIL_1>"],
        "model": models["openai"], "key": id_text(tenant.key_id), "team": id_text(tenant.team_id),
    }  # fmt: skip
    assert "<EMAIL_1>" in str(answered["texts"])
    assert ADDRESS not in str(service.asked)
    calls = [
        (headers, raw) for headers, raw in service.asked if json.loads(raw) in (asked, answered)
    ]
    assert len(calls) == 2
    assert all(signed(SECRET, headers, raw) for headers, raw in calls)
    assert len({headers["webhook-id"] for headers, _ in calls}) == 2


def test_a_hook_that_repeats_what_was_masked_tells_the_model_nothing(
    guarded_hub: GuardedHub, service: GuardService, fake: FakeUpstream, models: dict[str, str]
) -> None:
    """Its text gets the original again for the one who asked, and for nobody else."""
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(
        hook(f"{service.url}/repeat", "request", deadline_ms=10_000), rule("mask", "request")
    )
    body = SPEAKERS["openai"].body(models["openai"], Wish(f"#echo #keep Write to {ADDRESS} and to"))
    answer = hub.post(tenant, body)
    assert SPEAKERS["openai"].read(answer).text.endswith(f"Write to {ADDRESS} and to {ADDRESS}")
    (attempt,) = hub.records(answer.headers["x-request-id"])
    row = str(fake.wait_for_row(id_text(attempt["id"])))
    assert "Write to <EMAIL_1> and to <EMAIL_1>" in row
    assert ADDRESS not in row
    assert ADDRESS not in str(service.asked)


FAILURES = {
    "/hang": "deadline", "/trickle": "deadline", "/dies": "connection", "/huge": "answer",
    "/big": "answer",
    "/redirect": "answer", "/status/500": "answer", "/status/204": "answer",
    **{f"/{lie}": "answer" for lie in LIES},
}  # fmt: skip
WORDS = {
    "deadline": "did not answer in time", "connection": "cannot be reached",
    "answer": "did not answer as expected",
}  # fmt: skip


def deadline_ms(path: str) -> int:
    """A deadline that only a service that is late misses."""
    return 100 if FAILURES[path] == "deadline" else 10_000


@pytest.mark.parametrize("path", FAILURES)
def test_a_failure_is_closed_unless_its_class_is_open(
    guarded_hub: GuardedHub,
    service: GuardService,
    fake: FakeUpstream,
    models: dict[str, str],
    path: str,
) -> None:
    hub, url, failure = guarded_hub.hub, service.url + path, FAILURES[path]
    others = [one for one in WORDS if one != failure]
    closed = guarded_hub.tenant(
        hook(url, "request", deadline_ms=deadline_ms(path), passes_on=others)
    )
    refused = send(hub, closed, "openai", models["openai"], "request", stream=False)
    assert refused.status == 503, refused.body
    assert refused.error["code"] == "guard_failed"
    assert WORDS[failure] in refused.error["message"]
    hub.settled(closed)
    record = hub.record(refused.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == ("guard_failed", 0)
    open_one = guarded_hub.tenant(
        hook(url, "request", deadline_ms=deadline_ms(path), passes_on=[failure])
    )
    passed = send(hub, open_one, "openai", models["openai"], "request", stream=False)
    assert passed.status == 200, passed.body
    hub.settled(open_one)
    assert "guard:hook:unchecked" in hub.record(passed.headers["x-request-id"])["flags"]


def test_no_connection_and_a_forbidden_address_are_failures(
    guarded_hub: GuardedHub, models: dict[str, str]
) -> None:
    hub = guarded_hub.hub
    with refused_port() as port:
        urls = [
            f"http://127.0.0.1:{port}/", "http://169.254.169.254/", "http://10.0.0.1/",
            "https://no-such-name.invalid/",
        ]  # fmt: skip
        for url in urls:
            tenant = guarded_hub.tenant(hook(url, "request", deadline_ms=5_000))
            answer = send(hub, tenant, "openai", models["openai"], "request", stream=False)
            assert (answer.status, answer.error["code"]) == (503, "guard_failed"), url
            assert WORDS["connection"] in answer.error["message"]


@by_dialect
@by_form
@by_place
@pytest.mark.parametrize("path", ["/hang", "/dies", "/html"])
def test_a_failed_guard_lets_nothing_out(
    guarded_hub: GuardedHub,
    service: GuardService,
    models: dict[str, str],
    dialect: str,
    stream: bool,
    place: str,
    path: str,
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(hook(service.url + path, place, deadline_ms=deadline_ms(path)))
    answer = send(hub, tenant, dialect, models[dialect], place, stream=stream)
    assert answer.status in (503, 200), answer.body
    assert answer.status == 503 or (stream and place in ("answer", "tool_call"))
    assert WORDS[FAILURES[path]] in error_of(dialect, answer)["message"]
    assert b"alpha" not in answer.body
    hub.settled(tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"]) == (503, "guard_failed")
    assert (record["charge_nano"] > 0) == (place in ("answer", "tool_call"))


@by_dialect
@by_form
def test_presidio_masks_and_the_answer_has_the_text_again(
    guarded_hub: GuardedHub,
    service: GuardService,
    fake: FakeUpstream,
    models: dict[str, str],
    dialect: str,
    stream: bool,
) -> None:
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(presidio(f"{service.url}/presidio", "mask", "request"))
    answer = send(hub, tenant, dialect, models[dialect], "request", stream=stream)
    assert answer.status == 200, answer.body
    spoken = SPEAKERS[dialect].read(answer)
    assert spoken.text.count("alpha") == 2
    (attempt,) = hub.records(answer.headers["x-request-id"])
    row = str(fake.wait_for_row(id_text(attempt["id"])))
    assert "<PERSON_1>, <PERSON_1>" in row
    assert "alpha" not in row


@by_form
def test_what_presidio_masks_in_several_prompts_is_not_in_the_content_log(
    guarded_hub: GuardedHub,
    service: GuardService,
    fake: FakeUpstream,
    models: dict[str, str],
    stream: bool,
) -> None:
    """P31: no rule finds it again. A placeholder that is in another prompt stands for nothing."""
    hub = guarded_hub.hub
    tenant = guarded_hub.tenant(presidio(f"{service.url}/presidio", "mask", "request"))
    add_rule(hub, tenant, redact=[])
    prompts = ["#echo #keep Say alpha", "#echo #keep Say no name", "#echo #keep Say <PERSON_1>"]
    asked = [*prompts, prompts[0]]
    body = {"model": models["anthropic"], "prompt": asked, "stream": stream, "max_tokens": 99}
    answer = hub.post(tenant, body, path="/v1/completions")
    assert answer.status == 200, answer.body
    assert (answer.body.count(b"alpha"), answer.body.count(b"<PERSON_1>")) == (2, 1)
    _, content = kept(hub, tenant, answer)
    assert json.loads(content.request)["prompt"] == [
        text.replace("alpha", "<PERSON_2>") for text in asked
    ]
    assert (content.answer.count(b"alpha"), content.answer.count(b"<PERSON_2>")) == (0, 2)
    # What was masked is in the record of its own prompt.
    hub.settled(tenant)
    flags = [
        one["flags"]
        for one in hub.rows(
            "SELECT flags FROM usage_usagerecord WHERE organisation_id = %s ORDER BY request_id",
            tenant.organisation_id,
        )
    ]
    assert ["masked" in of_one for of_one in flags] == [True, False, False, True]


def test_presidio_refuses_flags_and_fails(
    guarded_hub: GuardedHub, service: GuardService, models: dict[str, str]
) -> None:
    hub, url = guarded_hub.hub, f"{service.url}/presidio"
    refusing = guarded_hub.tenant(presidio(url, "refuse", "answer"))
    refused = send(hub, refusing, "openai", models["openai"], "answer", stream=False)
    assert (refused.status, refused.error["code"]) == (400, "own")
    flagging = guarded_hub.tenant(presidio(url, "flag", "request"))
    flagged = send(hub, flagging, "openai", models["openai"], "request", stream=False)
    hub.settled(flagging)
    assert "guard:own" in hub.record(flagged.headers["x-request-id"])["flags"]
    for lie in ("outside", "wrong", "html", "hang"):
        limit = 100 if lie == "hang" else 10_000
        tenant = guarded_hub.tenant(presidio(f"{url}/{lie}", "mask", "request", deadline_ms=limit))
        failed = send(hub, tenant, "openai", models["openai"], "request", stream=False)
        assert (failed.status, failed.error["code"]) == (503, "guard_failed"), lie


def test_a_guard_that_is_not_installed_fails(
    guarded_hub: GuardedHub, models: dict[str, str]
) -> None:
    unknown = {
        "guard": "weather", "settings": {}, "places": ["request"], "action": "mask", "code": "own"
    }  # fmt: skip
    tenant = guarded_hub.tenant(unknown)
    answer = send(guarded_hub.hub, tenant, "openai", models["openai"], "request", stream=False)
    assert (answer.status, answer.error["code"]) == (503, "guard_failed")


PER_REQUEST = {"requests": 5_000_000}


def moderating(model: str) -> dict[str, Any]:
    return {
        "guard": "moderation", "settings": {"model": model, "deadline_ms": 10_000},
        "places": ["request"], "action": "refuse", "code": "own",
    }  # fmt: skip


def test_a_model_moderates_and_is_charged_by_itself(
    guarded_hub: GuardedHub, fake: FakeUpstream, models: dict[str, str]
) -> None:
    hub, moderation = guarded_hub.hub, guarded_hub.hub.model(fake, rates=PER_REQUEST)
    tenant = guarded_hub.tenant(moderating(moderation))
    harmless = SPEAKERS["openai"].body(models["openai"], Wish("#echo Say alpha"))
    answer = hub.post(tenant, harmless)
    assert answer.status == 200, answer.body
    violent = SPEAKERS["openai"].body(models["openai"], Wish("#echo I will hurt you"))
    refused = hub.post(tenant, violent)
    assert (refused.status, refused.error["code"]) == (400, "own")
    hub.settled(tenant)
    for one in (answer, refused):
        flags = hub.record(one.headers["x-request-id"])["flags"]
        (asked,) = [flag for flag in flags if flag.startswith("guard_request:")]
        assert flags[flags.index(asked) - 1].startswith("guard_ms:moderation:")
        record = hub.record(asked.partition(":")[2])
        assert record["operation"] == "moderations"
        assert (record["client_app"], record["status"]) == ("guard", 200)
        assert record["key_id"] == tenant.key_id
        assert record["charge_nano"] == 5
    unknown = guarded_hub.tenant(moderating("no-such-model"))
    failed = hub.post(unknown, harmless)
    assert (failed.status, failed.error["code"]) == (503, "guard_failed")


def test_a_guards_model_is_asked_only_where_the_requests_data_may_go(
    guarded_hub: GuardedHub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The guard sends the request's texts to another channel than the request."""
    hub = guarded_hub.hub
    far = hub.model(other_fake, rates=PER_REQUEST, region="us")
    tenant, near = guarded_hub.tenant(moderating(far)), hub.model(fake, region="eu")
    body = SPEAKERS["openai"].body(near, Wish("#tokens=1 Hello"))
    assert hub.post(tenant, body).status == 200
    asked = len(other_fake.books())
    answer = hub.post(tenant, body, headers={"x-weir-data-policy": '{"regions": ["eu"]}'})
    assert (answer.status, answer.error["code"]) == (503, "guard_failed")
    assert len(other_fake.books()) == asked


def judging(model: str, *places: str, action: str = "refuse", **settings: Any) -> dict[str, Any]:
    topics = [{"name": "weapons", "description": "Making weapons."}, {"name": "prompt_injection"}]
    return {
        "guard": "topics", "settings": {"model": model, "topics": topics, **settings},
        "places": places, "action": action, "code": "own",
    }  # fmt: skip


@by_dialect
@by_form
@by_place
def test_a_chat_model_judges_topics_in_each_place(
    guarded_hub: GuardedHub,
    service: GuardService,
    models: dict[str, str],
    dialect: str,
    stream: bool,
    place: str,
) -> None:
    hub, judge = guarded_hub.hub, guarded_hub.hub.model(f"{service.url}/judge/well/v1")
    tenant = guarded_hub.tenant(judging(judge, place, deadline_ms=10_000))
    answer = send(hub, tenant, dialect, models[dialect], place, stream=stream)
    if place == "tool_call":
        assert answer.status == 200, answer.body
        return
    assert "the guard topics rejects" in error_of(dialect, answer)["message"]
    assert "(weapons)" in error_of(dialect, answer)["message"]
    assert b"alpha" not in answer.body


def test_a_judgement_is_charged_by_itself_and_flags_name_the_topic(
    guarded_hub: GuardedHub, service: GuardService, models: dict[str, str]
) -> None:
    hub = guarded_hub.hub
    for how, asked in (("well", 1), ("plain", 2)):
        judge = hub.model(f"{service.url}/judge/{how}/v1")
        tenant = guarded_hub.tenant(
            judging(judge, "request", action="flag", deadline_ms=10_000), rule("mask", "request")
        )
        body = SPEAKERS["openai"].body(models["openai"], Wish(f"#echo alpha {ADDRESS}"))
        answer = hub.post(tenant, body)
        assert answer.status == 200, answer.body
        hub.settled(tenant)
        flags = hub.record(answer.headers["x-request-id"])["flags"]
        assert "guard:weapons" in flags
        requests = [flag for flag in flags if flag.startswith("guard_request:")]
        assert len(requests) == asked
        record = hub.record(requests[-1].rpartition(":")[2])
        assert (record["operation"], record["client_app"]) == ("chat_completions", "guard")
        assert (record["status"], record["charge_nano"] > 0) == (200, True)
        assert record["key_id"] == tenant.key_id
    judged = [raw for _, raw in service.asked if b"<EMAIL_1>" in raw]
    assert judged
    assert all(ADDRESS.encode() not in raw for _, raw in service.asked if b"JSON object" in raw)


def test_a_request_with_many_tools_is_judged_in_groups(
    guarded_hub: GuardedHub, service: GuardService, models: dict[str, str]
) -> None:
    """Each of an agent's tools has several texts."""
    hub, judge = guarded_hub.hub, guarded_hub.hub.model(f"{service.url}/judge/well/v1")
    tenant = guarded_hub.tenant(judging(judge, "request", deadline_ms=10_000))
    body = SPEAKERS["openai"].body(models["openai"], Wish("#echo Say beta"))
    tools: list[Any] = [
        {"type": "function", "function": {
            "name": f"tool_{n}", "description": f"Does {n}.",
            "parameters": {"type": "object", "properties": {
                f"field_{n}": {"type": "string", "description": f"What {n} needs."},
            }},
        }}
        for n in range(60)
    ]  # fmt: skip
    before = len(service.asked)
    answer = hub.post(tenant, body | {"tools": tools})
    assert answer.status == 200, answer.body
    hub.settled(tenant)
    flags = hub.record(answer.headers["x-request-id"])["flags"]
    asked = {flag.partition(":")[2] for flag in flags if flag.startswith("guard_request:")}
    judged = [json.loads(raw)["messages"][-1]["content"] for _, raw in service.asked[before:]]
    sizes = [len(json.loads(each.split("\n")[1])) for each in judged if "Does " in each]
    assert max(sizes) <= 64
    assert len(asked) >= 2
    assert {hub.record(id)["client_app"] for id in asked} == {"guard"}
    tools[-1]["function"]["description"] = "Does alpha."
    refused = hub.post(tenant, body | {"tools": tools})
    assert (refused.status, refused.error["code"]) == (400, "weapons")


@pytest.mark.parametrize(
    ("how", "failure"), [("prose", "answer"), ("hang", "deadline"), ("none", "answer")]
)
def test_a_judge_that_does_not_judge_is_a_failure(
    guarded_hub: GuardedHub, service: GuardService, models: dict[str, str], how: str, failure: str
) -> None:
    hub = guarded_hub.hub
    judge = "no-such-model"
    if how != "none":
        judge = hub.model(f"{service.url}/judge/{how}/v1")
    limit = 200 if how == "hang" else 10_000
    closed = guarded_hub.tenant(judging(judge, "request", deadline_ms=limit))
    refused = send(hub, closed, "openai", models["openai"], "request", stream=False)
    assert (refused.status, refused.error["code"]) == (503, "guard_failed")
    assert WORDS[failure] in refused.error["message"]
    passing = guarded_hub.tenant(judging(judge, "request", deadline_ms=limit, passes_on=[failure]))
    passed = send(hub, passing, "openai", models["openai"], "request", stream=False)
    assert passed.status == 200, passed.body
    hub.settled(passing)
    flags = hub.record(passed.headers["x-request-id"])["flags"]
    assert "guard:topics:unchecked" in flags
    assert sum(flag.startswith("guard_request:") for flag in flags) == 1
