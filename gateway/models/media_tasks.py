"""Media tasks: requests that providers work on after accepting them."""

from django.db import models
from django.db.models.functions import Now

from lib.database.sealed_field import SealedField


class TaskState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class MediaTask(models.Model):
    """A task that a provider has accepted. Its id is that of its attempt and its hold, which have
    the price, the model's route and the money.

    `public_id` is the clients' id for it. It cannot be guessed, and reveals nothing of the
    provider. `request` and `result` are content: JSON, null if it may not be kept, or no longer is.
    `form` says how its provider is polled (gateway/providers/task_forms.py), `channel_key_id` with
    which key of the channel, null without one. With an `own_key` of its organisation a task is
    polled with that key or not at all. `state` changes by gateway/media_tasks/rules.py.
    `provider_state` is the provider's own state, for clients that read it. `seconds` is 0 and
    `size` is "" for a task without them. `remixed_from` is the task from which it was created.

    `hook` is the address to notify of the end, and what signs the notification: {"url", "secret",
    "key"}, null for none and after the end. `next_poll_at` is the time of the next poll, null after
    the end. `callback_token` authenticates the provider's callback, "" if there is none. The result
    is available until `expires_at`; the content of a failed task is kept until then too.
    """

    id = models.UUIDField(primary_key=True)
    public_id = models.CharField(max_length=40, unique=True)
    organisation = models.ForeignKey(
        "accounts.Organisation",
        models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    team_id = models.UUIDField()
    request_id = models.UUIDField(db_index=True)
    operation = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    form = models.CharField(max_length=40)
    channel_id = models.UUIDField()
    channel_key_id = models.UUIDField(null=True)
    own_key = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether that key is one of its organisation's own.",
    )
    upstream_id = models.CharField(max_length=200)
    state = models.CharField(max_length=9, choices=TaskState.choices, default=TaskState.QUEUED)
    provider_state = models.CharField(max_length=20, blank=True, default="", db_default="")
    progress = models.PositiveSmallIntegerField(default=0)
    seconds = models.PositiveIntegerField()
    size = models.CharField(max_length=12)
    remixed_from = models.CharField(max_length=40, blank=True, default="")
    request = SealedField(null=True)
    result = SealedField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    next_poll_at = models.DateTimeField(null=True)
    polled_at = models.DateTimeField(null=True)
    callback_token = models.CharField(max_length=43, blank=True, default="", db_default="")
    hook = SealedField(null=True)
    polls = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    state__in=["queued", "running"],
                    next_poll_at__isnull=False,
                    ended_at=None,
                )
                | models.Q(
                    state__in=["succeeded", "failed"],
                    next_poll_at=None,
                    ended_at__isnull=False,
                    expires_at__isnull=False,
                ),
                name="task_polled_until_its_end",
            )
        ]
        indexes = [
            models.Index(
                fields=["next_poll_at"],
                condition=models.Q(next_poll_at__isnull=False),
                name="tasks_to_poll",
            ),
            models.Index(
                fields=["team_id", "-id"],
                condition=models.Q(deleted_at=None),
                name="tasks_of_team",
            ),
            models.Index(
                fields=["expires_at"],
                condition=~models.Q(request=None, result=None),
                name="tasks_with_content",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} {self.state}"
