"""Chats of the playground: a tree of messages, and the runs that write the answers.

A run is one column of one Send. It runs on the server: its events are rows, numbered from 1. Each
page reads them from the last number that it has seen.
"""

from django.db import models
from django.db.models.functions import Now

from lib.database.unowned_rows import UnownedRows
from lib.ids import id_text, new_id


class NamedBy(models.TextChoices):
    """The origin of a chat's name. `pending` waits for the model that generates it."""

    WORDS = "words"
    PENDING = "pending"
    MODEL = "model"
    PERSON = "person"


class Conversation(models.Model):
    """A person's chat.

    `title_request_id` is the request that generated its name. `model` and `settings` are those used
    last (see `content.prompts.settings`). `leaf` is the last message of the branch, None for the
    newest. `columns` are the models of a comparison ([{"model", "settings", "preset"}]), [] for a
    plain chat; `settings` are then those of its columns without a preset.
    Deleted chats are removed after a while. `key` pays for it, None for the playground's own;
    `project` is its label. A temporary chat has `ends_at`, after which it is removed, and `visit`,
    the last rendering of its page: if the page is reloaded and then left, only the last visit
    counts.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        "accounts.Organisation", models.CASCADE, related_name="conversations"
    )
    team = models.ForeignKey("accounts.Team", models.PROTECT, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="conversations")
    title = models.CharField(max_length=120)
    named_by = models.CharField(
        max_length=8, choices=NamedBy.choices, default=NamedBy.WORDS, db_default=NamedBy.WORDS
    )
    title_request_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    settings = models.JSONField(default=dict)
    columns = models.JSONField(default=list)
    leaf = models.ForeignKey("Message", models.SET_NULL, null=True, related_name="+")
    key = models.ForeignKey("accounts.Key", models.SET_NULL, null=True, related_name="+")
    project = models.CharField(max_length=100, default="", db_default="")
    folder = models.CharField(max_length=80, default="", db_default="")
    pinned = models.BooleanField(default=False, db_default=False)
    archived_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    visit = models.UUIDField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["organisation", "user", "-updated_at"], name="chats_of_a_person"),
            models.Index(
                fields=["ends_at"], condition=~models.Q(ends_at=None), name="temporary_chats"
            ),
            models.Index(
                fields=["deleted_at"], condition=~models.Q(deleted_at=None), name="deleted_chats"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class MessageRole(models.TextChoices):
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class RunState(models.TextChoices):
    """`refused` means before any model saw the prompt, and so free of charge."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"


class Message(models.Model):
    """A message. Siblings under the same parent are versions of each other.

    An answer in progress has no content yet; its text is in its run's events. `parts` is the
    content that is not text (see `turns.request`). `column` is that of a comparison. `edited` marks
    an answer that a person wrote.
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
    parts = models.JSONField(default=dict)
    column = models.SmallIntegerField(default=0, db_default=0)
    edited = models.BooleanField(default=False, db_default=False)
    deleted_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.role} {self.id}"

    @property
    def text_id(self) -> str:
        return id_text(self.id)


class Run(models.Model):
    """One column of one Send.

    `token` is that of the form, so that a double submit creates one run. `settings` are those of
    the request; `batch` is shared by the columns of a Send. `stop_seq` is the last event that the
    page had shown when its reader stopped the run; None if it did not say. The run is stopped after
    `unwatched_ms` without a viewer, None for never. `watched_until` is the time until which it
    certainly has a viewer (see `runs/watching.py`); `left` marks a run that was stopped for lack of
    viewers. After the end `outcome` holds: status, kind, message, finish_reason, meters,
    charge_nano, basis, hold_nano, expected_nano, ttft_ms, total_ms, and thought_ms.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="runs")
    user_message = models.ForeignKey(Message, models.CASCADE, related_name="+")
    assistant_message = models.ForeignKey(Message, models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    model = models.CharField(max_length=200)
    settings = models.JSONField(default=dict)
    batch = models.UUIDField(default=new_id)
    column = models.SmallIntegerField(default=0, db_default=0)
    token = models.UUIDField()
    request_id = models.UUIDField()
    state = models.CharField(max_length=12, choices=RunState.choices, default=RunState.RUNNING)
    process = models.CharField(max_length=80, help_text="Host and process id that carry it.")
    heartbeat_at = models.DateTimeField(db_default=Now())
    stop_at = models.DateTimeField(null=True)
    stop_seq = models.PositiveIntegerField(null=True)
    unwatched_ms = models.PositiveIntegerField(null=True)
    watched_until = models.DateTimeField(null=True)
    left = models.BooleanField(default=False, db_default=False)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    outcome = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "token", "column"], name="run_token_once"),
            models.UniqueConstraint(
                fields=["conversation", "column"],
                condition=models.Q(ended_at=None),
                name="one_run_at_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["heartbeat_at"], condition=models.Q(ended_at=None), name="running_runs"
            ),
            models.Index(fields=["batch"], name="runs_of_a_send"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.state}"

    @property
    def text_id(self) -> str:
        return id_text(self.id)


class RunEvent(models.Model):
    """One frame of a run: the next piece of the page and its text. `wire` is the received data. It
    is kept for 15 minutes after the run's end; then the message has the whole content."""

    pk = models.CompositePrimaryKey("run_id", "seq")
    run = models.ForeignKey(Run, models.CASCADE, related_name="events", db_index=False)
    seq = models.IntegerField()
    html = models.TextField()
    text = models.TextField(default="")
    reasoning = models.TextField(default="")
    wire = models.TextField(default="", db_default="")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.seq} of {self.run_id}"


class Attachment(models.Model):
    """A file attached to a message, or of a media run. `facts` are its measures: `width` and
    `height` in pixels, `pages`, `seconds`. It is kept until `unsent_until`, which is None once a
    message refers to it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=8, help_text="image, audio, file or text")
    media_type = models.CharField(max_length=100)
    size = models.IntegerField()
    facts = models.JSONField(default=dict)
    data = models.BinaryField()
    unsent_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(
                fields=["unsent_until"],
                condition=~models.Q(unsent_until=None),
                name="unsent_files",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def text_id(self) -> str:
        return id_text(self.id)


class MediaKind(models.TextChoices):
    """The kinds that every installation has; others are those of task services."""

    IMAGE = "image"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    VIDEO = "video"


class MediaRun(models.Model):
    """One request of a media page (images, speech, transcripts, videos, task services) and its
    result.

    `token` is that of the form, so that a double submit creates one run; the columns of a
    comparison share a `batch`. `settings` are the values of the form's fields, `body` is the
    request without its files (both from `media/rules.py`). `text` and `facts` are those of a
    transcript. `task` is the public id of a media task (a video, or a task of a service), which
    continues after its run has ended. `outcome` is like that of a Run.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    kind = models.CharField(max_length=16)
    operation = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    prompt = models.TextField(default="")
    settings = models.JSONField(default=dict)
    body = models.JSONField(default=dict)
    key = models.ForeignKey("accounts.Key", models.SET_NULL, null=True, related_name="+")
    project = models.CharField(max_length=100, default="")
    batch = models.UUIDField(default=new_id)
    column = models.SmallIntegerField(default=0)
    token = models.UUIDField()
    request_id = models.UUIDField(default=new_id)
    state = models.CharField(max_length=12, choices=RunState.choices, default=RunState.RUNNING)
    text = models.TextField(default="")
    facts = models.JSONField(default=dict)
    task = models.CharField(max_length=40, default="")
    heartbeat_at = models.DateTimeField(db_default=Now())
    stop_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    outcome = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "token", "column"], name="media_token_once")
        ]
        indexes = [
            models.Index(fields=["organisation", "user", "-id"], name="media_of_a_person"),
            models.Index(
                fields=["heartbeat_at"], condition=models.Q(ended_at=None), name="running_media"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} by {self.model}"

    @property
    def text_id(self) -> str:
        return id_text(self.id)


class MediaFile(models.Model):
    """A file of a run at its `position`: an input (`picture` to `picture5`, `mask`, `sound`), or a
    `result`. `file` is None once it is no longer kept."""

    run = models.ForeignKey(MediaRun, models.CASCADE, related_name="files")
    file = models.ForeignKey(Attachment, models.SET_NULL, null=True, related_name="+")
    role = models.CharField(max_length=8)
    position = models.SmallIntegerField(default=0)
    name = models.CharField(max_length=200)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


class RealtimeTicket(models.Model):
    """A short-lived, one-time ticket for a page's realtime connection. `digest` is that of its
    secret text. `key` None is the playground's own, `project` "" is none."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    key = models.ForeignKey("accounts.Key", models.CASCADE, null=True, related_name="+")
    project = models.CharField(max_length=100, default="")
    model = models.CharField(max_length=200)
    digest = models.BinaryField(unique=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"session of {self.model} until {self.expires_at}"


class Preset(models.Model):
    """Named settings, a person's own or shared with the organisation. A person has one of each
    name."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    shared = models.BooleanField(default=False)
    settings = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "user", "name"], name="preset_named_once"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def text_id(self) -> str:
        return id_text(self.id)


class ShareLink(models.Model):
    """A snapshot of one branch for anybody who has the link. `digest` is that of its secret text.
    `snapshot` contains only visible content. It ends at `expires_at` or `revoked_at`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="shares")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    digest = models.BinaryField(unique=True)
    members_only = models.BooleanField(default=False)
    system_shown = models.BooleanField(default=False)
    cost_shown = models.BooleanField(default=False)
    snapshot = models.JSONField()
    views = models.IntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"share of {self.conversation_id}"


class Vote(models.Model):
    """The best column of a blind comparison. `winner` is "" for none."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    batch = models.UUIDField()
    candidates = models.JSONField()
    winner = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "batch"], name="vote_once")]

    def __str__(self) -> str:
        return self.winner


class Leaving(models.TextChoices):
    """What happens to an answer that nobody is watching."""

    KEEP = "keep"
    STOP = "stop"


class Preference(models.Model):
    """A person's settings for the playground; without a choice there is no row.

    `title_model` names new chats, "*" for the cheapest; with "" they keep their first words. `keys`
    are changed shortcuts (see `preferences/shortcuts.py`); without `letter_keys` only those with
    Alt, Ctrl or Esc work. Without `enter_sends`, Ctrl and Enter send. `default_model` is the model
    of new chats, "" for the last used one; `favourite_models` are first in the list of models.
    """

    unowned_rows = UnownedRows("shared", "A person's own, in every organisation.")

    user = models.OneToOneField("accounts.User", models.CASCADE, primary_key=True, related_name="+")
    leaving = models.CharField(max_length=4, choices=Leaving.choices, default=Leaving.KEEP)
    title_model = models.CharField(max_length=200, default="*")
    keys = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    letter_keys = models.BooleanField(default=True, db_default=True)
    enter_sends = models.BooleanField(default=True, db_default=True)
    default_model = models.CharField(max_length=200, default="", db_default="")
    favourite_models = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField())
    )

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"


class PaymentPreference(models.Model):
    """Who pays for a person's new chats in an organisation: `key`, None for the playground's own,
    and `project`, "" for none. Without a choice there is no row."""

    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    key = models.ForeignKey("accounts.Key", models.SET_NULL, null=True, related_name="+")
    project = models.CharField(max_length=100, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "organisation"], name="payment_preference_once")
        ]

    def __str__(self) -> str:
        return f"payer of {self.user_id} in {self.organisation_id}"


class LeavingRule(models.Model):
    """The organisation's upper limit, in seconds, for continuing answers that nobody watches. None
    means no limit."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    seconds_max = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.seconds_max} s for {self.organisation_id}"


class PayerRule(models.TextChoices):
    """Which keys may pay for the playground requests of people with a role."""

    ANY = "any"
    PEOPLE = "people"
    OWN_OR_PLAYGROUND = "own_or_playground"
    OWN = "own"
    PLAYGROUND = "playground"


class OrganisationPreference(models.Model):
    """An organisation's defaults. `default_model` is the model of new chats until a person has used
    or chosen another one, "" for none. `payer_rules` has the PayerRule of roles
    (playground/payers/payer_rules.py)."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.CASCADE, primary_key=True, related_name="+"
    )
    default_model = models.CharField(max_length=200, default="")
    payer_rules = models.JSONField(default=dict, db_default={})

    def __str__(self) -> str:
        return f"preferences of {self.organisation_id}"
