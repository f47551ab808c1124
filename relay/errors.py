"""The errors of the relay.

RelayError
  · DatabaseFailed         503 for its client, never 401, 402 or 403
    · DatabaseAway           it did not take the transaction
    · DatabaseRefused        it refused a statement
  · ClientGone             nobody waits for the answer any more
    · ClientLeft             a realtime session has lost its client
  · ChannelsOut            no channel of the model can be asked
  · ChannelFull            one channel has reached a limit of its own
  · UpstreamFailed         an attempt failed, by a row of the fault table
  · Unreadable             a response is no HTTP; becomes UpstreamFailed
  · SocketLost             a provider's WebSocket has closed; becomes UpstreamFailed
  · Unpriced               the price has no rate for what the request asks
  · SessionOver            a realtime session ends
  · EventRefused           a realtime session refuses one event
  · RunnerDied             the process died that ran the request of an idempotency key
  · SpoolUnusable          nothing can be kept on this disk

What a client is refused for is a RequestFault of `dialects/errors/errors.py`: LimitReached and
UsedUp, TooLarge and ResponseMissing are such. `relay/front/error_answers.py` says which of all
these becomes which answer. An error with a state of its own is defined where it is raised.
"""


class RelayError(Exception):
    """The base of all of them."""


class DatabaseFailed(RelayError):
    """The database did not do what it was asked."""


class DatabaseAway(DatabaseFailed):
    """The database did not take the transaction; whether it was committed may be unknown."""


class DatabaseRefused(DatabaseFailed):
    """The database refused a statement; the transaction was rolled back."""

    def __init__(self, sqlstate: str, message: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(f"{sqlstate} {message}")


class ClientGone(RelayError):
    """The client went away before it was answered."""
