"""Settings of the whole installation."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from lib.database.unowned_rows import UnownedRows

BACKUP_HOURS = (0, 6, 12, 24, 168)
BACKUPS_MAX = 365
BACKUP_FOLDER = r"^backups(/[a-z0-9][a-z0-9_-]*)*$"
"""A folder of its own, because nothing else may write to it."""


class InstallationSetting(models.Model):
    """A single row: the settings that operators change at run time."""

    unowned_rows = UnownedRows("read_only", "One row for the installation.")

    id = models.SmallIntegerField(primary_key=True, default=1)
    # Allowed internal networks: for channels, whose addresses operators enter, and for files,
    # pictures and tool descriptions, whose addresses users enter. Allowing a local model for
    # channels allows nothing for users.
    egress_allow = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    egress_allow_users = ArrayField(
        models.CharField(max_length=50), default=list, db_default=[], blank=True
    )
    unpriced_models = models.CharField(
        max_length=8,
        choices=[("reject", "reject"), ("free", "free"), ("alert", "alert")],
        default="reject",
    )
    # Whether visitors who are not signed in see the pages of models and prices.
    public_models = models.BooleanField(default=True, db_default=True)
    # Whether visitors who are not signed in see the status page.
    public_status = models.BooleanField(default=False, db_default=False)
    # Whether requests that name no session belong to one by the beginning of their conversation.
    prefix_sessions = models.BooleanField(default=False, db_default=False)
    task_result_days = models.PositiveSmallIntegerField(
        default=7,
        db_default=7,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text="How long the result of a media task is served, and its request is kept.",
    )
    # The schedule of backups; 0 hours means none. The hour is in UTC, the folder is one of
    # DATA_DIR.
    backup_every_hours = models.PositiveSmallIntegerField(
        default=0, db_default=0, choices=[(hours, str(hours)) for hours in BACKUP_HOURS]
    )
    backup_hour = models.PositiveSmallIntegerField(
        default=3, db_default=3, validators=[MaxValueValidator(23)]
    )
    backup_folder = models.CharField(
        max_length=60,
        default="backups",
        db_default="backups",
        validators=[RegexValidator(BACKUP_FOLDER)],
    )
    backup_keep = models.PositiveSmallIntegerField(
        default=7, db_default=7, validators=[MinValueValidator(1), MaxValueValidator(BACKUPS_MAX)]
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_settings_row")]

    def __str__(self) -> str:
        return "settings"
