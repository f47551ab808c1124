"""Models of content: one file for each noun."""

from content.models.log import DataKey, Entry, Keep, LogRule, LogScope
from content.models.policies import Policy, PolicyAssignment, PolicyScope, PolicySecret
from content.models.prompts import Prompt, PromptVersion

__all__ = (
    "DataKey",
    "Entry",
    "Keep",
    "LogRule",
    "LogScope",
    "Policy",
    "PolicyAssignment",
    "PolicyScope",
    "PolicySecret",
    "Prompt",
    "PromptVersion",
)
