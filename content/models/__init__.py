"""Models of content: one file for each noun."""

from content.models.log import DataKey, Entry, Keep, LogRule, LogScope

__all__ = ("DataKey", "Entry", "Keep", "LogRule", "LogScope")
