import time
from tests.fakes.upstream import FakeUpstream
from tests.hub import Hub

def flag(v):
    with open('/tmp/h39/prof/flag','r+b') as f: f.write(v)

def test_zz(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(usd="1.00"), hub.model(fake)
    body = {"model": model, "messages": [{"role": "user", "content": "#tokens=4"}]}
    first = hub.post(tenant, body); hub.record(first.headers["x-request-id"])
    flag(b'1')
    answer = hub.post(tenant, body)
    hub.record(answer.headers["x-request-id"])
    flag(b'0')
    assert answer.status == 200
