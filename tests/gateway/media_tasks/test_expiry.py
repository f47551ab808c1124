"""Kept content is gone when its time is over (docs/promises.md, "Protocol state")."""

import datetime as dt
from datetime import timedelta

import pytest

from accounts.models import Organisation
from gateway.models import AnswerPiece, CachedAnswer, IdempotentAnswer, KeptState
from gateway.tasks import drop_expired, drop_expired_state
from lib import clock
from lib.ids import new_id

pytestmark = pytest.mark.django_db

_MODELS = (KeptState, CachedAnswer, IdempotentAnswer, AnswerPiece)


def fill(owner: Organisation, expires_at: dt.datetime) -> None:
    KeptState.objects.create(organisation=owner, id=new_id(), sealed=b"x", expires_at=expires_at)
    CachedAnswer.objects.create(
        organisation=owner, id=new_id(), size=1, sealed=b"x", expires_at=expires_at
    )
    request_id = new_id()
    IdempotentAnswer.objects.create(
        organisation=owner,
        id=new_id(),
        body_digest=b"d",
        request_id=request_id,
        state=IdempotentAnswer.State.ENDED,
        alive_until=expires_at,
        expires_at=expires_at,
    )
    AnswerPiece.objects.create(
        organisation=owner, request_id=request_id, n=0, sealed=b"x", expires_at=expires_at
    )


def counts() -> list[int]:
    return [model.objects.count() for model in _MODELS]


def test_only_expired_links_are_dropped() -> None:
    owner = Organisation.objects.create(name="o", slug="o")
    for hours in (-25, -1, 1, 23):
        fill(owner, clock.now() + timedelta(hours=hours))
    assert drop_expired() == 8
    assert counts() == [2, 2, 2, 2]
    assert drop_expired_state() == 0


def test_more_than_a_batch_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.tasks._BATCH", 2)
    owner = Organisation.objects.create(name="o", slug="o")
    for _ in range(5):
        fill(owner, clock.now() - timedelta(seconds=1))
    assert drop_expired() == 20
    assert counts() == [0, 0, 0, 0]
