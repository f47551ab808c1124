"""Aliases: public names that lead to other public names, in any number of steps.

A change that would create a cycle is refused, and the message names the whole cycle. The relay
reads where each name ends, not the steps (`relay/catalogue/snapshot_build.py`).
"""

from collections.abc import Sequence

from django.db import connection, transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from gateway.aliases.rules import find_cycle
from gateway.channels.model_names import check_model_name
from gateway.models import ModelAlias, ModelEntry
from lib.refusal import Refused


class AliasCycle(Refused):
    """The names would form a cycle. `cycle` has its first name repeated at the end."""

    def __init__(self, cycle: list[str]) -> None:
        text = gettext("These aliases form a cycle: %(way)s.")
        super().__init__("target", text % {"way": " → ".join(cycle)})
        self.cycle = cycle


def all_aliases() -> dict[str, str]:
    """Return each alias with its target."""
    return dict(ModelAlias.objects.order_by("name").values_list("name", "target"))


def save_alias(actor: Actor, name: str, target: str) -> ModelAlias:
    """Make a name an alias of another. Raises Refused, AliasCycle."""
    with transaction.atomic():
        alias = write_alias(actor, name, target)
        check_aliases()
    return alias


def write_alias(actor: Actor, name: str, target: str) -> ModelAlias:
    """Write one of several aliases; the caller runs `check_aliases` later in the same transaction.
    Raises Refused."""
    check_model_name("name", name, pattern=False)
    check_model_name("target", target, pattern=False)
    with connection.cursor() as cursor:
        # The lock is needed because, of two concurrent writes, neither would see the cycle that
        # they create together.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('weir aliases'))")
    stored = ModelAlias.objects.filter(name=name).first()
    before = stored.target if stored else None
    alias = stored or ModelAlias(name=name)
    if before != target:
        alias.target = target
        alias.save()
        audit.record(actor, None, "alias.saved", alias, name=name, before=before, after=target)
        bump_epoch()
    return alias


def write_aliases(actor: Actor, target: str, names: Sequence[str]) -> None:
    """Set the aliases of a name to exactly these names, as `write_alias` does. Raises Refused for a
    name that is an alias of another model."""
    stored = {alias.name: alias for alias in ModelAlias.objects.filter(target=target)}
    taken = ModelAlias.objects.filter(name__in=names).exclude(target=target).first()
    if taken is not None:
        text = gettext("%(name)s already stands for %(target)s.")
        raise Refused(
            "aliases", text % {"name": taken.name, "target": taken.target}, already_exists=True
        )
    for name in set(names) - stored.keys():
        write_alias(actor, name, target)
    for name in stored.keys() - set(names):
        remove_alias(actor, stored[name])


def check_aliases() -> None:
    """Raise AliasCycle if the aliases form a cycle now, or would do so after every model with a
    replacement has ended."""
    replaced = ModelEntry.objects.exclude(replacement="").values_list("name", "replacement")
    aliases = all_aliases()
    cycle = find_cycle(aliases) or find_cycle(aliases | dict(replaced))
    if cycle is not None:
        raise AliasCycle(cycle)


def remove_alias(actor: Actor, alias: ModelAlias) -> None:
    """Remove an alias, unless others have removed it meanwhile."""
    with transaction.atomic():
        locked = ModelAlias.objects.select_for_update().filter(pk=alias.pk).first()
        if locked is None:
            return
        audit.record(actor, None, "alias.removed", locked, name=locked.name, before=locked.target)
        locked.delete()
        bump_epoch()
