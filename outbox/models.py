"""Facts, committed together with their cause. `notify` delivers them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from lib.ids import new_id


class Fact(models.Model):
    """An event to deliver to its subscribers.

    `organisation_id` is None for a fact of the installation, for its operators; `team_id` is None
    for a fact that is not of one team. The body is the payload of a webhook: decimal strings for
    money, public ids, no secrets. `people` receive an email whatever their role, as long as they
    are members.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation_id = models.UUIDField(null=True)
    team_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=60)
    body = models.JSONField(default=dict)
    people = ArrayField(models.BigIntegerField(), default=list, db_default=[])
    created_at = models.DateTimeField(db_default=Now())
    taken_at = models.DateTimeField(null=True, help_text="When its deliveries were made.")

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=models.Q(taken_at=None), name="facts_to_tell")
        ]

    def __str__(self) -> str:
        return self.kind
