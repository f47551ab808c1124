"""The errors of the relay.

RelayError
  · DatabaseFailed         503 for the client, never 401, 402 or 403
    · DatabaseAway           it did not accept the transaction
    · DatabaseRefused        it refused a statement
    · WindowMissing          the window of a budget cannot be opened
  · ClientGone             the client no longer waits for the answer
    · ClientLeft             a realtime connection has lost its client
  · ChannelsOut            no channel of the model is available
  · ChannelFull            one channel has reached a limit of its own
  · UpstreamFailed         an attempt failed, by a row of the fault table
  · NoCredentials          no credentials were fetched; becomes UpstreamFailed
  · SourceUnreached        a source of credentials did not answer; becomes NoCredentials
  · Unreadable             a response is not valid HTTP; becomes UpstreamFailed
  · SocketLost             a provider's WebSocket has closed; becomes UpstreamFailed
  · Unpriced               the price has no rate for the request
  · RealtimeOver            a realtime connection ends
  · ConnectionOver         a WebSocket of the Responses API ends
  · EventRefused           a realtime connection refuses one event
  · SecretTooLong          the settings of a client secret do not fit into a header
  · ToolRefused            a guard refuses a call of a tool; becomes GuardRefused
  · RunnerDied             the process that ran an idempotent request died
  · SpoolUnusable          the disk cannot store anything

Errors that a client gets for its request are RequestFault (`dialects/errors/errors.py`) and its
subclasses LimitReached, UsedUp, GuardRefused, GuardFailed, MethodNotAllowed, TooLarge,
RequestMissing, ResponseMissing, SecretRefused and SignedRequest.
`relay/downstream/error_answers.py` maps all of these to answers.
An error with attributes of its own is defined where it is raised.
"""


class RelayError(Exception):
    """The base class of the relay's errors."""


class DatabaseFailed(RelayError):
    """The database did not execute a transaction."""


class DatabaseAway(DatabaseFailed):
    """The database did not confirm the transaction, which may have been committed. Also raised
    before any is sent: the relay has not started, has no connection, or its spool is full."""


class DatabaseRefused(DatabaseFailed):
    """The database refused a statement; the transaction was rolled back."""

    def __init__(self, sqlstate: str, message: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(f"{sqlstate} {message}")


class WindowMissing(DatabaseFailed):
    """A budget has no window for this instant, and none can be opened: one that begins later is in
    its place. Nothing was held."""


class ClientGone(RelayError):
    """The client disconnected before it was answered."""
