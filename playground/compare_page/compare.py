"""Comparison of models: columns side by side, the summary under them, votes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.access.access import require
from accounts.access.actors import Actor, organisation_of, person_of
from lib.ids import id_text
from playground.answers.late_charges import late_charges, stored_outcome
from playground.compare.rules import MEASURES, Ranking, lowest, rank_models
from playground.conversations.conversations import messages_of, tree_of
from playground.conversations.message_runs import settings_of
from playground.messages import page
from playground.models import Conversation, Message, MessageRole, Run, RunState, Vote


@dataclass(frozen=True)
class Result:
    """The result of one column; unknown figures are None. `best_by` are the MEASURES in which no
    other finished answer is better."""

    column: int
    model: str
    ttft_ms: int | None
    total_ms: int | None
    tokens: int
    charge_nano: int | None
    state: str
    run_id: UUID
    best_by: tuple[str, ...] = ()

    @property
    def letter(self) -> str:
        """The column's label while names are hidden."""
        return "ABCD"[self.column]


def column_paths(conversation: Conversation) -> list[list[Message]]:
    """Return the messages of each column, to its newest answer."""
    tree = tree_of(conversation)
    rows = conversation.messages.filter(role=MessageRole.ASSISTANT, deleted_at=None)
    last: dict[int, UUID] = {}
    for id, column in rows.order_by("id").values_list("id", "column"):
        last[column] = id
    return [
        messages_of(tree.path(last[column])) if column in last else []
        for column in range(len(conversation.columns))
    ]


def results(
    batch: Sequence[Run], late: Mapping[UUID, Mapping[str, Any]] = MappingProxyType({})
) -> list[Result]:
    """Return the results of the columns of a Send, the best ones marked. `late` has the charges
    that the books had only after the answers' ends."""
    rows = []
    for run in batch:
        outcome = {**late.get(run.request_id, {}), **stored_outcome(run)}
        meters = outcome.get("meters") or {}
        rows.append(
            Result(
                column=run.column,
                model=run.model,
                ttft_ms=outcome.get("ttft_ms"),
                total_ms=outcome.get("total_ms"),
                tokens=sum(n for name, n in meters.items() if name.startswith("out_")),
                charge_nano=outcome.get("charge_nano"),
                state=run.state,
                run_id=run.id,
            )
        )
    done = [result for result in rows if result.state == RunState.DONE]
    if len(done) < 2:
        return rows
    best = {measure: lowest([getattr(result, measure) for result in done]) for measure in MEASURES}
    return [
        replace(result, best_by=best_measures(result, best)) if result in done else result
        for result in rows
    ]


def best_measures(result: Result, best: Mapping[str, int | None]) -> tuple[str, ...]:
    """Return the measures in which an answer is the best, alone or together with others."""
    return tuple(
        measure for measure, figure in best.items()
        if figure is not None and getattr(result, measure) == figure
    )  # fmt: skip


def last_batch(conversation: Conversation) -> list[Run]:
    """Return the runs of the last Send, by column."""
    last = conversation.runs.order_by("-id").first()
    if last is None:
        return []
    return list(conversation.runs.filter(batch=last.batch).order_by("column"))


def ended_html(batch: Sequence[Run], slug: str) -> str:
    """Return the last message of a Send's stream: its composer, ready again, and the summary."""
    conversation = batch[0].conversation
    conversation.refresh_from_db()
    context = {
        **page.composer_context(slug, conversation, None),
        "chat_id": id_text(conversation.id),
        **summary_context(conversation, last_batch(conversation), slug),
    }
    return render_to_string("playground/compare/_all_ended.html", context)


def summary_context(conversation: Conversation, batch: Sequence[Run], slug: str) -> dict[str, Any]:
    """Build the context below the columns."""
    rows = results(batch, late_charges(conversation.organisation_id, batch))
    charges = [row.charge_nano for row in rows]
    blind = is_blind(conversation, batch)
    return {
        "results": rows,
        "ended": bool(batch) and all(run.ended_at is not None for run in batch),
        # A sum without an unknown charge would be too small.
        "total_nano": None if None in charges else sum(filter(None, charges)),
        "blind": blind,
        "vote_url": reverse("vote", args=[slug, id_text(batch[0].batch)]) if batch else "",
        "diff_url": reverse("diff", args=[slug, id_text(conversation.id)]),
        "slug": slug,
        "chat_id": id_text(conversation.id),
    }


def is_blind(conversation: Conversation, batch: Sequence[Run]) -> bool:
    """Return whether names and costs are hidden until there is a vote on the last answers."""
    if not any(column.get("blind") for column in conversation.columns):
        return False
    return not batch or not Vote.objects.filter(batch=batch[0].batch).exists()


def keep_column(message: Message) -> Conversation:
    """Continue with this answer alone. The others stay as its versions."""
    with transaction.atomic():
        Conversation.objects.filter(id=message.conversation_id).update(
            columns=[], leaf=message, model=message.model,
            settings=settings_of(message),
        )  # fmt: skip
    return message.conversation


def cast_vote(actor: Actor, batch: Sequence[Run], winner: str) -> None:
    """Store which answer was best, or "" for none. A later vote replaces it."""
    require(actor, "playground.use")
    candidates = [run.model for run in batch]
    Vote.objects.update_or_create(
        user=person_of(actor),
        batch=batch[0].batch,
        defaults={
            "organisation": organisation_of(actor),
            "candidates": candidates,
            "winner": winner if winner in candidates else "",
        },
    )


def organisation_standings(actor: Actor) -> list[Ranking]:
    """Return the ranking of the models in the organisation."""
    require(actor, "playground.read")
    votes = Vote.objects.filter(organisation=organisation_of(actor))
    return rank_models(votes.values_list("candidates", "winner"))
