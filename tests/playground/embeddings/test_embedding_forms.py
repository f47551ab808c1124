"""Which inputs are embedded, and how vectors are shown beside each other (W15)."""

from typing import Any

import pytest

from lib.id_types import RequestId
from lib.ids import new_id
from playground.embeddings import embedding, views
from playground.embeddings.embedding import Embedded, EmbeddingRefused, embedding_body
from playground.models_offered.offered_models import OfferedModel
from relay.requests.outcome import Outcome
from tests.support.cast import Cast, actor

pytestmark = pytest.mark.django_db


@pytest.fixture
def offered(people: Cast, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(embedding, "embedding_models", lambda actor: [OfferedModel("vec", None)])
    return actor(people.bob, people.acme)


@pytest.mark.parametrize(
    ("dimensions", "sent"),
    [
        ("", None), (" 256 ", 256), ("1", 1), ("0", ""), ("x", ""), ("-1", ""),
        ("9" * 5_000, ""),
    ],
)  # fmt: skip
def test_dimensions_are_a_number_above_zero(offered: Any, dimensions: str, sent: Any) -> None:
    form = {"model": "vec", "text": " one \n\n two ", "dimensions": dimensions}
    if sent == "":
        with pytest.raises(EmbeddingRefused, match="whole number above 0"):
            embedding_body(offered, form)
        return
    body = embedding_body(offered, form)
    assert (body["input"], body.get("dimensions")) == (["one", "two"], sent)


def test_each_line_is_compared_with_every_other() -> None:
    facts: dict[str, Any] = {"finish_reason": "", "charge_nano": 0, "basis": "measured"}
    facts |= {"hold_nano": 0, "ttft_ms": None, "total_ms": 5, "meters": {"in_text": 7}}
    outcome = Outcome(request_id=RequestId(new_id()), status=200, kind=None, message="", **facts)
    embedded = Embedded(["a", "b", "c"], [(1.0, 0.0), (0.0, 2.0), (-1.0, 0.0)], outcome)
    shown = views._result(embedded, {"model": "vec", "input": ["a", "b", "c"]})
    assert [[text for text, _ in row.nearness] for row in shown["rows"]] == [
        ["1.000", "0.000", "−1.000"], ["0.000", "1.000", "0.000"], ["−1.000", "0.000", "1.000"],
    ]  # fmt: skip
    assert [(row.number, row.text, row.length) for row in shown["rows"]] == [
        (1, "a", "1.0000"), (2, "b", "2.0000"), (3, "c", "1.0000"),
    ]  # fmt: skip
    assert [shade for _, shade in shown["rows"][0].nearness] == [10, 0, 0]
    assert shown["in_tokens"] == 7
