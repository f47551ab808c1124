"""Writes of operators' rules for models, each with validation, an audit event and a notification of
the relays."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack

from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from billing.limits.charge_rule import stored_rule
from billing.limits.charge_rule_settings import read_rule_fields
from gateway.channel_order.tie_breaking import PICKS, Pick
from gateway.channels.model_names import check_model_name
from gateway.models import Channel, ModelRule
from gateway.routing.model_rule_bounds import CAUSES, FAILURES, FALLBACKS_MAX, Cause
from gateway.routing.shadow_rules import ShadowInvalid, ShadowRule, build_shadow_rule, stored_shadow
from lib.refusal import Refused


class RuleFields(TypedDict, total=False):
    """The fields that a write may set. Omitted ones stay as they are."""

    fallbacks: Sequence[str]
    causes: Sequence[Cause]
    pick: Pick
    # A charge rule in the form of `stored_rule`; {} for none.
    charge_rule: Mapping[str, Any]
    # A shadow in the form of `stored_shadow`; {} for none.
    shadow: Mapping[str, Any]


FIELDS: Final = tuple(RuleFields.__annotations__)


def save_rule(actor: Actor, model: str, **fields: Unpack[RuleFields]) -> ModelRule:
    """Create the rule for a model or a pattern of names, or set the given fields of an existing
    one. Raises Refused."""
    check_model_name("model", model)
    with transaction.atomic():
        stored = ModelRule.objects.select_for_update().filter(model=model).first()
        before = facts_of(stored) if stored else {}
        rule = stored or ModelRule(model=model, causes=sorted(FAILURES))
        for name, value in fields.items():
            setattr(rule, name, list(value) if name in ("fallbacks", "causes") else value)  # type: ignore[call-overload]
        _check(rule)
        rule.causes = sorted(rule.causes)
        after = facts_of(rule)
        if after == before:
            return rule
        rule.save()
        audit.record(actor, None, "model_rule.saved", rule, model=model, before=before, after=after)
        bump_epoch()
    return rule


def remove_rule(actor: Actor, rule: ModelRule) -> None:
    """Delete a rule, unless others have deleted it meanwhile."""
    with transaction.atomic():
        locked = ModelRule.objects.select_for_update().filter(pk=rule.pk).first()
        if locked is None:
            return
        before = facts_of(locked)
        audit.record(actor, None, "model_rule.removed", locked, model=locked.model, before=before)
        locked.delete()
        bump_epoch()


def facts_of(rule: ModelRule) -> dict[str, object]:
    """Return the stored fields that a write may set."""
    return {name: getattr(rule, name) for name in FIELDS}


def _read_shadow_rule(fields: Mapping[str, Any]) -> ShadowRule | None:
    if not fields:
        return None
    try:
        shadow = build_shadow_rule(
            fields["channel"],
            fields.get("percent") or 0,
            fields.get("cap") or "",
            fields.get("model", ""),
        )
    except ShadowInvalid as error:
        texts = {
            "channel": gettext("Enter the name of a channel."),
            "model": gettext("Enter what the model is called there, in at most 200 characters."),
            "percent": gettext("Enter 1 to 100 percent of the requests."),
            "cap": gettext("Enter what shadow traffic may cost per day, such as 5.00."),
        }
        field = f"shadow_{error.field}"
        raise Refused(field, texts[error.field]) from error
    if not Channel.objects.filter(name=shadow.channel, archived_at=None).exists():
        text = gettext("There is no channel named %(name)s.")
        raise Refused("shadow_channel", text % {"name": shadow.channel})
    return shadow


def _check(rule: ModelRule) -> None:
    if len(rule.fallbacks) > FALLBACKS_MAX:
        text = gettext("A rule can have at most %(n)s fallback models.")
        raise Refused("fallbacks", text % {"n": FALLBACKS_MAX})
    for name in rule.fallbacks:
        check_model_name("fallbacks", name, pattern=False)
    if len({rule.model, *rule.fallbacks}) <= len(rule.fallbacks):
        text = gettext("Each model can be named once, and none as its own fallback.")
        raise Refused("fallbacks", text)
    unknown = set(rule.causes) - CAUSES
    if unknown:
        text = gettext("There is no cause named %(name)s.")
        raise Refused("causes", text % {"name": min(unknown)})
    if rule.pick not in PICKS:
        text = gettext("%(name)s is not a way to pick channels.")
        raise Refused("pick", text % {"name": rule.pick[:60]})
    rule.charge_rule = stored_rule(read_rule_fields(rule.charge_rule))
    rule.shadow = stored_shadow(_read_shadow_rule(rule.shadow))
    if rule.fallbacks and not rule.causes:
        raise Refused("causes", gettext("Choose when the fallback models answer."))
