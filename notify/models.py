"""Webhooks and chats that receive facts, and the deliveries to them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from lib.database.sealed_field import SealedField
from lib.ids import new_id


class Service(models.TextChoices):
    """The receiver of the events: a program of the organisation, or a chat service."""

    WEBHOOK = "webhook", gettext_lazy("Your server (signed events)")
    SLACK = "slack", "Slack"
    FEISHU = "feishu", gettext_lazy("Feishu or Lark")
    DINGTALK = "dingtalk", gettext_lazy("DingTalk")
    WECOM = "wecom", gettext_lazy("WeCom")


class WebhookEndpoint(models.Model):
    """An organisation's address for signed events or chat messages. Without an organisation it
    belongs to the operators and gets their alerts.

    The secret is sealed for its row and shown once. After a rotation the previous secret also signs
    until `before_until`, so that a receiver can change over. If a management key created the
    webhook or set its address, it gets events as long as that key works.

    For a chat, `sealed` holds the whole address with the signing secret
    (`notify/endpoints/endpoints.py`), because anyone with the address can post; `url` then only has
    the address's beginning.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, null=True, related_name="+"
    )
    service = models.CharField(
        max_length=8, choices=Service.choices, default=Service.WEBHOOK, db_default=Service.WEBHOOK
    )
    name = models.CharField(max_length=60, blank=True, default="", db_default="")
    language = models.CharField(max_length=10, blank=True, default="", db_default="")
    url = models.CharField(max_length=500)
    kinds = ArrayField(models.CharField(max_length=60), default=list, help_text="None = all.")
    sealed = SealedField()
    sealed_before = SealedField(null=True)
    before_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    key = models.ForeignKey("accounts.Key", models.PROTECT, null=True, related_name="+")
    removed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.url


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Delivery(models.Model):
    """One fact for one receiver: an endpoint, a person by email, or the callback address of a task.

    The callback address is in `hook`, with its secret and its payload
    (notify/deliveries/deliveries.py: HookCall), null after the end. `tries` is the log, [{"at",
    "status", "error", "ms"}]. `due_at` is in the future during an attempt, so a delivery whose
    worker died becomes due again.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    fact = models.ForeignKey("outbox.Fact", models.CASCADE, related_name="+")
    endpoint = models.ForeignKey(
        WebhookEndpoint, models.CASCADE, null=True, related_name="deliveries"
    )
    user = models.ForeignKey("accounts.User", models.CASCADE, null=True, related_name="+")
    hook = SealedField(null=True)
    state = models.CharField(
        max_length=9, choices=DeliveryState.choices, default=DeliveryState.PENDING
    )
    tries = models.JSONField(default=list)
    due_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["fact", "endpoint"], name="fact_once_per_endpoint"),
            models.UniqueConstraint(fields=["fact", "user"], name="fact_once_per_person"),
            models.CheckConstraint(
                condition=models.Q(endpoint=None, user=None)
                | (models.Q(hook=None) & (models.Q(endpoint=None) ^ models.Q(user=None))),
                name="receiver_of_one_kind",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(state="pending"), name="deliveries_due"
            ),
            models.Index(fields=["endpoint", "-id"], name="deliveries_of_endpoint"),
        ]

    def __str__(self) -> str:
        return f"{self.fact_id} {self.state}"
