"""The page of operators with all requests whose count is doubted (I14, F27)."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import Actor, operator_page
from lib.ids import id_text, parse_id
from lib.pagination import cut
from usage import reviews, words

_ROWS = 50


@operator_page("credits.read")
@require_safe
def review_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    before = parse_id(request.GET.get("after", ""))
    waiting = reviews.open_reviews(actor, _ROWS + 1, before)
    page = cut(waiting, _ROWS, lambda review: review.attempt_id)
    context = {
        "rows": [
            {
                "one": review,
                "rid": id_text(review.request_id),
                "flags": [words.flag_word(flag) for flag in review.flags if flag != "quarantine"],
                "kept": review.basis == "held",
            }
            for review in page.items
        ],
        "next_href": f"?after={page.next}" if page.next else "",
    }
    return render(request, "usage/reviews.html", context)
