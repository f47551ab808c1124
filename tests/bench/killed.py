"""Who still knows what was spent when web processes are killed in the middle of their work.

A provider with books of its own is the judge. nginx and Portkey's gateway keep no account of what
is spent; LiteLLM keeps one only in a database, through an engine that its package downloads.
"""

import random
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.bench.measure import Figures
from tests.chaos.judge import judge
from tests.chaos.load import Load
from tests.chaos.parts import installation
from tests.fakes.upstream import FakeUpstream

KILLED: Final = "killed"
PROVIDERS: Final = {"without look-up": "openai_compatible", "with look-up": "openai_metered"}
"""Whether the provider says afterwards what a request cost that was cut."""
KILLS: Final = 12
CLIENTS: Final = 40
_SETTLED_S: Final = 120.0


def kill_in_the_middle(folder: Path, fake: FakeUpstream, provider: str) -> Figures:
    """Return the `served` attempts of the provider, those that are `lost`, those counted `twice`,
    those `cut` by a kill, and what they cost in nano-USD by the provider (`provider_nano`), charged
    to customers (`customer_nano`), borne by the platform (`platform_nano`), and said by the
    provider behind the last mark of a cut answer (`unknown_nano`)."""
    dice = random.Random(1)
    fake.reset()
    with (
        tempfile.TemporaryDirectory(prefix="killed-", dir=folder) as name,
        installation(Path(name)) as installed,
    ):
        hub, other = installed.hubs
        tenants = [hub.tenant("1000.00") for _ in range(4)]
        model = hub.model(fake, provider=provider)
        other.know(model)
        ports = [hub.port, other.port]
        load = Load(ports, tenants, model, clients=CLIENTS, leaving=False, seed=1)
        load.start()
        for _ in range(KILLS):
            time.sleep(dice.uniform(1.0, 3.0))
            web = dice.choice(installed.webs)
            web.kill()
            web.start()
        installed.await_ready()
        load.stop()

        def settled() -> bool:
            if hub.rows("SELECT 1 FROM billing_hold WHERE state = 'open' LIMIT 1"):
                return False
            return provider != PROVIDERS["with look-up"] or judge(hub, [fake]).exact

        hub.wait(settled, "not everything is settled", _SETTLED_S)
        verdict = judge(hub, [fake])
        hub.assert_books_balance()
    fake.reset()
    return {
        "served": float(verdict.accepted),
        "lost": float(len(verdict.missing)),
        "twice": float(len(verdict.double)),
        "cut": float(verdict.cut),
        "provider_nano": float(verdict.oracle_nano),
        "customer_nano": float(verdict.customer_nano),
        "platform_nano": float(verdict.loss_nano),
        "unknown_nano": float(verdict.oracle_nano - verdict.customer_nano - verdict.loss_nano),
    }
