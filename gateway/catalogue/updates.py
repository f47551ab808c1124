"""Update models and their prices from a list that an operator names: a file, or a URL, which is
fetched like a user's URL. Differences become proposals. The command `propose_prices`, the page and
the management API call the same function."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from billing.prices.conditions import PriceKey
from billing.prices.name_patterns import matches
from billing.prices.price_list import ListInvalid, read_price_list
from billing.prices.proposals import propose_list
from gateway.catalogue.model_proposals import propose_facts
from gateway.channels.model_names import check_model_name
from gateway.listed_models.public_models import PublicModel, public_models
from gateway.model_entries.facts import FIELDS, LIST_BYTES_MAX, PRICE, read_facts
from gateway.models import CatalogueIgnoreRule, CatalogueUpdate
from gateway.settings.installation import egress_policy_users
from lib.network.egress import EgressError
from lib.network.fetching import fetch_url
from lib.refusal import Refused

_FETCH_S: Final = 30.0
# The maximum length of a proposal's source.
_SOURCE_MAX: Final = 60
# The number of omitted and unknown fields that are stored with the result.
_KEPT_MAX: Final = 200
IGNORABLE: Final = (PRICE, *FIELDS)
_T = TypeVar("_T")


class Choice(NamedTuple):
    """The models to compare: those that match one of `only` (() means all), without those of
    `ignored`. `served` restricts them to models that clients can call."""

    only: Sequence[str] = ()
    ignored: Sequence[str] = ()
    served: bool = False

    def includes(self, name: str, names: Iterable[str]) -> bool:
        """Return whether a model of the list is compared. `names` are those that clients can
        request."""
        return (
            (not self.only or _matches_any(self.only, name))
            and not _matches_any(self.ignored, name)
            and (not self.served or name in names or _matches_any(names, name))
        )


EVERY_MODEL: Final = Choice()


def update_catalogue(
    actor: Actor, text: bytes, source: str, choice: Choice = EVERY_MODEL
) -> CatalogueUpdate:
    """Compare a list with the current facts, and create proposals for the differences. Raises
    Refused for an invalid list."""
    try:
        prices = read_price_list(text)
        facts = read_facts(text)
    except ListInvalid as error:
        raise Refused("list", str(error)) from error
    models = public_models()
    names = {model.name for model in models}

    def only_chosen(rows: Mapping[str, _T]) -> dict[str, _T]:
        return {name: row for name, row in rows.items() if choice.includes(name, names)}

    rules = list(CatalogueIgnoreRule.objects.values_list("model", "field"))
    rates = {PriceKey(name): listed for name, listed in only_chosen(prices.rates).items()}
    for (name, region), listed in prices.regions.items():
        if PriceKey(name) in rates:
            rates[PriceKey(name, region=region)] = listed
    with transaction.atomic():
        priced = propose_list(
            actor,
            rates,
            source,
            listed_names={*prices.rates, *prices.skipped},
            ignored=[*choice.ignored, *(model for model, field in rules if field in ("", PRICE))],
        )
        known = [model for model in models if choice.includes(model.name, names)]
        proposed_facts = propose_facts(known, facts.facts, source, _ignored_fields(known, rules))
        skipped = only_chosen(prices.skipped)
        result = {
            "prices": priced._asdict(),
            "facts": proposed_facts._asdict(),
            "unknown": dict(sorted(facts.unknown.items())[:_KEPT_MAX]),
            "skipped": dict(sorted(skipped.items())[:_KEPT_MAX]),
            "skipped_count": len(skipped),
        }
        update = CatalogueUpdate.objects.create(source=source, result=result, made_by=actor.user)
        audit.record(
            actor, None, "catalogue.compared", update,
            source=source, prices=result["prices"], facts=result["facts"],
        )  # fmt: skip
    return update


def fetch_list(url: str) -> bytes:
    """Fetch a list from a URL, which must be public unless the operator permits more for users.
    Raises Refused."""

    async def fetch() -> bytes:
        async with asyncio.timeout(_FETCH_S):
            answer = await fetch_url(policy, url, bytes_max=LIST_BYTES_MAX)
        return answer.body

    policy = egress_policy_users()
    try:
        # In an event loop of its own, so that the relay's loop does not receive megabytes for a
        # page.
        return asyncio.run(fetch())
    except (EgressError, TimeoutError) as error:
        why = str(error) or str(error.__cause__ or gettext("no answer in time"))
        text = gettext("The address cannot be fetched: %(why)s")
        raise Refused("address", text % {"why": why}) from error


def source_of(place: str) -> str:
    """Return a name for the list, without possible secrets in its URL."""
    name = place.rpartition("/")[2]
    if place.startswith(("http://", "https://")):
        parts = urlsplit(place)
        name = f"{parts.hostname}{parts.path}"
    # A file name may contain bytes that the database cannot store.
    return "".join(filter(str.isprintable, f"list {name}"))[:_SOURCE_MAX]


def add_ignore_rule(actor: Actor, model: str, field: str) -> CatalogueIgnoreRule:
    """Prevent lists from proposing a field ("" for all) of the models that a name or pattern
    matches. Open proposals of lists stay. Raises Refused."""
    _check_ignore_rule(model, field)
    with transaction.atomic():
        rule, created = CatalogueIgnoreRule.objects.get_or_create(model=model, field=field)
        if not created:
            raise _rule_exists(rule)
        audit.record(actor, None, "catalogue.ignored", rule, model=model, field=field)
    return rule


def change_ignore_rule(
    actor: Actor, rule: CatalogueIgnoreRule, model: str | None = None, field: str | None = None
) -> CatalogueIgnoreRule:
    """Change the models or the field of a rule. Raises Refused."""
    with transaction.atomic():
        locked = get_object_or_404(CatalogueIgnoreRule.objects.select_for_update(), pk=rule.pk)
        before = {"model": locked.model, "field": locked.field}
        locked.model = locked.model if model is None else model
        locked.field = locked.field if field is None else field
        _check_ignore_rule(locked.model, locked.field)
        same = CatalogueIgnoreRule.objects.filter(model=locked.model, field=locked.field)
        if same.exclude(pk=locked.pk).exists():
            raise _rule_exists(same[0])
        locked.save(update_fields=["model", "field"])
        after = {"model": locked.model, "field": locked.field}
        audit.record(actor, None, "catalogue.ignored", locked, before=before, after=after)
    return locked


def _rule_exists(rule: CatalogueIgnoreRule) -> Refused:
    text = gettext("There is already a rule for %(model)s.")
    if rule.field:
        text = gettext("There is already a rule for %(field)s of %(model)s.")
    named = {"field": rule.field, "model": rule.model}
    return Refused("model", text % named, already_exists=True)


def _check_ignore_rule(model: str, field: str) -> None:
    check_model_name("model", model)
    if field and field not in IGNORABLE:
        raise Refused("field", gettext("There is no field named %(name)s.") % {"name": field[:60]})


def remove_ignore_rule(actor: Actor, rule: CatalogueIgnoreRule) -> None:
    """Delete a rule, unless others did meanwhile: lets lists propose the field again."""
    with transaction.atomic():
        locked = CatalogueIgnoreRule.objects.select_for_update().filter(pk=rule.pk).first()
        if locked is None:
            return
        audit.record(
            actor, None, "catalogue.not_ignored", locked, model=locked.model, field=locked.field
        )
        locked.delete()


def _ignored_fields(
    models: Iterable[PublicModel], rules: Iterable[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return each pair of model and field that a rule covers."""
    rules = list(rules)
    return {
        (model.name, name)
        for model in models
        for pattern, field in rules
        if matches(pattern, model.name)
        for name in FIELDS
        if field in ("", name)
    }


def _matches_any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
