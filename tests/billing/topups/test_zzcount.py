import builtins, sys
import pytest
from tests.billing.topups.test_topups import *  # noqa
from tests.billing.topups import test_topups as _t
from tests.billing.test_pages import once_of
for _n in [n for n in globals() if n.startswith('test_')]: del globals()[_n]

def flag(v):
    with open('/tmp/h39/prof/flag','r+b') as f: f.write(v)

def test_zz(bank, people) -> None:
    browser = cast.signed_in(people.alice)
    browser.get("/o/acme/billing/top-up"); 
    sys.setprofile(builtins._h39hook); flag(b'1')
    once = once_of(browser.get("/o/acme/billing/top-up"))
    form = {"amount": "25", "once": once, "processor": "stripe"}
    answer = browser.post("/o/acme/billing/top-up", form)
    flag(b'0')
    print(answer.status_code, answer.get("Location"), answer.content[:0])
    top_up = TopUp.objects.get()
    flag(b'1')
    result = tell(bank, bank.pay(top_up.checkout_id))
    flag(b'0')
    assert result == (200, "applied")
