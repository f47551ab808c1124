"""Our hub with its ledger writer taken out: what remains is the relaying alone.

Every request is admitted by nobody and settled nowhere. Only the bench starts this, to tell what
durable accounting costs the web process; the product has no such switch.
"""

from relay import asgi
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.ledger.settlement import AnySettlement
from relay.ledger.writer import LedgerWriter


class NoLedgerWriter(LedgerWriter):
    async def admit(self, asked: AdmissionRequest) -> Verdict:
        return Verdict("admitted", 0)

    def settle(self, item: AnySettlement, *, at_once: bool = False) -> None:
        pass


vars(asgi)["LedgerWriter"] = NoLedgerWriter

# It makes the relay when it is imported.
from config.asgi import application  # noqa: E402

__all__ = ["application"]
