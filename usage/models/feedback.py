"""Feedback about requests: how good their answers were."""

from django.db import models
from django.db.models.functions import Now

from lib.ids import new_id


class Feedback(models.Model):
    """What an author says about the answer to a request. A later one of the same author replaces
    it.

    The author is an API key, `author_key_id`; in the playground that is the key of the request.
    `author` is the person of that key, or of the chat. Team, key, person, model and prompt are
    those of the request, so that whoever sees the request sees its feedback, also without the
    record.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, related_name="+", db_index=False
    )
    request_id = models.UUIDField()
    author_key_id = models.UUIDField()
    author = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    team_id = models.UUIDField()
    key_id = models.UUIDField()
    user_id = models.BigIntegerField(null=True)
    model = models.CharField(max_length=200)
    prompt = models.CharField(max_length=60, db_default="")
    prompt_version = models.IntegerField(null=True)
    score = models.SmallIntegerField(null=True)
    label = models.CharField(max_length=100, db_default="")
    comment = models.TextField(db_default="")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "request_id", "author_key_id"], name="feedback_once"
            ),
            models.CheckConstraint(
                condition=models.Q(score__range=(0, 100)), name="feedback_score_in_range"
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="feedback_by_age"),
            models.Index(fields=["organisation", "created_at"], name="feedback_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.score} {self.label}"
