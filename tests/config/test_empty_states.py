"""W03 to W92: a page says that there is nothing where there is nothing, and never beside what there
is. Each page that has such a text is asked in an installation without anything, and in one in which
everything was done."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from django.core.cache import cache
from django.db import transaction
from django.template.loader_tags import IncludeNode
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from accounts.access.actors import SYSTEM
from billing.currency.exchange_rates import RateFields, add_rates
from billing.models import SubscriptionPlan
from billing.prices.prices import set_price
from billing.subscriptions import subscription_plans
from config.jobs.schedule import WATCH
from config.models import JobRun
from gateway.channels.channels import create_channel
from gateway.models import ModelProposal
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import new_id
from notify.endpoints import endpoints
from playground.models import MediaRun
from tests.config.figures import do_all
from tests.house.test_style import ROOT
from tests.isolation.cells import is_operators, page_routes
from tests.isolation.kinds import accounts, content, gateway, notify, usage
from tests.isolation.world import Place, World
from tests.support import cast
from tests.usage.rows import admit

pytestmark = pytest.mark.django_db

# The pages that say so where there is nothing, by their URL names.
PAGES: Final = (
    "announcements", "billing", "bills", "budgets", "catalogue", "channels", "codes", "credits",
    "documents", "embeddings", "exchange_rates", "explore", "exports", "feedback",
    "feedback_sums", "findings", "gallery",
    "health", "history", "holds", "images", "installation_settings", "invitations", "invoices",
    "keys", "limits", "log_rules", "margin", "midjourney", "model_rules", "models", "models_admin",
    "music", "operator_alerts", "organisation_prices", "payments", "policies", "price_proposals",
    "prices", "pricing",
    "prompts", "provider_keys", "raises", "realtime", "requests", "reviews", "service_accounts",
    "sessions", "shadow_traffic", "speech", "status", "subscription", "subscription_plans",
    "top_ups", "transcription", "usage", "video", "views", "webhooks",
)  # fmt: skip
# The panels of Home that say so.
PANELS: Final = tuple(
    f"home {panel}" for panel in ("spend", "models", "keys", "errors", "channels", "latest")
)
# What is offered for each page of media: a model, and the meters of its price.
MEDIA: Final[Mapping[str, tuple[str, str]]] = {
    "images": ("gpt-image-1", "images"),
    "speech": ("gpt-4o-mini-tts", "characters"),
    "transcription": ("whisper-1", "audio_ms"),
    "video": ("sora-2", "video_ms"),
    "music": ("suno_music", "requests"),
    "midjourney": ("mj_imagine", "requests"),
}
OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
    "text-embedding-3-small": ("in_text",),
    "gpt-realtime": ("in_text", "out_audio"),
}
"""Models of other pages, and the meters of their prices."""

# Templates that say so where a page of the list above does not show it, and why.
_OF_ONE: Final = "a part of one object, which is not asked here"
ELSEWHERE: Final = {
    "components/table.html": "a list that its filters leave empty (`tests/lib/tables`)",
    "design/page.html": "the style sheet",
    "accounts/audit_log/_audit.html": "there is an event with the first person",
    "accounts/organisations/_people.html": "somebody reads it",
    "usage/organisations/_organisations.html": "it has the reader's own",
    "usage/organisations/_teams.html": "an organisation has a team",
    "usage/contents/_results.html": "before a search (`tests/usage/contents`)",
    "usage/statements/_statements.html": "the running month is in it",
    "billing/approvals/_approvals.html": "with and without (`tests/billing/approvals`)",
    "config/home/_attention.html": "an installation without anything needs attention",
    "usage/keys/_key_requests.html": _OF_ONE,
    "usage/limits/_end_users.html": _OF_ONE,
    "usage/organisations/team.html": _OF_ONE,
    "usage/reports/_last_days.html": _OF_ONE,
    "usage/reports/_meters.html": _OF_ONE,
    "notify/webhooks/_deliveries.html": _OF_ONE,
    "gateway/channel_overview/channel.html": _OF_ONE,
    "gateway/channel_setup/channel_prices_set.html": _OF_ONE,
    "gateway/catalogue/channel_model_changes.html": _OF_ONE,
    "gateway/prices/_preview.html": _OF_ONE,
    "gateway/prices/plan.html": _OF_ONE,
    "gateway/prices/proposal.html": _OF_ONE,
    "gateway/prices/upstream_prices/channel_prices.html": _OF_ONE,
    "gateway/provider_accounts/reconciliation/_bill_differences.html": _OF_ONE,
}


class Walk:
    """What the pages say: the empty states of each."""

    def __init__(self, clients: Mapping[str, Client]) -> None:
        self._clients = clients
        self._said = set[str]()
        self.templates = set[str]()

    def note(self, node: IncludeNode, context: Any) -> None:
        if "empty.html" in str(node.template.var):
            title = node.extra_context["title"].resolve(context)
            template = str(node.origin.template_name)
            self._said.add(f"{template}: {title}")
            self.templates.add(template)

    def ask(self, names: tuple[str, ...]) -> dict[str, set[str]]:
        said = {}
        for name in names:
            if name in PANELS:
                panel = name.removeprefix("home ")
                path, who = f"/o/acme/_f/home/{panel}", "dora" if panel == "channels" else "alice"
            else:
                path = page_routes()[name][0].replace("<slug:o>", "acme")
                who = "dora" if is_operators(name) else "alice"
            self._said = set()
            answer = self._clients[who].get(path)
            assert answer.status_code == 200, (name, answer.status_code)
            made = answer.content.decode().partition('id="media-results"')[2]
            if "<article" in made.partition("media-nothing")[0]:
                # The style sheet shows it only where no result is.
                self._said = {one for one in self._said if "playground/media/media.html" not in one}
            said[name] = self._said
        return said


@pytest.fixture(scope="module")
def walks(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> tuple[dict[str, set[str]], dict[str, set[str]], dict[str, set[str]], set[str]]:
    """What the pages say without anything, those of media with a model of another kind, and all
    with everything; and the templates that said so."""
    render = IncludeNode.render
    with (
        django_db_blocker.unblock(),
        transaction.atomic(),
        pytest.MonkeyPatch.context() as patch,
    ):
        people = cast.assemble()
        walk = Walk({who: cast.signed_in(getattr(people, who)) for who in ("alice", "dora")})

        def noting(node: IncludeNode, context: Any) -> Any:
            walk.note(node, context)
            return render(node, context)

        patch.setattr(IncludeNode, "render", noting)
        without = walk.ask((*PAGES, *PANELS))
        offer("video", *MEDIA["video"])
        other = walk.ask(tuple(name for name in MEDIA if name != "video"))
        do_everything(people)
        cache.clear()
        beside = walk.ask((*PAGES, *PANELS))
        transaction.set_rollback(True)
    return without, other, beside, walk.templates


def offer(name: str, model: str, *meters: str) -> None:
    set_price(SYSTEM, model, clock.now(), {"meters": dict.fromkeys(meters, 10**6)}, source="test")
    provider = {"music": "suno_api", "midjourney": "midjourney_proxy"}.get(
        name, "openai_compatible"
    )
    fields: Any = {
        "provider": provider, "base_url": "http://127.0.0.1:9/v1", "keys": ["secret"],
        "models": {model: ""},
    }  # fmt: skip
    create_channel(SYSTEM, f"for {name}", fields)


def do_everything(people: cast.Cast) -> None:
    """What the lists show (`tests/config/figures.py`), and what the other pages do."""
    do_all(people)
    for name, (model, meter) in MEDIA.items():
        if name != "video":
            offer(name, model, meter)
        kind = {"images": "image"}.get(name, name)
        # What a finished video shows is in the relay's task.
        over = {} if kind == "video" else {"state": "done", "ended_at": clock.now()}
        MediaRun.objects.create(
            organisation=people.acme, user=people.alice, kind=kind, operation="images",
            model=model, prompt="a weir", token=new_id(), text="Said", facts={}, outcome={},
            body={}, **over,
        )  # fmt: skip
    for model, meters in OTHERS.items():
        offer(model, model, *meters)
    key, _ = cast.make_key(people.core, "everything", user=people.alice)
    admit(key, clock.now(), model="running")
    world = World(people.acme, people.core, people.core, people.stranger, people.dora)
    place = Place("everything", people.acme, people.core, people.alice, key)
    for made in (
        accounts.INVITATION, content.LOG_RULE, content.POLICY, gateway.ALIAS, gateway.MODEL_RULE,
        gateway.OWN_KEY, gateway.ANNOUNCEMENT, notify.WEBHOOK, usage.FINDING, usage.SAVED_VIEW,
    ):  # fmt: skip
        made.make(world, place)
    operator = cast.actor(people.dora)
    add_rates(operator, [RateFields("EUR", clock.now().date(), "0.92", "ECB")])
    ModelProposal.objects.create(
        model="whisper-1", field="context_max", before=1, after=2, source="a list"
    )
    endpoints.create_endpoint(operator, None, "https://hooks.slack.com/services/T/B/x")
    save_settings(operator, public_status=True)
    JobRun.objects.create(task=WATCH.task)
    for plan in SubscriptionPlan.objects.all():
        subscription_plans.offer_plan(operator, plan)


def test_each_empty_page_says_so(walks: Any) -> None:
    without, other, *_ = walks
    assert [name for name, said in (without | other).items() if not said] == []


def test_filled_page_never_claims_to_be_empty(walks: Any) -> None:
    _, _, beside, _ = walks
    assert {name: said for name, said in beside.items() if said} == {}


def test_each_empty_state_template_is_covered(walks: Any) -> None:
    """A new one gets its page into the table, or its reason."""
    *_, templates = walks
    assert saying() - templates == ELSEWHERE.keys()


def saying() -> frozenset[str]:
    """The templates with such a text."""
    folder = ROOT / "templates"
    return frozenset(
        str(path.relative_to(folder))
        for path in folder.rglob("*.html")
        if re.search(r'include "components/empty.html"', path.read_text())
    )
