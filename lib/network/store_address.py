"""Object stores: S3, Google Cloud Storage, Azure, or a folder, by obstore, which is installed. It
knows no framework; others open a store by `object_store.py`.

Only an operator names one, in a setting, so they are outside of the guarded connector."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_TIMEOUT: Final = "30s"


def make_store(url: str) -> "ObjectStore":
    """Return the store at `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
    `file:///folder`, which is created. Logins come from the environment variables that the
    provider's own tools read (`AWS_*`, `GOOGLE_*`, `AZURE_*`). Raises ValueError that names what is
    wrong with the address."""
    store, errors = import_module("obstore.store"), import_module("obstore.exceptions")
    try:
        if url.startswith("file:"):
            opened: ObjectStore = store.from_url(url, mkdir=True)
        else:
            # By http only where the operator gives an address with http.
            options = {"timeout": _TIMEOUT, "allow_http": True}
            opened = store.from_url(url, client_options=options)
    except (errors.BaseError, ValueError) as error:
        # Only the first line: the others repeat the options, which may have a login.
        text = str(error).partition("\n")[0]
        raise ValueError(f"This object store cannot be opened: {text}") from None
    return opened
