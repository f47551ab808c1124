"""Tasks with an organisation's own provider key: which key starts, polls and reads a task, what is
charged, and who else can use it (P12, P14, I7)."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.fakes.videos import FakeVideos
from tests.relay.media.test_videos import accepted, fetch_video, holds, order, spent, video_model
from tests.relay.own_keys.test_own_keys import channel_of, knows
from tests.relay.poller import poll
from tests.support.hub import Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

SHARED, ALICE, BOB = "sk-shared-0000", "sk-alice-11111", "sk-bobby-22222"
PRICE_NANO, FEE_NANO = 800_000_000, 5_000


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeVideos]:
    """A provider with three accounts: none has what was made for another."""
    with FakeVideos(SHARED, ALICE, BOB) as fake:
        yield fake


@pytest.fixture(scope="module")
def model(hub: Hub, provider: FakeVideos) -> str:
    return video_model(hub, provider)


def own_key(
    hub: Hub, tenant: Tenant, model: str, secret: str, *, fall_back: bool = False, fee: int = 0
) -> UUID:
    key_id = hub.own_key(tenant, channel_of(hub, model), secret, fall_back=fall_back, fee=(fee, 0))
    knows(hub)
    return key_id


def content(hub: Hub, tenant: Tenant, id_: str) -> tuple[int, bytes]:
    answer = hub.get(f"/v1/videos/{id_}/content", tenant)
    return answer.status, answer.body


def test_task_uses_the_own_key_from_start_to_end(
    hub: Hub, provider: FakeVideos, model: str
) -> None:
    """P12: two organisations with keys of their own, and one with none, at the same channel."""
    keys = {hub.tenant(): ALICE, hub.tenant(): BOB, hub.tenant(): SHARED}
    for tenant, secret in keys.items():
        if secret != SHARED:
            own_key(hub, tenant, model, secret)
    ordered = {}
    for tenant, secret in keys.items():
        ordered[tenant] = accepted(hub, tenant, model, f"a cat {secret} #polls=2")["id"]
        assert provider.of(f"a cat {secret} #polls=2").key == secret
    for tenant, secret in keys.items():
        poll(hub, tenant, 2)
        video = provider.of(f"a cat {secret} #polls=2")
        assert fetch_video(hub, tenant, ordered[tenant])["status"] == "completed"
        assert content(hub, tenant, ordered[tenant]) == (200, video.content)
        remix = hub.post(
            tenant, {"prompt": f"night {secret}"}, path=f"/v1/videos/{ordered[tenant]}/remix"
        )
        assert remix.status == 200, remix.body
        assert provider.of(f"night {secret}").key == secret
        poll(hub, tenant)
    for tenant in keys:
        others = [id_ for other, id_ in ordered.items() if other is not tenant]
        assert {hub.get(f"/v1/videos/{id_}", tenant).status for id_ in others} == {404}
        assert {content(hub, tenant, id_)[0] for id_ in others} == {404}


def test_task_costs_the_fee_alone_and_counts_the_price(hub: Hub, provider: FakeVideos) -> None:
    """The fee is held in the wallet and the price in the budget, from the order to the end."""
    model, tenant = video_model(hub, provider), hub.tenant("0.01")
    own_key(hub, tenant, model, ALICE, fee=FEE_NANO)
    hub.budget(tenant, "1")
    knows(hub)
    answer = order(hub, tenant, model, "a fee")
    assert answer.status == 200, answer.body
    assert answer.headers["x-weir-hold"] == "0.000005"
    window = hub.windows(tenant)["key"]
    assert window["held_nano"] == PRICE_NANO + FEE_NANO
    # A second one would be beyond the budget: it counts what the organisation pays elsewhere.
    assert order(hub, tenant, model, "another").status == 402
    poll(hub, tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["charge_nano"], record["own_nano"]) == (FEE_NANO, PRICE_NANO)
    assert (record["cost_nano"], record["basis"]) == (0, "measured")
    assert (spent(hub, tenant), holds(hub, tenant)) == (FEE_NANO, ["settled"])
    window = hub.windows(tenant)["key"]
    assert (window["spent_nano"], window["held_nano"]) == (PRICE_NANO + FEE_NANO, 0)


def test_failed_task_costs_neither_fee_nor_price(hub: Hub, provider: FakeVideos) -> None:
    model, tenant = video_model(hub, provider), hub.tenant()
    own_key(hub, tenant, model, ALICE, fee=FEE_NANO)
    hub.budget(tenant, "1")
    knows(hub)
    answer = order(hub, tenant, model, "it fails #fail=blocked")
    poll(hub, tenant)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["charge_nano"], record["own_nano"], record["cost_nano"]) == (0, 0, 0)
    window = hub.windows(tenant)["key"]
    assert (window["spent_nano"], window["held_nano"]) == (0, 0)
    assert (spent(hub, tenant), holds(hub, tenant)) == (0, ["voided"])


def test_no_other_key_touches_a_removed_keys_task(hub: Hub, provider: FakeVideos) -> None:
    """P12: it is not polled and not read with the installation's key; it ends by its time."""
    model, tenant, prompt = video_model(hub, provider), hub.tenant(), "removed #polls=1"
    key_id = own_key(hub, tenant, model, ALICE)
    video = accepted(hub, tenant, model, prompt)
    hub.connection.execute("DELETE FROM gateway_ownkey WHERE id = %s", [key_id])
    knows(hub)
    poll(hub, tenant)
    assert (provider.of(prompt).polls, holds(hub, tenant)) == (0, ["open"])
    assert fetch_video(hub, tenant, video["id"])["status"] == "queued"
    hub.connection.execute(
        "UPDATE gateway_mediatask SET created_at = now() - interval '25 hours' "
        "WHERE organisation_id = %s", [tenant.organisation_id],
    )  # fmt: skip
    poll(hub, tenant)
    assert fetch_video(hub, tenant, video["id"])["status"] == "failed"
    assert (provider.of(prompt).polls, holds(hub, tenant)) == (0, ["voided"])


def test_finished_task_of_a_removed_key_is_not_read_with_another(
    hub: Hub, provider: FakeVideos
) -> None:
    model, tenant = video_model(hub, provider), hub.tenant()
    key_id = own_key(hub, tenant, model, ALICE)
    video = accepted(hub, tenant, model, "removed behind its end")
    poll(hub, tenant)
    hub.connection.execute("DELETE FROM gateway_ownkey WHERE id = %s", [key_id])
    knows(hub)
    assert content(hub, tenant, video["id"])[0] == 503
    remix = hub.post(tenant, {"prompt": "x"}, path=f"/v1/videos/{video['id']}/remix")
    assert remix.status == 503
    assert [one.prompt for one in provider.videos.values()].count("x") == 0


def test_replaced_key_continues_its_tasks(hub: Hub, provider: FakeVideos) -> None:
    """The row is the key: its new secret is of the same account."""
    model, tenant, prompt = video_model(hub, provider), hub.tenant(), "replaced"
    key_id = own_key(hub, tenant, model, ALICE)
    accepted(hub, tenant, model, prompt)
    provider.of(prompt).key = BOB
    hub.connection.execute(
        "UPDATE gateway_ownkey SET sealed = %s WHERE id = %s",
        [hub._vault.seal(BOB, f"gateway_ownkey|{key_id}|sealed"), key_id],
    )
    poll(hub, tenant)
    assert holds(hub, tenant) == ["settled"]


def test_task_of_the_installation_stays_with_it(hub: Hub, provider: FakeVideos) -> None:
    """A key that is added while a task runs does not take it over."""
    model, tenant, prompt = video_model(hub, provider), hub.tenant(), "before #polls=1"
    video = accepted(hub, tenant, model, prompt)
    own_key(hub, tenant, model, ALICE, fall_back=True)
    poll(hub, tenant)
    assert content(hub, tenant, video["id"])[0] == 200
    remix = hub.post(tenant, {"prompt": "behind"}, path=f"/v1/videos/{video['id']}/remix")
    assert remix.status == 200, remix.body
    assert provider.of("behind").key == SHARED


def test_rate_limited_account_delays_no_other(hub: Hub, provider: FakeVideos) -> None:
    """P14: the provider asks one account to wait; tasks of others at the channel go on."""
    model, alice, bob = video_model(hub, provider), hub.tenant(), hub.tenant()
    own_key(hub, alice, model, ALICE)
    accepted(hub, alice, model, "busy #away=9 #wait=70")
    video = accepted(hub, bob, model, "not busy")
    hub.connection.execute(
        "UPDATE gateway_mediatask SET next_poll_at = now() - interval '1 hour' "
        "WHERE organisation_id = %s", [alice.organisation_id],
    )  # fmt: skip
    poll(hub, bob)
    assert provider.of("busy #away=9 #wait=70").polls == 1
    assert fetch_video(hub, bob, video["id"])["status"] == "completed"


def test_refused_own_key_falls_back_to_the_installation(hub: Hub, provider: FakeVideos) -> None:
    """The task is then the installation's: its price is charged, and its key polls."""
    model, tenant, prompt = video_model(hub, provider), hub.tenant(), "it falls back"
    own_key(hub, tenant, model, "sk-wrong-44444", fall_back=True, fee=FEE_NANO)
    accepted(hub, tenant, model, prompt)
    assert provider.of(prompt).key == SHARED
    poll(hub, tenant)
    assert spent(hub, tenant) == PRICE_NANO
    assert sorted(holds(hub, tenant)) == ["settled", "voided"]
