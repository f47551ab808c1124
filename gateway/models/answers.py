"""Answers that are kept for later requests."""

from django.db import models
from django.db.models.functions import Now

from lib.database.sealed_field import SealedField


class KeptState(models.Model):
    """The state that a later request may continue from: a stored response, or the seals of a tool
    call.

    `id` is derived from its kind, team and name (relay/states/state_store.py), which are stored
    nowhere; `sealed` opens for this row only. `user_id` is whose request it was. Nothing is kept
    for more than 24 hours.
    """

    pk = models.CompositePrimaryKey("organisation_id", "id")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    id = models.UUIDField()
    user_id = models.BigIntegerField(null=True)
    sealed = SealedField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.id)


class CachedAnswer(models.Model):
    """An answer that is served again to identical requests (relay/answers/answer_cache.py).

    `id` is derived from the request and from the key or team that shares the answer, which are
    stored nowhere else. `user_id` is whose request it answered; `size` counts bytes.
    """

    pk = models.CompositePrimaryKey("organisation_id", "id")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    id = models.UUIDField()
    user_id = models.BigIntegerField(null=True, db_index=True)
    size = models.IntegerField()
    sealed = SealedField()
    stored_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.id)


class IdempotentAnswer(models.Model):
    """One use of an Idempotency-Key: the body that it came with, and the head of the answer.

    `id` is derived from the API key and the client's key. While the request is running, its process
    renews `alive_until`. A row that is `not_kept` has ended without its answer, because its content
    may not be kept. A response that runs in the background is such a row as well: `id` is derived
    from its own id, `head` is the response (relay/answers/background.py).
    """

    class State(models.TextChoices):
        RUNNING = "running"
        ENDED = "ended"
        NOT_KEPT = "not_kept"

    pk = models.CompositePrimaryKey("organisation_id", "id")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    id = models.UUIDField()
    body_digest = models.BinaryField(max_length=32)
    request_id = models.UUIDField()
    state = models.CharField(max_length=8, choices=State.choices)
    head = SealedField(
        null=True, place="gateway_idempotentanswer|{organisation_id}/{id}/{request_id}|head"
    )
    alive_until = models.DateTimeField()
    # When somebody noticed that its time was over. It is dead a while later, if it is not renewed.
    suspected_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.request_id} {self.state}"


class AnswerPiece(models.Model):
    """A piece of a stored answer, in the client's own bytes, sealed for its row."""

    pk = models.CompositePrimaryKey("organisation_id", "request_id", "n")
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    request_id = models.UUIDField()
    n = models.IntegerField()
    sealed = SealedField()
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.request_id} {self.n}"
