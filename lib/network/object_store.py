"""Object stores, by the extra `objects`."""

from typing import TYPE_CHECKING

from lib.extras import require
from lib.network.store_address import make_store

if TYPE_CHECKING:
    from obstore.store import ObjectStore


def open_store(url: str) -> "ObjectStore":
    """Return the store at an address (`make_store`). Raises ExtraMissing, and ValueError that names
    what is wrong with the address."""
    require("objects")
    return make_store(url)
