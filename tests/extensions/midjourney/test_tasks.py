"""Tasks of Midjourney over the real hub: what clients read, what the provider billed, and what the
books say."""

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from extensions.midjourney.dialect import MODELS
from gateway.media_tasks.content_links import LINK_S, signed_link
from tests.fakes.midjourney import PICTURE, FakeMidjourney
from tests.relay.poller import poll
from tests.relay.task_services import CALL_NANO, holds, quick, serve, spent
from tests.support.hostile import EVERYTHING, LONG, NUL, STORABLE
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n\0\xff").decode()
PUBLIC_ID = re.compile(r"[1-9][0-9]{15}")
UNPRICED = "mj_shorten"
APART = (UNPRICED, "mj_blend")


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeMidjourney]:
    with FakeMidjourney() as fake:
        hub.channel(UNPRICED, fake.url, fake.keys, provider="midjourney_proxy", name=fake.url)
        serve(hub, fake, "midjourney_proxy", [model for model in MODELS if model not in APART])
        yield fake


@contextmanager
def apart(hub: Hub, model: str) -> Iterator[FakeMidjourney]:
    """Another provider, which alone has a model: what it does puts nobody else to rest."""
    with FakeMidjourney() as fake, hub.forgetful():
        serve(hub, fake, "midjourney_proxy", [model])
        yield fake


def submit(hub: Hub, tenant: Tenant, path: str, root: str = "/mj", **body: Any) -> Answer:
    return hub.post(tenant, body, path=f"{root}/submit/{path}")


def submitted(hub: Hub, tenant: Tenant, path: str, root: str = "/mj", **body: Any) -> str:
    answer = submit(hub, tenant, path, root, **body)
    document = answer.json()
    assert (answer.status, document["code"]) == (200, 1), answer.body
    id_: str = document["result"]
    assert PUBLIC_ID.fullmatch(id_)
    return id_


def fetch_task(hub: Hub, tenant: Tenant, id_: str) -> dict[str, Any]:
    answer = hub.get(f"/mj/task/{id_}/fetch", tenant)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.json()
    return body


def finished(hub: Hub, tenant: Tenant, prompt: str) -> dict[str, Any]:
    id_ = submitted(hub, tenant, "imagine", prompt=prompt)
    poll(hub, tenant)
    return fetch_task(hub, tenant, id_)


# ---- what the books say


def test_image_is_held_when_ordered_and_charged_once_at_its_end(
    hub: Hub, provider: FakeMidjourney
) -> None:
    tenant, prompt = hub.tenant(), "a cat #polls=3"
    answer = submit(hub, tenant, "imagine", prompt=prompt, state="mine", notifyHook="")
    assert answer.headers["x-weir-hold"] == "0.10"
    assert answer.json() == {
        "code": 1, "description": "Submitted successfully", "properties": {},
        "result": answer.json()["result"],
    }  # fmt: skip
    id_ = answer.json()["result"]
    assert (holds(hub, tenant), spent(hub, tenant)) == (["open"], 0)
    task = fetch_task(hub, tenant, id_)
    assert (task["status"], task["progress"], task["imageUrl"]) == ("SUBMITTED", "0%", "")
    poll(hub, tenant, 2)
    task = fetch_task(hub, tenant, id_)
    assert (task["status"], task["progress"]) == ("IN_PROGRESS", "20%")
    poll(hub, tenant, 2)
    task = fetch_task(hub, tenant, id_)
    assert task.pop("submitTime") <= task.pop("startTime") <= task.pop("finishTime")
    upstream = provider.of(prompt).id
    assert task == {
        "id": id_, "action": "IMAGINE", "customId": "", "botType": "MID_JOURNEY",
        "prompt": prompt, "promptEn": f"en {prompt}", "description": "/imagine", "state": "mine",
        "imageUrl": task["imageUrl"], "status": "SUCCESS", "progress": "100%", "failReason": "",
        "buttons": [
            {"customId": f"MJ::JOB::upsample::1::{upstream}", "emoji": "", "label": "U1",
             "type": 2, "style": 2},
            {"customId": f"MJ::CustomZoom::{upstream}", "emoji": "", "label": "Zoom", "type": 2,
             "style": 2},
        ],
        "properties": {"finalPrompt": f"{prompt} --v 6.1"},
    }  # fmt: skip
    assert f"/mj/image/{id_}?expires=" in task["imageUrl"]
    record = hub.record(answer.headers["x-request-id"])
    assert (record["operation"], record["model"]) == ("midjourney_imagine", "mj_imagine")
    assert (record["meters"], record["basis"]) == ({"requests": 1}, "measured")
    assert record["charge_nano"] == spent(hub, tenant) == CALL_NANO * provider.billed(prompt)
    assert (provider.of(prompt).polls, holds(hub, tenant)) == (3, ["settled"])
    assert provider.of(prompt).body == {"prompt": prompt, "state": "mine"}


def test_a_failed_picture_costs_nothing_and_says_why(hub: Hub, provider: FakeMidjourney) -> None:
    tenant = hub.tenant()
    task = finished(hub, tenant, "a cat #fail=blocked")
    assert (task["status"], task["failReason"], task["buttons"]) == ("FAILURE", "blocked", [])
    assert (spent(hub, tenant), holds(hub, tenant)) == (0, ["voided"])
    assert hub.get(f"/mj/image/{task['id']}", tenant).status == 404
    change = submit(hub, tenant, "change", taskId=task["id"], action="UPSCALE", index=1)
    assert (change.status, change.json()["code"]) == (409, 4)


@pytest.mark.parametrize("lie", quick("state", "id", "json", "html", "empty"))
def test_impossible_provider_reports_are_not_believed(
    hub: Hub, provider: FakeMidjourney, lie: str
) -> None:
    tenant, prompt = hub.tenant(), f"a dog #lie={lie}"
    task = finished(hub, tenant, prompt)
    assert (task["status"], holds(hub, tenant)) == ("SUBMITTED", ["open"])
    provider.of(prompt).words.clear()
    poll(hub, tenant)
    assert fetch_task(hub, tenant, task["id"])["status"] == "SUCCESS"
    assert spent(hub, tenant) == CALL_NANO


def test_unending_image_fails_after_a_day_and_is_refunded(
    hub: Hub, provider: FakeMidjourney
) -> None:
    tenant = hub.tenant()
    id_ = submitted(hub, tenant, "imagine", prompt="a fish #never")
    hub.connection.execute(
        "UPDATE gateway_mediatask SET created_at = now() - interval '86401 s' "
        "WHERE organisation_id = %s", [tenant.organisation_id],
    )  # fmt: skip
    poll(hub, tenant)
    task = fetch_task(hub, tenant, id_)
    assert (task["status"], task["failReason"]) == (
        "FAILURE", "The task did not end within 24 hours."
    )  # fmt: skip
    assert (spent(hub, tenant), holds(hub, tenant)) == (0, ["voided"])


@pytest.mark.parametrize(
    ("code", "kind"),
    quick((24, "content_filtered"), (4, "provider_rejected"), (3, "provider_rejected"),
          (23, "upstream_rate_limited"), (9, "upstream_error")),
)  # fmt: skip
def test_a_refusal_is_passed_on_by_its_code_and_costs_nothing(
    hub: Hub, code: int, kind: str
) -> None:
    tenant = hub.tenant()
    with apart(hub, "mj_blend") as other:
        answer = submit(hub, tenant, "blend", base64Array=[PIXEL, PIXEL], state=f"#code={code}")
    body = answer.json()
    assert (answer.status, body["code"], body["result"]) == (200, code, "")
    if code != 23:
        assert body["description"] == f"refused with {code}"
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == (kind, 0)
    hub.settled(tenant)
    assert (spent(hub, tenant), other.tasks) == (0, {})


@pytest.mark.parametrize("code", quick(22, 21))
def test_queued_or_existing_task_is_accepted(hub: Hub, provider: FakeMidjourney, code: int) -> None:
    tenant = hub.tenant()
    body = submit(hub, tenant, "imagine", prompt=f"queued #code={code}").json()
    assert body["code"] == code
    # The account of the provider is nobody's business.
    assert body["properties"] == ({"numberOfQueues": 1} if code == 22 else {})
    poll(hub, tenant)
    assert fetch_task(hub, tenant, body["result"])["status"] == "SUCCESS"
    assert spent(hub, tenant) == CALL_NANO


@pytest.mark.parametrize("word", quick("noid", "html", "json", "empty"))
def test_unreadable_answer_creates_no_task(hub: Hub, word: str) -> None:
    tenant = hub.tenant()
    with apart(hub, "mj_blend"):
        answer = submit(hub, tenant, "blend", base64Array=[PIXEL, PIXEL], state=f"#answer={word}")
    assert (answer.status, answer.json()["code"]) == (502, 9)
    hub.settled(tenant)
    assert spent(hub, tenant) == 0


def test_unpriced_or_unpayable_action_is_rejected(hub: Hub, provider: FakeMidjourney) -> None:
    before = len(provider.tasks)
    unpriced = submit(hub, hub.tenant(), "shorten", prompt="long words")
    assert (unpriced.status, unpriced.json()["code"]) == (402, 4)
    message = "Model mj_shorten has no price: it needs requests. An operator sets it at"
    assert unpriced.json()["description"].startswith(message)
    poor = submit(hub, hub.tenant("0.09"), "imagine", prompt="dear")
    assert (poor.status, poor.json()["type"]) == (402, "insufficient_quota")
    dear = submit(hub, hub.tenant(), "imagine", prompt="dear", max_cost="0.09")
    assert dear.status == 402
    assert len(provider.tasks) == before


# ---- each operation


def test_follow_up_uses_the_account_that_has_the_image(hub: Hub, provider: FakeMidjourney) -> None:
    tenant = hub.tenant()
    pictures = [finished(hub, tenant, f"pinned {n}") for n in range(4)]
    keys = {provider.of(picture["prompt"]).key for picture in pictures}
    assert keys == set(provider.keys)
    for n, picture in enumerate(pictures):
        source, name = provider.of(picture["prompt"]), f"changed {n}"
        submitted(hub, tenant, "change", taskId=picture["id"], action="VARIATION", index=2,
                  state=name)  # fmt: skip
        created = provider.of(name)
        assert (created.key, created.parent) == (source.key, source.id)
        assert created.body == {
            "action": "VARIATION", "index": 2, "state": name, "taskId": source.id,
        }  # fmt: skip
    poll(hub, tenant)
    assert spent(hub, tenant) == 8 * CALL_NANO


@pytest.mark.parametrize(
    ("path", "body", "sent", "action", "model"),
    quick(
        ("change", {"action": "UPSCALE", "index": 3}, {"action": "UPSCALE", "index": 3},
         "UPSCALE", "mj_upscale"),
        ("change", {"action": "REROLL"}, {"action": "REROLL"}, "REROLL", "mj_reroll"),
        ("simple-change", {"content": "{id} U2"}, {"content": "{up} U2"}, "UPSCALE", "mj_upscale"),
        ("simple-change", {"content": "{id} v4"}, {"content": "{up} V4"},
         "VARIATION", "mj_variation"),
        ("simple-change", {"content": "{id} R"}, {"content": "{up} R"}, "REROLL", "mj_reroll"),
        ("action", {"customId": "MJ::JOB::upsample::1::x"},
         {"customId": "MJ::JOB::upsample::1::x"}, "UPSCALE", "mj_upscale"),
        ("action", {"customId": "MJ::JOB::pan_left::1::x::SOLO"},
         {"customId": "MJ::JOB::pan_left::1::x::SOLO"}, "PAN", "mj_pan"),
    ),
)  # fmt: skip
def test_each_change_of_a_picture(
    hub: Hub,
    provider: FakeMidjourney,
    path: str,
    body: dict[str, Any],
    sent: dict[str, Any],
    action: str,
    model: str,
) -> None:
    tenant, name = hub.tenant(), f"{path} {body}"
    picture = finished(hub, tenant, f"source of {name}")
    upstream = provider.of(f"source of {name}").id
    wanted = {key: str(value).format(id=picture["id"], up=upstream) if key == "content" else value
              for key, value in body.items()}  # fmt: skip
    if path != "simple-change":
        wanted["taskId"] = picture["id"]
    answer = submit(hub, tenant, path, state=name, **wanted)
    assert answer.json()["code"] == 1, answer.body
    poll(hub, tenant)
    task = fetch_task(hub, tenant, answer.json()["result"])
    assert (task["status"], task["action"], task["state"]) == ("SUCCESS", action, name)
    assert task["customId"] == body.get("customId", "")
    arrived = dict(provider.of(name).body)
    assert arrived.pop("state") == name
    if path == "simple-change":
        assert arrived == {"content": sent["content"].format(up=upstream)}
    else:
        assert arrived == {**sent, "taskId": upstream}
    record = hub.record(answer.headers["x-request-id"])
    assert (record["model"], record["meters"]) == (model, {"requests": 1})


def test_pictures_that_are_sent(hub: Hub, provider: FakeMidjourney) -> None:
    tenant = hub.tenant()
    with apart(hub, "mj_blend") as other:
        blend = submitted(hub, tenant, "blend", base64Array=[PIXEL, PIXEL], dimensions="SQUARE",
                          botType="NIJI_JOURNEY", state="blended")  # fmt: skip
        poll(hub, tenant)
    describe = submitted(hub, tenant, "describe", base64=PIXEL, state="described")
    imagine = submitted(hub, tenant, "imagine", prompt="like this", base64Array=[PIXEL])
    assert other.of("blended").body == {
        "base64Array": [PIXEL, PIXEL], "botType": "NIJI_JOURNEY", "dimensions": "SQUARE",
        "state": "blended",
    }  # fmt: skip
    assert provider.of("described").body == {"base64": PIXEL, "state": "described"}
    assert provider.of("like this").body["base64Array"] == [PIXEL]
    poll(hub, tenant)
    messages = [fetch_task(hub, tenant, id_) for id_ in (blend, describe, imagine)]
    assert [task["action"] for task in messages] == ["BLEND", "DESCRIBE", "IMAGINE"]
    assert messages[0]["botType"] == "NIJI_JOURNEY"
    assert messages[1]["properties"] == {"finalPrompt": "described --v 6.1"}
    assert spent(hub, tenant) == 3 * CALL_NANO


def test_a_dialog_is_opened_and_answered(hub: Hub, provider: FakeMidjourney) -> None:
    tenant = hub.tenant()
    picture = finished(hub, tenant, "to be zoomed")
    opened = submitted(hub, tenant, "action", taskId=picture["id"], state="zoom dialog",
                       customId="MJ::CustomZoom::1")  # fmt: skip
    poll(hub, tenant)
    task = fetch_task(hub, tenant, opened)
    assert (task["status"], task["action"]) == ("MODAL", "CUSTOM_ZOOM")
    upstream, key = provider.of("zoom dialog").id, provider.of("zoom dialog").key
    answered = submitted(hub, tenant, "modal", taskId=opened, prompt="wider", maskBase64=PIXEL)
    assert answered != opened
    sent = provider.tasks[upstream]
    assert sent.body == {"prompt": "wider", "maskBase64": PIXEL, "taskId": upstream}
    assert sent.key == key
    poll(hub, tenant)
    assert fetch_task(hub, tenant, answered)["status"] == "SUCCESS"
    assert fetch_task(hub, tenant, answered)["action"] == "MODAL"
    # The dialog is free, and has the same end.
    assert fetch_task(hub, tenant, opened)["status"] == "SUCCESS"
    assert holds(hub, tenant) == ["settled"] * 3
    assert spent(hub, tenant) == 2 * CALL_NANO


@pytest.mark.parametrize("mode", quick("fast", "relax", "turbo"))
def test_the_modes_of_the_address(hub: Hub, provider: FakeMidjourney, mode: str) -> None:
    tenant, prompt = hub.tenant(), f"at a pace {mode}"
    id_ = submitted(hub, tenant, "imagine", f"/mj-{mode}/mj", prompt=prompt)
    wanted = [mode.upper()]
    assert provider.of(prompt).body == {
        "prompt": prompt, "modes": wanted, "accountFilter": {"modes": wanted},
    }  # fmt: skip
    body = hub.get(f"/mj-{mode}/mj/task/{id_}/fetch", tenant).json()
    assert (body["id"], body["prompt"]) == (id_, prompt)


def test_the_key_as_midjourneys_clients_send_it(hub: Hub, provider: FakeMidjourney) -> None:
    tenant = hub.tenant()
    body, secret = json.dumps({"prompt": "by secret"}).encode(), {"mj-api-secret": tenant.key}
    headers = {"content-type": "application/json"} | secret
    answer = hub.request("POST", "/mj/submit/imagine", None, body, headers)
    id_ = answer.json()["result"]
    assert hub.request("GET", f"/mj/task/{id_}/fetch", headers=secret).json()["id"] == id_
    refused = hub.request("GET", f"/mj/task/{id_}/fetch")
    assert (refused.status, refused.json()["code"]) == (401, 4)


def test_list_returns_existing_tasks_in_the_order_asked(hub: Hub, provider: FakeMidjourney) -> None:
    tenant, stranger = hub.tenant(), hub.tenant()
    ids = [submitted(hub, tenant, "imagine", prompt=f"listed {n}") for n in range(2)]
    theirs = submitted(hub, stranger, "imagine", prompt="theirs")
    asked = [ids[1], "1000000000000000", theirs, ids[0], ids[1], NUL, *STORABLE]
    path = "/mj/task/list-by-condition"
    answer = hub.post(tenant, {"ids": asked}, path=path)
    assert [task["id"] for task in answer.json()] == [ids[1], ids[0]]
    assert hub.post(tenant, {"ids": []}, path=path).json() == []
    for wrong, status in (({}, 400), ({"ids": "x"}, 400), ({"ids": [1]}, 400),
                          ({"ids": ["x"] * 101}, 422)):  # fmt: skip
        refused = hub.post(tenant, wrong, path=path)
        assert (refused.status, refused.json()["code"]) == (status, 4)


def test_the_seed_of_a_picture(hub: Hub, provider: FakeMidjourney) -> None:
    tenant, stranger = hub.tenant(), hub.tenant()
    early = submitted(hub, tenant, "imagine", prompt="seed #polls=9")
    path = f"/mj/task/{early}/image-seed"
    assert hub.get(path, tenant).status == 409
    provider.of("seed #polls=9").words.clear()
    poll(hub, tenant)
    upstream = provider.of("seed #polls=9").id
    assert hub.get(path, tenant).json() == {
        "code": 1, "description": "success", "result": f"seed-{upstream}",
    }  # fmt: skip
    assert hub.get(path, stranger).status == 404


# ---- who sees it


def test_image_is_passed_on_in_parts_to_a_link_holder(hub: Hub, provider: FakeMidjourney) -> None:
    """Without a key of ours, and without the provider's where it has put the picture."""
    tenant = hub.tenant()
    task = finished(hub, tenant, "shown around")
    path = task["imageUrl"][task["imageUrl"].index("/mj/image/") :]
    answer = hub.get(path)
    assert (answer.status, answer.body) == (200, PICTURE)
    assert answer.headers["content-type"] == "image/png"
    part = hub.request("GET", path, headers={"range": "bytes=5-14"})
    assert (part.status, part.body) == (206, PICTURE[5:15])
    assert "mj-api-secret" not in provider.seen[-1]
    assert hub.get("/mj/image/1000000000000000", tenant).status == 404
    hub.connection.execute(
        "UPDATE gateway_mediatask SET expires_at = now() WHERE public_id = %s", [task["id"]]
    )
    assert hub.get(path).status == 404
    assert fetch_task(hub, tenant, task["id"])["imageUrl"] == ""


def test_a_picture_needs_a_key_of_its_team_or_its_link(hub: Hub, provider: FakeMidjourney) -> None:
    tenant, stranger, pepper = hub.tenant(), hub.tenant(), os.environ["WEIR_KEY_PEPPER"]
    task, other = finished(hub, tenant, "mine"), finished(hub, tenant, "mine too")
    path = f"/mj/image/{task['id']}"
    link = task["imageUrl"][task["imageUrl"].index("/mj/image/") :]
    assert hub.get(path, hub.key(tenant)).body == hub.get(link).body == PICTURE
    assert hub.get(path, stranger).status == 404
    now = time.time()
    for wrong in (
        path,
        f"{link}0",
        link.replace(task["id"], other["id"]),
        link.replace("expires=", "expires=9"),
        signed_link(pepper, path, task["id"], now - LINK_S - 3600),
    ):
        assert hub.get(wrong).status == 401, wrong


@pytest.mark.parametrize(
    ("place", "status"),
    [("http://10.11.12.13/x.png", 502), ("file:///etc/passwd", 502), ("gone", 404), ("", 404)],
)
def test_a_picture_is_only_fetched_where_channels_may_go(
    hub: Hub, provider: FakeMidjourney, place: str, status: int
) -> None:
    tenant = hub.tenant()
    url = f"{provider.url}/gone" if place == "gone" else place
    task = finished(hub, tenant, f"elsewhere #picture={url}" if place else "nowhere #picture")
    answer = hub.get(f"/mj/image/{task['id']}", tenant)
    assert (answer.status, answer.json()["code"]) == (status, 3 if status == 404 else 9)


def test_only_keys_of_its_team_see_a_task(hub: Hub, provider: FakeMidjourney) -> None:
    tenant, stranger = hub.tenant(), hub.tenant()
    task = finished(hub, tenant, "secret")
    path = f"/mj/task/{task['id']}/fetch"
    assert hub.get(path, hub.key(tenant)).json() == task
    foreign, never = hub.get(path, stranger), hub.get("/mj/task/1234567890123456/fetch", tenant)
    assert (foreign.status, foreign.json()["code"], foreign.json()["result"]) == (404, 3, "")
    same = [answer.json() | {"description": "", "request_id": ""} for answer in (foreign, never)]
    assert same[0] == same[1]
    change = submit(hub, stranger, "change", taskId=task["id"], action="UPSCALE", index=1)
    assert (change.status, change.json()["code"]) == (404, 3)
    # It is no video, and no song.
    for other in (f"/v1/videos/{task['id']}", f"/suno/fetch/{task['id']}"):
        assert hub.get(other, tenant).status == 404
    assert hub.get("/v1/videos", tenant).json()["data"] == []


def test_prompt_is_not_stored_without_retention(hub: Hub, provider: FakeMidjourney) -> None:
    tenant = hub.tenant()
    hub.connection.execute(
        "UPDATE accounts_organisation SET retention_hours = 0 WHERE id = %s",
        [tenant.organisation_id],
    )
    hub.bump()
    task = finished(hub, tenant, "keep nothing")
    assert (task["prompt"], task["promptEn"], task["properties"]) == ("", "", {})
    assert (task["action"], task["status"]) == ("IMAGINE", "SUCCESS")
    assert hub.get(task["imageUrl"][task["imageUrl"].index("/mj/image/") :]).body == PICTURE


# ---- what is wrong


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("imagine", {}, 400),
        ("imagine", {"prompt": ""}, 422),
        ("imagine", {"prompt": 7}, 400),
        ("imagine", {"prompt": "x", "botType": "OTHER"}, 422),
        ("imagine", {"prompt": "x", "base64Array": ["https://a.example/x.png"]}, 422),
        ("imagine", {"prompt": "x", "base64Array": [7]}, 400),
        ("imagine", {"prompt": "x", "modes": ["SLOW"]}, 422),
        ("imagine", {"prompt": "x", "notifyHook": "file:///etc/passwd"}, 422),
        ("imagine", {"prompt": "x", "state": "x" * 2001}, 422),
        ("change", {"action": "UPSCALE", "index": 1}, 400),
        ("change", {"taskId": "1", "action": "UPSCALE"}, 400),
        ("change", {"taskId": "1", "action": "UPSCALE", "index": 5}, 422),
        ("change", {"taskId": "1", "action": "PAINT"}, 422),
        ("change", {"taskId": "1000000000000000", "action": "REROLL"}, 404),
        ("change", {"taskId": "\0'\";", "action": "REROLL"}, 404),
        ("simple-change", {"content": "U2"}, 422),
        ("describe", {}, 400),
        ("describe", {"base64": "data:text/html;base64,AA=="}, 422),
        ("action", {"taskId": "1"}, 400),
        ("action", {"taskId": "1", "customId": "MJ::BOOKMARK::1"}, 422),
        ("modal", {"prompt": "x"}, 400),
        ("shorten", {}, 400),
    ],
)  # fmt: skip
def test_errors_have_midjourneys_form(
    hub: Hub, provider: FakeMidjourney, path: str, body: dict[str, Any], status: int
) -> None:
    tenant = hub.tenant()
    answer = submit(hub, tenant, path, **body)
    document = answer.json()
    assert (answer.status, document["code"]) == (status, 3 if status == 404 else 4), document
    assert set(document) == {"code", "description", "type", "result", "request_id"}
    assert holds(hub, tenant) == []


def test_unsupported_operations_are_named(hub: Hub, provider: FakeMidjourney) -> None:
    """A hook would hear of the provider's ids: we call it. Which account works is not a client's
    choice."""
    tenant, prompt = hub.tenant(), "hooked"
    answer = submit(
        hub, tenant, "imagine", prompt=prompt, notifyHook="https://client.example/hook",
        instanceId="117", unknown=1,
    )  # fmt: skip
    assert answer.headers["x-weir-dropped-params"] == "instanceId,unknown"
    assert provider.of(prompt).body == {"prompt": prompt}


def test_repeated_order_is_one_image(hub: Hub, provider: FakeMidjourney) -> None:
    tenant, keyed, path = hub.tenant(), {"idempotency-key": "once"}, "/mj/submit/imagine"
    first = hub.post(tenant, {"prompt": "only one"}, path=path, headers=keyed)
    again = hub.post(tenant, {"prompt": "only one"}, path=path, headers=keyed)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    other = hub.post(tenant, {"prompt": "another"}, path=path, headers=keyed)
    assert (other.status, other.json()["code"]) == (422, 4)
    provider.of("only one")


def test_any_text_is_a_prompt(hub: Hub, provider: FakeMidjourney) -> None:
    tenant = hub.tenant()
    for text in (EVERYTHING, LONG, NUL):
        id_ = submitted(hub, tenant, "imagine", prompt=text, state=text[:200])
        task = fetch_task(hub, tenant, id_)
        assert (task["prompt"], task["state"]) == (text, text[:200])
        change = submit(hub, tenant, "change", taskId=text[:2000], action="REROLL")
        assert change.status == 404
