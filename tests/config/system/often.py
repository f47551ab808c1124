"""A hub that reports itself twice a second: for `Hub(application=…)`."""

from config.jobs import sweeping

vars(sweeping)["_EVERY_S"] = vars(sweeping)["_SHOWN_EVERY_S"] = 0.5
vars(sweeping)["_CHECK_S"] = 0.1

from tests.support.soon import application  # noqa: E402

__all__ = ["application"]
