"""Proposed facts of models, from a list or a probe. Nothing applies by itself: when an operator
accepts a proposal, it becomes part of the model's entry (gateway/model_entries/entries.py)."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from gateway.listed_models.public_models import PublicModel, effective_facts
from gateway.model_entries.entries import EntryFields, save_entry
from gateway.model_entries.facts import FIELDS, Fact, Field, day_of
from gateway.models import FactState, ModelEntry, ModelProposal
from lib import clock
from lib.refusal import Refused


class ProposedFacts(NamedTuple):
    """The result of a list: how many facts it adds, changes and no longer contains."""

    added: int
    changed: int
    removed: int


def open_proposals() -> QuerySet[ModelProposal]:
    """Return the undecided proposals."""
    return ModelProposal.objects.filter(state=FactState.OPEN)


def propose_facts(
    models: Iterable[PublicModel],
    listed: Mapping[str, Mapping[Field, Fact]],
    source: str,
    ignored: Collection[tuple[str, str]],
) -> ProposedFacts:
    """Create proposals where a list differs from the current facts of these models, inside the
    caller's transaction. Facts that came from this list and are missing now are proposed for
    removal. Facts that operators entered are left alone. The list's open proposals are replaced;
    dismissed ones are not repeated. `ignored` are pairs of model and field."""
    ModelProposal.objects.filter(source=source, state=FactState.OPEN).delete()
    decided = ModelProposal.objects.filter(source=source).exclude(state=FactState.OPEN)
    dismissed, accepted = set(), dict[tuple[str, str], Any]()
    for row in decided.order_by("decided_at", "id"):
        if row.state == FactState.DISMISSED:
            dismissed.add((row.model, row.field, row.after))
        else:
            accepted[row.model, row.field] = row.after
    new_proposals = []
    for model in models:
        facts, holding = listed.get(model.name, {}), effective_facts(model)
        own = _entry_facts(model.entry)
        for field in FIELDS:
            before, after = holding[field], facts.get(field)
            key = (model.name, field)
            came = key in accepted and accepted[key] == own.get(field)
            if key in ignored or before == after or (field in own and not came):
                continue
            # A list that omits a fact says nothing about a fact from another source.
            if (after is None and not came) or (*key, after) in dismissed:
                continue
            new_proposals.append(
                ModelProposal(
                    model=model.name, field=field, before=before, after=after, source=source
                )
            )
    ModelProposal.objects.bulk_create(new_proposals)
    removed = sum(1 for row in new_proposals if row.after is None)
    added = sum(1 for row in new_proposals if row.before is None)
    return ProposedFacts(added, len(new_proposals) - added - removed, removed)


def propose_probed(model: PublicModel, verdicts: Mapping[Field, bool], source: str) -> int:
    """Create proposals where a probe differs from the current facts. Return how many. They replace
    those of earlier probes of the model."""
    ModelProposal.objects.filter(
        model=model.name, source__startswith=PROBE, state=FactState.OPEN
    ).delete()
    holding = effective_facts(model)
    new_proposals = [
        ModelProposal(model=model.name, field=field, before=holding[field], after=on, source=source)
        for field, on in verdicts.items()
        if holding[field] != on
    ]
    ModelProposal.objects.bulk_create(new_proposals)
    return len(new_proposals)


PROBE = "probe "
"""The prefix of the source of a probe's proposals."""


def accept_facts(actor: Actor, ids: Sequence[UUID]) -> int:
    """Accept proposals, all or nothing. Return how many. Raises Refused."""
    with transaction.atomic():
        rows = _waiting(ids)
        for row in rows:
            save_entry(actor, row.model, **_fields_of(row))
            _decide(actor, row, FactState.ACCEPTED)
    return len(rows)


def dismiss_facts(actor: Actor, ids: Sequence[UUID]) -> int:
    """Dismiss proposals. Return how many."""
    with transaction.atomic():
        rows = _waiting(ids)
        for row in rows:
            _decide(actor, row, FactState.DISMISSED)
    return len(rows)


def _waiting(ids: Sequence[UUID]) -> list[ModelProposal]:
    """Return the undecided proposals with these ids. Raises Refused if one of them is decided."""
    rows = list(ModelProposal.objects.select_for_update().filter(id__in=list(ids)))
    for row in rows:
        if row.state != FactState.OPEN:
            text = gettext("The proposal for %(model)s was already decided.")
            raise Refused("ids", text % {"model": row.model})
    return rows


def _decide(actor: Actor, row: ModelProposal, state: FactState) -> None:
    row.state, row.decided_by, row.decided_at = state, actor.user, clock.now()
    row.save(update_fields=["state", "decided_by", "decided_at"])
    audit.record(
        actor, None, f"model.proposal_{state.value}", row,
        model=row.model, field=row.field, before=row.before, after=row.after, source=row.source,
    )  # fmt: skip


def _fields_of(row: ModelProposal) -> EntryFields:
    """Return the fields for `save_entry` that contain a fact. A capability is added to the existing
    ones."""
    if row.field == "sunset_at":
        day = day_of(row.after)
        at = None if day is None else dt.datetime.combine(day, dt.time(), dt.UTC)
        return {"sunset_at": at} if at is not None else {"sunset_at": None, "deprecated_at": None}
    if row.field in ("context_max", "output_max"):
        return cast(EntryFields, {row.field: row.after})
    stored = ModelEntry.objects.select_for_update().filter(name=row.model).first()
    can = dict(stored.can) if stored else {}
    can.pop(row.field, None)
    return {"can": can if row.after is None else can | {row.field: row.after}}


def _entry_facts(entry: ModelEntry | None) -> dict[str, Fact]:
    """Return a model's facts in the form of proposals."""
    if entry is None:
        return {}
    own_facts: dict[str, Any] = {
        **entry.can, "context_max": entry.context_max, "output_max": entry.output_max,
        "sunset_at": entry.sunset_at and entry.sunset_at.date().isoformat(),
    }  # fmt: skip
    return {field: value for field, value in own_facts.items() if value is not None}
