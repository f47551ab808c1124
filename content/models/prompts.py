"""Saved prompts and their versions."""

from django.db import models
from django.db.models.functions import Now

from lib.ids import new_id


class Prompt(models.Model):
    """A saved prompt with its versions. `labels` has the versions of each label: the one that it is
    on, then those before it (`prompts/label_rules.py`). Callers who name no version get the one in
    production, else the last."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="+")
    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=80)
    shared = models.BooleanField(default=True)
    labels = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["organisation", "slug"], name="prompt_slug_once")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def production(self) -> int | None:
        """The version in production, None without one."""
        versions: list[int] = self.labels.get("production", [])
        return versions[0] if versions else None


class PromptVersion(models.Model):
    """One immutable version of a prompt, numbered from 1 (`prompts/settings.py` describes its
    settings)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    prompt = models.ForeignKey(Prompt, models.CASCADE, related_name="versions")
    number = models.IntegerField()
    user = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    model = models.CharField(max_length=200)
    settings = models.JSONField()
    note = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["prompt", "number"], name="prompt_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.prompt} {self.number}"
