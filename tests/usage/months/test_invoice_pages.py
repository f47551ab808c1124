"""W42: list, document and PDF of an organisation's invoices, the operators' close, and the API: the
same figures in each, and hostile texts are data."""

import io
import re
from typing import Any

import pypdf
import pytest
import typst

from accounts.access.actors import Actor
from accounts.models import Key, KeyKind
from billing.currency.money import format_usd
from billing.invoices import invoices
from billing.invoices import pdf as invoice_pdf
from billing.invoices.billing_details import add_tax_rate
from billing.invoices.document import amount
from billing.invoices.invoices import lines_of
from billing.models import Invoice, InvoiceKind, Posting
from lib.ids import id_text
from tests.support import cast
from tests.support.approving import waiting_approval
from tests.support.hostile import LONG, NUL, STORABLE
from tests.support.invoicing import charged, closed, drafted, mid_month
from tests.usage.rows import price_version

pytestmark = pytest.mark.django_db
USD = 10**9


@pytest.fixture
def dora(people: cast.Cast) -> Actor:
    return cast.actor(people.dora)


@pytest.fixture
def erik(people: cast.Cast) -> Actor:
    return cast.actor(cast.person("erik", operator=True))


@pytest.fixture
def invoice(people: cast.Cast, key: Key, dora: Actor, erik: Actor) -> Invoice:
    version = price_version()
    for _ in range(3):
        charged(key, mid_month(), 210_000, price_version_id=version.id)
    charged(key, mid_month(), 1234 * USD)
    add_tax_rate(dora, "VAT", "", "19", mid_month().date().replace(day=1))
    return closed(drafted(people.acme, dora), dora, erik)


def text_of(pdf: bytes) -> str:
    """All that the PDF says, without its line ends."""
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_list_page_pdf_and_api_match_the_ledger(people: cast.Cast, invoice: Invoice) -> None:
    """I19, in every form: the same amounts, the same total, the same checksum."""
    alice, number = cast.signed_in(people.alice), invoice.number
    assert number is not None
    listed = alice.get("/o/acme/billing/invoices").content.decode()
    assert f"/o/acme/billing/invoices/{number}" in listed
    assert "1,468.46" in listed
    assert number not in alice.get("/o/acme/billing/invoices?state=open").content.decode()
    page = alice.get(f"/o/acme/billing/invoices/{number}").content.decode()
    answer = alice.get(f"/o/acme/billing/invoices/{number}.pdf?language=en")
    assert answer["Content-Type"] == "application/pdf"
    pdf = text_of(answer.content)
    amounts = [amount(line.amount_nano) for line in lines_of(invoice)]
    for figure in [*amounts, amount(invoice.total_nano), "3,000", "300", "0.15", "19%"]:
        assert figure in page, figure
        assert figure in pdf, figure
    assert invoice.checksum in page
    assert invoice.checksum in pdf.replace(" ", "").replace("\u200b", "")
    # USD 1,234.00063 and 19% on it, rounded once.
    assert (amounts[-1], amount(invoice.total_nano)) == ("-0.0007497", "1,468.46")
    moved = sum(
        entry.amount_nano
        for posting in Posting.objects.exclude(kind="opening")
        for entry in posting.entries.select_related("account")
        if entry.account.kind in ("customer:available", "customer:held")
    )
    assert -moved == invoice.total_nano

    _, secret = cast.make_key(people.core, "mgmt", user=people.alice, kind=KeyKind.MANAGEMENT)
    program = cast.with_key(secret)
    (item,) = program.get("/api/v1/invoices").json()["items"]
    body = program.get(f"/api/v1/invoices/{number}").json()
    assert item["total"] == body["total"] == "1468.46"
    assert [line["amount"] for line in body["lines"]] == [
        format_usd(line.amount_nano) for line in lines_of(invoice)
    ]
    assert body["seller"]["legal_name"] == "Weir Operations Ltd"
    assert program.get(f"/api/v1/invoices/{number}/pdf").content[:5] == b"%PDF-"
    assert program.get(f"/api/v1/invoices/{number}/pdf?language=xx").status_code == 422


def test_first_button_of_an_invoice_uses_the_readers_language(
    people: cast.Cast, invoice: Invoice
) -> None:
    alice = cast.signed_in(people.alice)
    for language in ("en", "zh-hans"):
        alice.cookies["language"] = language
        page = alice.get(f"/o/acme/billing/invoices/{invoice.number}").content.decode()
        primary = re.findall(r'data-kind="primary"\s+href="[^"]*language=([\w-]+)"', page)
        assert primary == [language]


def test_the_pdf_is_tagged_and_brings_its_fonts(invoice: Invoice) -> None:
    reader = pypdf.PdfReader(io.BytesIO(invoice_pdf.invoice_pdf(invoice, "en")))
    root: Any = reader.trailer["/Root"]
    resources: list[Any] = [page["/Resources"] for page in reader.pages]
    assert bool(root["/MarkInfo"]["/Marked"])
    assert root["/StructTreeRoot"]
    assert root["/Lang"].startswith("en")
    assert b"pdfuaid" in root["/Metadata"].get_data()
    fonts = [
        font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        for used in resources
        for font in used["/Font"].values()
    ]
    assert fonts
    assert all({"/FontFile2", "/FontFile3"} & font.keys() for font in fonts)


def test_the_pdf_in_chinese(invoice: Invoice) -> None:
    try:
        created = invoice_pdf.invoice_pdf(invoice, "zh-hans")
    except invoice_pdf.FontMissing:
        pytest.skip(reason="this machine has no font with Chinese letters, such as fonts-noto-cjk")
    pdf = text_of(created)
    assert "账单" in pdf
    assert amount(invoice.total_nano) in pdf


def test_chinese_without_a_font_is_rejected_and_never_boxes(
    people: cast.Cast, invoice: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoice_pdf, "_FONTS", ("Libertinus Serif",))
    compile: Any = typst.compile
    monkeypatch.setattr(
        typst, "compile",
        lambda *args, **over: compile(*args, **over, ignore_system_fonts=True),
    )  # fmt: skip
    with pytest.raises(invoice_pdf.FontMissing, match="fonts-noto-cjk"):
        invoice_pdf.invoice_pdf(invoice, "zh-hans")
    _, secret = cast.make_key(people.core, "mgmt", user=people.alice, kind=KeyKind.MANAGEMENT)
    answer = cast.with_key(secret).get(f"/api/v1/invoices/{invoice.number}/pdf?language=zh-hans")
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "language")
    assert "fonts-noto-cjk" in answer.json()["error"]["message"]
    invoice.buyer["legal_name"] = "账单"
    pdf = text_of(invoice_pdf.invoice_pdf(invoice, "en"))
    assert "[U+8D26][U+5355]" in pdf
    assert "printed by their code" in pdf


MARKUP = '#panic("x") $ * _ ` \\ " \' @a <b> [c] ~ = + - / // #sys.inputs \u202eright \x00 😀'


@pytest.mark.parametrize("text", [MARKUP, "x" * 10_000, "= # " * 2_500, "مرحبا שלום"])
def test_hostile_texts_are_printed_as_text(invoice: Invoice, text: str) -> None:
    """Whatever a name holds, it is printed and not run."""
    invoice.buyer["legal_name"] = text
    invoice.reason = text
    pdf = text_of(invoice_pdf.invoice_pdf(invoice, "en"))
    assert amount(invoice.total_nano) in pdf
    if text is MARKUP:
        assert '#panic("x") $ * _ ` \\ "' in pdf.replace("“", '"').replace("”", '"')


def test_details_accept_any_text_or_reject_it(people: cast.Cast) -> None:
    alice = cast.signed_in(people.alice)
    for text in [*STORABLE, MARKUP.replace("\0", ""), NUL, LONG]:
        sent = {"legal_name": text, "address": text, "country": "de", "zone": "UTC"}
        stored = alice.post("/o/acme/billing/details", sent).status_code in (302, 303)
        assert stored == (text not in (NUL, LONG)), text
        assert alice.post("/o/acme/billing/details", {"zone": text}).status_code == 422


def test_the_operators_close_a_month_on_its_page(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor
) -> None:
    """Two persons, each by a click; a note afterwards, which links both ways."""
    charged(key, mid_month(), 5 * USD)
    draft = drafted(people.acme, dora)
    first, second = cast.signed_in(people.dora), cast.signed_in(erik.user)  # type: ignore[arg-type]
    assert b"Acme" in first.get("/admin/invoices?q=acm&state=draft").content
    url = f"/admin/invoices/{id_text(draft.id)}"
    assert b"Checklist" in first.get(url).content
    assert b"Waiting for another operator" in first.post(f"{url}/propose", follow=True).content
    page = f"/admin/approvals/{waiting_approval(invoices.INVOICE, draft).outer_id}"
    assert page.encode() in second.get(url).content
    sent = {"act": "approve"}
    assert b"requested this yourself" in first.post(f"{page}/decide", sent).content
    assert second.post(f"{page}/decide", sent).status_code == 303
    note = {"kind": "credit_note", "amount": "2.00", "reason": "Outage"}
    assert first.post(f"{url}/note", {**note, "amount": "9"}).status_code == 422
    assert first.post(f"{url}/note", note).status_code in (302, 303)
    invoice_row = Invoice.objects.get(kind=InvoiceKind.CREDIT_NOTE)
    # What is not closed is nobody's but the operators'.
    alice = cast.signed_in(people.alice)
    assert alice.get(f"/o/acme/billing/invoices/{id_text(invoice_row.id)}").status_code == 404
    page = f"/admin/approvals/{waiting_approval(invoices.INVOICE, invoice_row).outer_id}"
    second.post(f"{page}/decide", sent)
    invoice_row.refresh_from_db()
    draft.refresh_from_db()
    page = alice.get(f"/o/acme/billing/invoices/{draft.number}").content.decode()
    assert f"/o/acme/billing/invoices/{invoice_row.number}" in page
    back = alice.get(f"/o/acme/billing/invoices/{invoice_row.number}").content.decode()
    assert f"/o/acme/billing/invoices/{draft.number}" in back
    assert "-2.00" in back


def test_seller_and_taxes(people: cast.Cast) -> None:
    operator = cast.signed_in(people.dora)
    assert operator.post("/admin/invoices/seller", {"country": "nowhere"}).status_code == 422
    assert operator.post("/admin/invoices/seller", {"legal_name": "W"}).status_code in (302, 303)
    tax = {"name": "VAT", "country": "de", "percent": "19", "valid_from": "2026-01-01"}
    assert operator.post("/admin/invoices/taxes", tax).status_code in (302, 303)
    assert b"already has a rate" in operator.post("/admin/invoices/taxes", tax).content
    for percent in ("-1", "101", "1e2", "19.00001", "\x00"):
        sent = {**tax, "name": "other", "percent": percent}
        assert operator.post("/admin/invoices/taxes", sent).status_code == 422


def test_no_invoices_yet(people: cast.Cast) -> None:
    page = cast.signed_in(people.alice).get("/o/acme/billing/invoices").content.decode()
    assert "No invoices yet" in page
    assert "The first one is created when" in page
