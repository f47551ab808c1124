"""I11: a price that was set beforehand begins by the database's clock."""

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub

DEARER = '{"meters": {"in_text": 9000000000, "out_text": 9000000000}}'


def test_new_price_starts_at_its_time(hub: Hub, fake: FakeUpstream) -> None:
    """Whichever request is admitted after that time is charged at it, and none before."""
    tenant, model = hub.tenant("100"), hub.model(fake)
    (old,) = hub.rows(
        "UPDATE billing_priceversion v SET valid_to = clock_timestamp() + interval '2 s' "
        "FROM billing_price p WHERE p.id = v.price_id AND p.model = %s RETURNING v.*", model,
    )  # fmt: skip
    (new,) = hub.rows(
        "INSERT INTO billing_priceversion (price_id, valid_from, rates, source) "
        "VALUES (%s, %s, %s, 'test') RETURNING *", old["price_id"], old["valid_to"], DEARER,
    )  # fmt: skip
    hub.bump()
    records = []

    def begun() -> bool:
        answer = hub.post(tenant, ask(model, "#tokens=1", max_tokens=5))
        records.append(hub.record(answer.headers["x-request-id"]))
        return bool(records[-1]["price_version_id"] == new["id"])

    hub.wait(begun, "the new price is not used", seconds=20)
    before = [row for row in records if row["price_version_id"] == old["id"]]
    assert before
    for row in before:
        # Between the choice of the price and the admission lies a part of the request itself.
        late_s = (row["admitted_at"] - new["valid_from"]).total_seconds()
        assert late_s < row["total_ms"] / 1000 + 0.05
    assert (new["valid_from"] - records[-1]["admitted_at"]).total_seconds() < 0.05
