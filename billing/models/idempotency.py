"""Stored responses, for requests that are sent again."""

from django.db import models
from django.db.models.functions import Now

from lib.database.sealed_field import SealedField


class IdempotentAnswer(models.Model):
    """The response to a POST that moves money, for retries with the same key (P5)."""

    id = models.BigAutoField(primary_key=True)
    owner = models.CharField(max_length=80, help_text="An organisation, or an operator.")
    key_digest = models.BinaryField(max_length=32)
    asked_digest = models.BinaryField(max_length=32)
    status = models.SmallIntegerField()
    sealed = SealedField(place="billing_idempotentanswer|{owner}|{key_digest}")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "key_digest"], name="answer_once")]
        indexes = [models.Index(fields=["created_at"], name="answers_by_age")]

    def __str__(self) -> str:
        return f"{self.status} for {self.owner}"
