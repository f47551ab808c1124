"""Writes of content."""

from typing import Final

from content.models import LogRule
from content.rules import log_rules
from tests.config.writes.world import World, Writes


def log_rule(w: World) -> LogRule:
    """The rule that there is, or a new one."""
    known = LogRule.objects.filter(organisation=w.people.acme).first()
    return known or log_rules.add_rule(w.alice, w.people.acme, scope="organisation")


BEFORE: Final[Writes] = {
    "content.rules.log_rules.change_rule": log_rule,
    "content.rules.log_rules.remove_rule": log_rule,
}
WRITES: Final[Writes] = {
    "content.rules.log_rules.add_rule": lambda w: log_rules.add_rule(
        w.alice, w.people.acme, scope="team", subject=str(w.people.core.id)
    ),
    "content.rules.log_rules.change_rule": lambda w: log_rules.change_rule(
        w.alice, log_rule(w), keep="errors", retention_hours=12
    ),
    "content.rules.log_rules.remove_rule": lambda w: log_rules.remove_rule(w.alice, log_rule(w)),
}
