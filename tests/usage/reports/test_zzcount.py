import builtins, sys
from tests.usage.reports.test_pages import *  # noqa
from tests.usage.reports.test_pages import _at_noon_of_the_20th  # noqa
for _n in [n for n in globals() if n.startswith('test_')]: del globals()[_n]

def flag(v):
    with open('/tmp/h39/prof/flag','r+b') as f: f.write(v)

def test_zz(people, key, sum_up) -> None:
    happen(key, NOON, 10**9, model="gpt-5"); sum_up()
    alice = cast.signed_in(people.alice)
    page(alice, "usage?range=30d")
    sys.setprofile(builtins._h39hook); flag(b'1')
    page(alice, "usage?range=30d")
    flag(b'0')
