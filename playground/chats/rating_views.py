"""What a reader says about an answer: thumbs under it, and a comment."""

from typing import Final
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from lib.htmx import redirect_to, render_dialog, toast
from lib.ids import id_text
from lib.refusal import Refused
from playground.conversations.conversations import access_message
from playground.messages import page
from playground.models import Message
from usage.feedback.feedback import give_feedback, opinions_of, withdraw_feedback
from usage.feedback.rules import COMMENT_MAX, SCORE_MAX, Opinion

_SCORES: Final = {str(SCORE_MAX): SCORE_MAX, "0": 0}


class CommentForm(forms.Form):
    comment = forms.CharField(
        label=_("Comment"),
        help_text=_("Everyone who can see the request can read it."),
        max_length=COMMENT_MAX,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
    )


@organisation_page("playground.use")
@require_http_methods(["GET", "HEAD", "POST"])
def message_rate(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Store a thumb, or withdraw it if it was pressed; or show and store the comment."""
    message = access_message(actor, id)
    request_id = message.request_id
    if request_id is None or not page.is_rateable(message):
        raise Http404
    if request.method == "POST" and "score" in request.POST:
        return _rate(request, actor, message, request_id)
    return _comment(request, actor, message, request_id)


def _rate(request: HttpRequest, actor: Actor, message: Message, request_id: UUID) -> HttpResponse:
    score, refusal = request.POST["score"], ""
    try:
        if score in _SCORES:
            opinion = _opinion_of(message, request_id)._replace(score=_SCORES[score])
            give_feedback(actor, request_id, opinion)
        else:
            withdraw_feedback(actor, request_id)
    except Refused as refused:
        refusal = refused.message
    opinion = _opinion_of(message, request_id)
    context = {"id": message.text_id, **page.rating_context(message, slug_of(actor), opinion)}
    response = render(request, "playground/turns/_thumbs.html", context)
    return toast(response, refusal, tone="bad") if refusal else response


def _comment(
    request: HttpRequest, actor: Actor, message: Message, request_id: UUID
) -> HttpResponse:
    opinion = _opinion_of(message, request_id)
    posted = request.POST if request.method == "POST" else None
    form = CommentForm(posted, initial={"comment": opinion.comment})
    url = page.conversation_url(slug_of(actor), id_text(message.conversation_id))
    if form.is_valid():
        comment = form.cleaned_data["comment"].replace("\r\n", "\n")
        opinion = opinion._replace(comment=comment)
        try:
            if opinion == Opinion():
                withdraw_feedback(actor, request_id)
            else:
                give_feedback(actor, request_id, opinion)
        except Refused as refused:
            refused.add_to(form)
        else:
            return redirect_to(request, url)
    context = {"form": form, "back_url": url}
    template = "playground/turns/rating_comment.html"
    return render_dialog(request, template, context, refused=form.is_bound)


def _opinion_of(message: Message, request_id: UUID) -> Opinion:
    chat = message.conversation
    opinions = opinions_of(chat.organisation_id, chat.user_id, [request_id])
    return opinions.get(request_id, Opinion())
