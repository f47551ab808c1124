"""Tasks of Suno over the real hub: what clients read, what the provider billed, and what the books
say."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from notify.endpoints.signing import key_secret
from tests.fakes.suno import SOUND, FakeSuno
from tests.notify.receiver import receiver, signed
from tests.relay import sweeper
from tests.relay.poller import poll
from tests.relay.task_services import CALL_NANO, holds, quick, serve, spent
from tests.support.hostile import EVERYTHING, LONG, NUL
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

NOBODYS = "736a6f88-bd29-4b1e-b110-37132a5325ac"


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeSuno]:
    with FakeSuno() as fake:
        serve(hub, fake, "suno_api", ["suno_music", "suno_lyrics"])
        yield fake


def submit(hub: Hub, tenant: Tenant, action: str, **body: Any) -> Answer:
    return hub.post(tenant, body, path=f"/suno/submit/{action}")


def submitted(hub: Hub, tenant: Tenant, action: str, **body: Any) -> str:
    answer = submit(hub, tenant, action, **body)
    document = answer.json()
    assert (answer.status, document["code"], document["message"]) == (200, "success", ""), (
        answer.body
    )
    id_: str = document["data"]
    assert str(UUID(id_)) == id_
    return id_


def fetch_task(hub: Hub, tenant: Tenant, id_: str) -> dict[str, Any]:
    answer = hub.get(f"/suno/fetch/{id_}", tenant)
    body = answer.json()
    assert (answer.status, body["code"], body["message"]) == (200, "success", "")
    data: dict[str, Any] = body["data"]
    return data


def finished(hub: Hub, tenant: Tenant, prompt: str) -> dict[str, Any]:
    id_ = submitted(hub, tenant, "music", prompt=prompt)
    poll(hub, tenant)
    return fetch_task(hub, tenant, id_)


def test_song_is_held_when_ordered_and_charged_once_at_its_end(
    hub: Hub, provider: FakeSuno
) -> None:
    tenant, prompt = hub.tenant(), "city lights #polls=3"
    hook = "https://127.0.0.1/hook"
    answer = submit(hub, tenant, "music", prompt=prompt, tags="punk", title="Lights",
                    mv="chirp-v4", notify_hook=hook)  # fmt: skip
    assert answer.headers["x-weir-hold"] == "0.10"
    id_ = answer.json()["data"]
    task = fetch_task(hub, tenant, id_)
    assert (task["status"], task["progress"], task["data"]) == ("SUBMITTED", "0%", None)
    poll(hub, tenant, 2)
    task = fetch_task(hub, tenant, id_)
    assert (task["status"], task["progress"]) == ("IN_PROGRESS", "20%")
    assert (holds(hub, tenant), spent(hub, tenant)) == (["open"], 0)
    poll(hub, tenant, 2)
    task = fetch_task(hub, tenant, id_)
    assert 0 < task.pop("submit_time") <= task.pop("start_time") <= task.pop("finish_time")
    (clip,) = task.pop("data")
    assert task == {
        "task_id": id_, "notify_hook": hook, "action": "MUSIC", "status": "SUCCESS",
        "fail_reason": "", "progress": "100%",
    }  # fmt: skip
    assert (clip["video_url"], clip["title"]) == ("", "Lights")
    for file in ("audio_url", "image_url", "image_large_url"):
        path, _, query = clip[file].partition("?")
        assert path.endswith(f"/suno/file/{id_}")
        assert query.endswith(f"&clip=0&file={file}")
    record = hub.record(answer.headers["x-request-id"])
    assert (record["operation"], record["model"]) == ("suno_music", "suno_music")
    assert (record["meters"], record["basis"]) == ({"requests": 1}, "measured")
    assert record["charge_nano"] == spent(hub, tenant) == CALL_NANO * provider.billed(prompt)
    assert provider.of(prompt).body == {
        "prompt": prompt, "tags": "punk", "title": "Lights", "mv": "chirp-v4",
    }  # fmt: skip


def call_hooks(name: str) -> int:
    """Beside the hub: deliver what tells of tasks; how often it was tried."""
    from django.conf import settings
    from django.db import connection

    from notify.deliveries import deliveries, sending

    connection.settings_dict["NAME"] = name
    settings.WEBHOOK_EGRESS_ALLOW = ["127.0.0.1/32"]
    kinds = ["task.completed", "task.failed"]
    deliveries.spread_facts(1000, kinds)
    due = deliveries.lease_due(1000, kinds)
    for delivery_id in due:
        sending.send(delivery_id)
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    return len(due)


@pytest.mark.parametrize(("prompt", "kept"), [("hooked", True), ("hooked #fail=sensitive", False)])
def test_hook_is_called_once_with_the_ended_task(
    hub: Hub, provider: FakeSuno, prompt: str, kept: bool
) -> None:
    """Also where nothing of a request may be kept; what is sealed for it goes with it."""
    tenant = hub.tenant()
    if not kept:
        hub.connection.execute(
            "UPDATE accounts_organisation SET retention_hours = 0 WHERE id = %s",
            [tenant.organisation_id],
        )
        hub.bump()
    with receiver() as server:
        id_ = submitted(hub, tenant, "music", prompt=prompt, notify_hook=f"{server.url}/done")
        sealed = "SELECT count(hook) AS n FROM gateway_mediatask WHERE public_id = %s"
        assert hub.rows(sealed, id_) == [{"n": 1}]
        sweeper.beside(hub, call_hooks)
        assert server.got == []
        poll(hub, tenant)
        assert hub.rows(sealed, id_) == [{"n": 0}]
        for _ in range(2):
            sweeper.beside(hub, call_hooks)
    ((headers, body),) = server.got
    assert json.loads(body) == fetch_task(hub, tenant, id_)
    assert signed(key_secret(tenant.key), headers, body)
    assert hub.rows(
        "SELECT fact.kind, state, hook FROM notify_delivery delivery "
        "JOIN outbox_fact fact ON fact.id = fact_id WHERE organisation_id = %s",
        tenant.organisation_id,
    ) == [{"kind": "task.completed" if kept else "task.failed", "state": "delivered", "hook": None}]


def test_lyrics(hub: Hub, provider: FakeSuno) -> None:
    tenant = hub.tenant()
    id_ = submitted(hub, tenant, "lyrics", prompt="a town at night")
    poll(hub, tenant)
    task = fetch_task(hub, tenant, id_)
    assert (task["action"], task["status"]) == ("LYRICS", "SUCCESS")
    assert task["data"]["text"] == "[Verse] city lights"
    assert spent(hub, tenant) == CALL_NANO


def test_a_failed_song_costs_nothing_and_says_why(hub: Hub, provider: FakeSuno) -> None:
    tenant = hub.tenant()
    task = finished(hub, tenant, "no #fail=sensitive")
    assert (task["status"], task["fail_reason"], task["data"]) == ("FAILURE", "sensitive", None)
    assert (spent(hub, tenant), holds(hub, tenant)) == (0, ["voided"])


@pytest.mark.parametrize("lie", quick("data", "id", "state", "json", "empty"))
def test_impossible_provider_reports_are_not_believed(
    hub: Hub, provider: FakeSuno, lie: str
) -> None:
    tenant, prompt = hub.tenant(), f"a song #lie={lie}"
    task = finished(hub, tenant, prompt)
    assert (task["status"], holds(hub, tenant)) == ("SUBMITTED", ["open"])
    provider.of(prompt).words.clear()
    poll(hub, tenant)
    assert fetch_task(hub, tenant, task["task_id"])["status"] == "SUCCESS"
    assert spent(hub, tenant) == CALL_NANO


def test_a_refusal_is_passed_on_by_its_code_and_costs_nothing(hub: Hub, provider: FakeSuno) -> None:
    tenant = hub.tenant()
    answer = submit(hub, tenant, "music", prompt="bad #code=sensitive_words")
    body = answer.json()
    assert (answer.status, body["code"], body["message"], body["data"]) == (
        200, "sensitive_words", "refused", None
    )  # fmt: skip
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == ("provider_rejected", 0)
    assert spent(hub, tenant) == 0


def test_song_is_continued_by_the_account_that_has_its_clip(hub: Hub, provider: FakeSuno) -> None:
    tenant = hub.tenant()
    songs = [finished(hub, tenant, f"part one {n}") for n in range(4)]
    assert {provider.of(f"part one {n}").key for n in range(4)} == set(provider.keys)
    for n, song in enumerate(songs):
        source, prompt = provider.of(f"part one {n}"), f"part two {n}"
        clip = song["data"][0]["id"]
        submitted(hub, tenant, "music", prompt=prompt, continue_clip_id=clip, continue_at=60,
                  task_id=song["task_id"])  # fmt: skip
        created = provider.of(prompt)
        assert (created.key, created.body["task_id"]) == (source.key, source.id)
    early = submitted(hub, tenant, "music", prompt="open #never")
    for task_id, status in ((NOBODYS, 404), (early, 409), (NUL, 404)):
        refused = submit(hub, tenant, "music", prompt="x", continue_clip_id="c", task_id=task_id)
        assert refused.status == status
        assert refused.json()["data"] is None


def test_batch_returns_existing_tasks(hub: Hub, provider: FakeSuno) -> None:
    tenant, stranger = hub.tenant(), hub.tenant()
    music = submitted(hub, tenant, "music", gpt_description_prompt="a punk song")
    lyrics = submitted(hub, tenant, "lyrics", prompt="words")
    theirs = submitted(hub, stranger, "lyrics", prompt="their words")
    asked = [lyrics, NOBODYS, theirs, music, EVERYTHING, NUL, LONG]

    def listed(**over: Any) -> list[str]:
        answer = hub.post(tenant, {"ids": asked, **over}, path="/suno/fetch")
        assert answer.json()["code"] == "success"
        return [task["task_id"] for task in answer.json()["data"]]

    assert listed() == [lyrics, music]
    assert listed(action="MUSIC") == [music]
    for wrong, status in (({}, 400), ({"ids": [1]}, 400), ({"ids": ["x"] * 101}, 422),
                          ({"ids": [], "action": "DANCE"}, 422)):  # fmt: skip
        refused = hub.post(tenant, wrong, path="/suno/fetch")
        assert (refused.status, refused.json()["data"]) == (status, None)


def test_only_keys_of_its_team_see_a_task(hub: Hub, provider: FakeSuno) -> None:
    tenant, stranger = hub.tenant(), hub.tenant()
    task = finished(hub, tenant, "secret")
    path = f"/suno/fetch/{task['task_id']}"
    assert hub.get(path, hub.key(tenant)).json()["data"] == task
    foreign, never = hub.get(path, stranger), hub.get(f"/suno/fetch/{NOBODYS}", tenant)
    assert (foreign.status, foreign.json()["code"]) == (404, "task_not_found")
    same = [answer.json() | {"message": "", "request_id": ""} for answer in (foreign, never)]
    assert same[0] == same[1]
    assert hub.get(path).status == 401
    for other in (f"/v1/videos/{task['task_id']}", f"/mj/task/{task['task_id']}/fetch"):
        assert hub.get(other, tenant).status == 404


def test_errors_have_sunos_form(hub: Hub, provider: FakeSuno) -> None:
    tenant = hub.tenant()
    answer = submit(hub, tenant, "music", prompt=7)
    assert answer.status == 400
    assert answer.json() | {"message": "", "request_id": ""} == {
        "code": "invalid_type", "message": "", "data": None, "request_id": "",
    }  # fmt: skip
    assert submit(hub, tenant, "dance", prompt="x").status == 404
    dropped = submit(hub, tenant, "lyrics", prompt="known", other=1)
    assert dropped.headers["x-weir-dropped-params"] == "other"
    assert provider.of("known").body == {"prompt": "known"}
    for text in (EVERYTHING, LONG, NUL):
        submitted(hub, tenant, "lyrics", prompt=text)
    assert submit(hub, hub.tenant("0.09"), "lyrics", prompt="dear").status == 402


def test_a_file_of_a_song_needs_a_key_of_its_team_or_its_link(hub: Hub, provider: FakeSuno) -> None:
    tenant, stranger = hub.tenant(), hub.tenant()
    task, other = finished(hub, tenant, "mine #clips=2"), finished(hub, tenant, "too #clips=1")
    link = task["data"][1]["audio_url"]
    assert provider.url not in json.dumps(task)
    link = link[link.index("/suno/file/") :]
    path = f"/suno/file/{task['task_id']}"
    answer = hub.get(link)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (
        200,
        SOUND,
        "audio/mpeg",
    )
    assert hub.get(f"{path}?clip=1", hub.key(tenant)).body == SOUND
    assert hub.get(path, stranger).status == 404
    for wrong in (path, f"{path}?clip=1", link.replace(task["task_id"], other["task_id"])):
        assert hub.get(wrong).status == 401
    for clip, file in (("2", "audio_url"), ("-1", "audio_url"), ("0", "title"), ("0", "no_url"),
                       ("0", "video_url"), ("x", "audio_url")):  # fmt: skip
        gone = hub.get(f"{path}?clip={clip}&file={file}", hub.key(tenant))
        assert (gone.status, gone.json()["code"]) == (404, "task_not_found")
