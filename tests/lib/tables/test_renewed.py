"""What a filter renews: everything of the page that depends on the filters. Else a link to a file
leads to the rows of the former filters, and a number counts them."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Engine

from lib.tables.pages import page_of
from lib.tables.sources import ListSource
from lib.tables.table import REGISTERED, Column, Filter, Table
from tests.browser.structure import Element, read
from tests.support.cast import Cast, signed_in
from tests.support.shell import bare_pages

LIST = "{% load tables %}<main id='main'>{% table page %}{% endtable %}</main>"


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """A list with all that a list may have: files, columns, chips, a refresh, changes of several
    rows."""
    yield Table(
        "test-renewed",
        "Test",
        (Column("name", "Name", sort=True),),
        "name",
        filters=(
            Filter("q", "Name", "search"),
            Filter("state", "Status", choices=(("", "Any"), ("on", "On"))),
        ),
        bulk=(("stop", "Stop"),),
        refresh="tests-changed",
    )
    REGISTERED.pop("test-renewed")


def is_in(element: Element, ids: set[str]) -> bool:
    return any(one.attributes.get("id") in ids for one in (element, *element.above()))


def acting_filters(page: Sequence[Element]) -> list[Element]:
    """The form of the filters, and its fields that act by themselves."""
    return [
        one
        for one in page
        if "hx-target" in one.attributes
        and any(place.attributes.get("class") == "filters" for place in (one, *one.above()))
    ]


def renewed_by(control: Element, answer: Sequence[Element] = ()) -> set[str]:
    """The ids of what the answer to a control replaces."""
    says = control.attributes
    named = [says.get("hx-select", says["hx-target"]), *says.get("hx-select-oob", "").split(",")]
    sent = {one.attributes["id"] for one in answer if "hx-swap-oob" in one.attributes}
    return {id.removeprefix("#") for id in named if id} | sent


def staying(page: Sequence[Element], renewed: set[str]) -> list[str]:
    """What a control leaves of a page, but the values of filters: they are what people chose."""
    return [
        f"{one} {one.own_text.strip()}"
        for one in page
        if is_in(one, {"main"})
        and not is_in(one, renewed)
        and not one.attributes.get("id", "").startswith("f-")
        and one.attributes.get("name") != "csrfmiddlewaretoken"
    ]


def test_each_filter_of_a_list_renews_all_that_depends_on_it(table: Table) -> None:
    template = Engine.get_default().from_string(LIST)
    rows: list[dict[str, Any]] = [{"id": 1, "name": "weir"}]

    def shown(**query: str) -> list[Element]:
        asked = {name: [value] for name, value in query.items()}
        page = page_of("/list", table.read(asked), ListSource(rows))
        actor = SimpleNamespace(user=True)
        context = {"page": page, "actor": actor, "bulk_url": "/bulk", "csrf_token": "x"}
        return read(template.render(Context(context)))

    before = shown()
    form, search = acting_filters(before)
    assert (form.tag, search.attributes["name"]) == ("form", "q")
    for control, after in ((form, shown(state="on")), (search, shown(q="weir"))):
        assert str(before) != str(after)
        renewed = renewed_by(control)
        assert staying(after, renewed) == staying(before, renewed), control


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "query"),
    [("requests", "status=error"), ("usage", "model=weir"), ("usage/explore", "model=weir")],
)
def test_filters_renew_the_page_around_the_list_too(people: Cast, path: str, query: str) -> None:
    """The answer to a filter brings along what depends on the filters outside of the list."""
    address = f"/o/acme/{path}"
    alice = signed_in(people.alice)

    def shown(address: str, **headers: str) -> list[Element]:
        answer = alice.get(address, headers=headers)
        assert answer.status_code == 200
        return read(answer.content.decode())

    with bare_pages():
        before, after = shown(address), shown(f"{address}?{query}")
        sent = shown(f"{address}?{query}", **{"HX-Request": "true"})
    form = acting_filters(before)[0]
    assert form.tag == "form"
    renewed = renewed_by(form, sent)
    assert staying(after, renewed_by(form)) != staying(before, renewed_by(form))
    assert staying(after, renewed) == staying(before, renewed)
