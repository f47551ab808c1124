"""Chats of the playground: a tree of messages, and the runs that write the answers.

A run is one Send. It lives in the server: its events are rows, numbered from 1, and every page
reads them from the number that it has seen last.
"""

from django.db import models
from django.db.models.functions import Now

from lib.ids import id_text, new_id


class Conversation(models.Model):
    """One chat of one person. `model` is the one that was asked last."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, related_name="conversations"
    )
    team = models.ForeignKey("accounts.Team", models.PROTECT, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="conversations")
    title = models.CharField(max_length=120)
    model = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["organisation", "user", "-updated_at"], name="chats_of_a_person")
        ]

    def __str__(self) -> str:
        return self.title


class MessageRole(models.TextChoices):
    USER = "user"
    ASSISTANT = "assistant"


class RunState(models.TextChoices):
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Message(models.Model):
    """One message; siblings under one parent are versions of each other.

    An answer that is being written has no content yet: its text so far stands in its run's events.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    role = models.CharField(max_length=12, choices=MessageRole.choices)
    content = models.TextField(default="")
    reasoning = models.TextField(default="")
    model = models.CharField(max_length=200, default="")
    run = models.ForeignKey("Run", models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=12, choices=RunState.choices, default=RunState.DONE)
    request_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.role} {self.id}"

    @property
    def text_id(self) -> str:
        return id_text(self.id)


class Run(models.Model):
    """One Send. `token` is that of the form, so that a double submit is one run.

    `outcome` holds, once ended: status, kind, message, finish_reason, meters, charge_nano, basis,
    hold_nano, ttft_ms, total_ms, and thought_ms.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="runs")
    user_message = models.ForeignKey(Message, models.CASCADE, related_name="+")
    assistant_message = models.ForeignKey(Message, models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    model = models.CharField(max_length=200)
    token = models.UUIDField()
    request_id = models.UUIDField()
    state = models.CharField(max_length=12, choices=RunState.choices, default=RunState.RUNNING)
    process = models.CharField(max_length=80, help_text="Host and process id that carry it.")
    heartbeat_at = models.DateTimeField(db_default=Now())
    stop_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    outcome = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "token"], name="run_token_once"),
            models.UniqueConstraint(
                fields=["conversation"],
                condition=models.Q(ended_at=None),
                name="one_run_at_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["heartbeat_at"], condition=models.Q(ended_at=None), name="running_runs"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.state}"

    @property
    def text_id(self) -> str:
        return id_text(self.id)


class RunEvent(models.Model):
    """One frame of a run: what the page shows next, and the text in it.

    Kept until 15 minutes after the run's end; the message then has everything.
    """

    pk = models.CompositePrimaryKey("run_id", "seq")
    run = models.ForeignKey(Run, models.CASCADE, related_name="events", db_index=False)
    seq = models.IntegerField()
    html = models.TextField()
    text = models.TextField(default="")
    reasoning = models.TextField(default="")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.seq} of {self.run_id}"
