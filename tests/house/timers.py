"""Every timer and task that the product starts: when it begins, what cancels it, when it fires or
ends, and the test that has it under a moved clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Timer:
    """A timer. `cancelled_by` are the functions of its file that cancel it, as the code has them,
    and `times` is how many are started there. `moved` are tests of
    `tests/relay/test_moved_clock.py`, or the reason why it needs none: it ends nothing that
    somebody waits for."""

    begins: str
    cancelled_by: tuple[str, ...]
    fires: str
    moved: tuple[str, ...] | str
    times: int = 1


@dataclass(frozen=True)
class Task:
    """A task. `cancelled_by` is as above; one that nothing cancels `ends` by itself."""

    begins: str
    cancelled_by: tuple[str, ...]
    ends: str
    times: int = 1


_SERVER: Final = (
    "test_the_server_cuts_no_running_answer",
    "test_server_closes_an_idle_connection",
)
_UPSTREAM: Final = (
    "test_an_upstream_is_not_cut_while_it_answers",
    "test_upstream_must_finish_its_head_in_time",
)
_DEADLINE: Final = (
    "test_a_deadline_cuts_no_running_answer",
    "test_deadline_ends_late_requests",
)
_POOL: Final = ("test_pool_drops_only_idle_connections",)
_BEAT: Final = ("test_only_a_silent_upstream_socket_is_cut",)
_KEEP_ALIVE: Final = ("test_a_keep_alive_is_sent_into_silence_alone",)
_WAIT: Final = ("test_wait_ends_on_time_and_not_while_it_continues",)

TIMERS: Final[Mapping[str, Timer]] = {
    "relay/content_log/content_log.py:ContentLog._send_soon": Timer(
        "with a request to keep", ("ContentLog._send",), "after 0.25 s: what waits is sent",
        "it ends nothing",
    ),
    "config/server/event_loop.py:EventLoop._notify_alive": Timer(
        "when a server listens", (), "as often as systemd asks, for as long as the loop runs",
        "it ends nothing",
    ),
    "config/server/protocol.py:_UnsentWatch._schedule_check": Timer(
        "when a client does not read", ("_UnsentWatch.stop",), "six times without progress",
        ("test_the_server_cuts_a_client_that_does_not_read",),
    ),
    "config/server/protocol.py:Protocol._drop": Timer(
        "when a client sends on after its answer", (), "after 0.1 s: it is read on",
        "it ends nothing",
    ),
    "config/server/protocol.py:Protocol._await_head": Timer(
        "with a connection, and after an answer", ("Protocol._stop_awaiting",),
        "when no head came in time", _SERVER,
    ),
    "config/server/protocol.py:Protocol._head_is_late": Timer(
        "when unread bytes wait at that moment", ("Protocol._stop_awaiting",),
        "after a turn of the loop", _SERVER,
    ),
    # Those of uvicorn, which cancels them when it reads something.
    "config/server/protocol.py:Protocol.timeout_keep_alive_handler": Timer(
        "when unread bytes wait at that moment", (), "after a turn of the loop", _SERVER
    ),
    "config/server/protocol.py:Protocol.shutdown": Timer(
        "when the process stops, for an idle connection", (), "after the time of lingering",
        "no request runs on the connection, and one that arrives cancels it in uvicorn",
    ),
    "config/server/websocket.py:RealtimeProtocol.handle_parser_exception": Timer(
        "when a client sends what is no WebSocket", (), "after 2 s: the connection closes",
        ("test_rejected_socket_is_closed_after_a_while",),
    ),
    "relay/front/request.py:ClientWatch.__init__": Timer(
        "with a request", ("ClientWatch.stop",), "after 0.05 s: the client is watched",
        ("test_watch_reports_only_clients_that_left",),
    ),
    "relay/downstream/deadline.py:Deadline._arm": Timer(
        "with each limit that is nearer", ("Deadline._arm", "Deadline.stop"),
        "when a step or the whole is over", _DEADLINE,
    ),
    "relay/downstream/downstream.py:KeepAlive.__init__": Timer(
        "with a stream", ("KeepAlive.stop",), "after a silence", _KEEP_ALIVE
    ),
    "relay/downstream/downstream.py:KeepAlive._look": Timer(
        "after each look", ("KeepAlive.stop",), "after a silence", _KEEP_ALIVE
    ),
    "relay/front/readiness.py:Readiness.drain_at_sigterm.on_signal": Timer(
        "at SIGTERM", (), "when load balancers have noticed: the server's own handler stops it",
        "a running answer has the time to drain after it (`tests/relay/front/test_life.py`)",
    ),
    "relay/ledger/batching.py:LedgerQueue.start_timer": Timer(
        "with a settlement that waits", (), "after 0.1 s: settlements are written",
        "it ends nothing",
    ),
    "relay/ledger/batching.py:LedgerMarks.watch": Timer(
        "with the first running stream", (), "after 0.05 s: marks are looked at", "it ends nothing"
    ),
    "relay/ledger/batching.py:LedgerMarks._check": Timer(
        "after each look, while streams run", (), "after 0.05 s", "it ends nothing"
    ),
    "relay/realtime/gemini_live/connection.py:LiveConnection._take": Timer(
        "when a turn ends without its usage", ("LiveConnection._finish_answer",),
        "after 2 s: the turn is settled by our own count",
        ("test_previous_turn_does_not_settle_a_running_answer",),
    ),
    "relay/upstream/connection_pool.py:ConnectionPool.keep": Timer(
        "with the first idle connection", ("ConnectionPool.close",), "after 30 s", _POOL
    ),
    "relay/upstream/connection_pool.py:ConnectionPool._drop_old": Timer(
        "while connections are idle", ("ConnectionPool.close",), "after 30 s", _POOL
    ),
    "relay/upstream/http1.py:Connection.buffer_updated": Timer(
        "with a first piece of a head", ("Connection._stop_head_timer",),
        "when the head has no end in time", _UPSTREAM,
    ),
    "relay/upstream/turn_socket.py:TurnSocket.end": Timer(
        "after a turn", ("TurnSocket._stop_waiting",), "after 300 s without another turn",
        ("test_turn_socket_is_closed_only_between_turns",),
    ),
    "relay/upstream/websocket.py:UpstreamSocket.open": Timer(
        "with an open socket", ("UpstreamSocket._stop",), "a ping for each interval", _BEAT
    ),
    "relay/upstream/websocket.py:UpstreamSocket._check_heart": Timer(
        "after each ping", ("UpstreamSocket._stop",), "a ping for each interval", _BEAT
    ),
    "relay/upstream/websocket.py:UpstreamSocket.close": Timer(
        "when this end closes", (), "after 2 s: what is left is cut", _BEAT
    ),
    "lib/process/waiting.py:timeout.__aenter__": Timer(
        "with a block", ("timeout.__aexit__", "timeout.restart"), "when it is over", _WAIT
    ),
    "lib/process/waiting.py:timeout.restart": Timer(
        "with progress", ("timeout.__aexit__", "timeout.restart"), "when it is over", _WAIT
    ),
    "lib/process/waiting.py:timeout._time_out": Timer(
        "when the process was away", ("timeout.__aexit__", "timeout.restart"),
        "after the same time once more",
        "the process is suspended in `tests/lib/process/test_waiting.py`",
    ),
    "lib/process/waiting.py:TimeLimit.__init__": Timer(
        "when a transaction is sent", ("TimeLimit.stop",), "when its answer is awaited too long",
        ("test_time_limit_of_an_answer_fails_what_is_late_alone",),
    ),
    "lib/process/waiting.py:TimeLimit._time_out": Timer(
        "when the process was away", ("TimeLimit.stop",), "after the same time once more",
        "the process is suspended in `tests/lib/process/test_waiting.py`",
    ),
    "stack/processes/supervisor.py:Process._read": Timer(
        "when too much of a log waits", (), "after a pause: the log is read on", "it ends nothing"
    ),
}  # fmt: skip
"""By the file and the function that starts it."""

TASKS: Final[Mapping[str, Task]] = {
    "config/asgi.py:_live": Task("with the process", ("_live",), "with the process"),
    "config/server/database_watch.py:DatabaseWatch.answers": Task(
        "when a request waits for the database", ("DatabaseWatch.close",), "with one answer or none"
    ),
    "config/server/database_watch.py:DatabaseWatch._probe_once": Task(
        "when the database does not answer", ("DatabaseWatch.close",), "when it answers again"
    ),
    "config/server/database_watch.py:DatabaseWatch._try": Task(
        "with each probe", ("DatabaseWatch._try",), "with the answer"
    ),
    "config/server/event_loop.py:_Server._accept": Task(
        "with a connection", (), "when it is made; the protocol limits all that follows"
    ),
    "config/server/request_limits.py:RequestLimits._pass_while_answered": Task(
        "with a page's request", ("RequestLimits._pass_while_answered",), "with its answer"
    ),
    "playground/media/runs.py:_run_media": Task("with a run", ("_run_media",), "with its answer"),
    "playground/answers/notifications.py:RunNotifications.subscribe": Task(
        "with the first reader", ("RunNotifications.subscribe",), "with the last reader"
    ),
    "playground/runs/runs.py:run_in_background": Task(
        "with a run", (), "with it; a shutdown waits for it"
    ),
    "playground/runs/runs.py:start": Task(
        "with a run that is to stop when nobody reads", ("_cancel",), "with the run"
    ),
    "playground/runs/runs.py:_Carrier._stream": Task(
        "with a run", ("_Carrier._stream",), "with the relay's answer"
    ),
    "playground/sending/stream.py:_wait_for_any": Task(
        "with each wait for news", ("_wait_for_any",), "with the first news"
    ),
    "playground/runs/watching.py:_open": Task(
        "with the first reader of a run", (), "with the last reader, whose lease it gives back"
    ),
    "relay/answers/background.py:BackgroundAnswer._run": Task(
        "with a write", (), "with the write, also when the caller is cancelled"
    ),
    "relay/answers/background.py:BackgroundSink.write_now": Task(
        "with pieces that wait", ("BackgroundSink.close",), "when they are stored", times=2
    ),
    "relay/answers/background.py:BackgroundResponses.start": Task(
        "with a response", ("BackgroundResponses.drain",), "with its run"
    ),
    "relay/answers/background.py:BackgroundResponses.enter": Task(
        "with the first response", (), "with the last one"
    ),
    "relay/answers/idempotency.py:IdempotentAnswer.write": Task(
        "with a write", (), "with the write, also when the caller is cancelled"
    ),
    "relay/answers/idempotency.py:AnswerKeeper.piece": Task(
        "with pieces that wait", ("AnswerKeeper.close",), "when they are stored", times=2
    ),
    "relay/answers/idempotency.py:IdempotentRequests.enter": Task(
        "with the first answer", (), "with the last one"
    ),
    "relay/content_log/content_log.py:ContentLog.add": Task(
        "with a request to keep", (), "with its writer when none waits; a shutdown waits for it"
    ),
    "relay/states/state_store.py:StateStore.run": Task(
        "with a write that waits", (), "when none waits; a shutdown waits for it"
    ),
    "relay/attempts/guard_models.py:ask_model": Task(
        "with a guard's question to a model", (), "with its answer; its run is left when it is late"
    ),
    "relay/guarding/calls.py:GuardCalls._ask": Task(
        "with each group of texts", ("GuardCalls._ask",), "with the guard's answer"
    ),
    "relay/attempts/attempt.py:_give_back": Task(
        "after an end marker", (), "with the rest of the body, at most after `REST_S`"
    ),
    "relay/attempts/attempt.py:Attempt._withdraw": Task(
        "when a provider refused an order", (), "with the write"
    ),
    "relay/attempts/shadow_traffic.py:ShadowTraffic.follow": Task(
        "after an answer that has a shadow", ("ShadowTraffic.stop",), "with the shadow's answer"
    ),
    "relay/credentials/keys.py:Authenticator._look_up": Task(
        "with an unknown key", (), "with the look-up, which several requests share"
    ),
    "relay/front/request.py:ClientWatch._begin": Task(
        "0.05 s after a request", ("ClientWatch.stop",), "when the client leaves"
    ),
    "relay/endpoints/responses_socket/connection.py:_Connection._converse": Task(
        "with a connection", ("_Connection._converse",), "with the first of them that ends"
    ),
    "relay/endpoints/responses_socket/connection.py:_Connection._finish": Task(
        "at a connection's end", ("_Connection._finish",), "with the running answers"
    ),
    "relay/endpoints/responses_socket/lane.py:Lane.add": Task(
        "with a lane's first turn", ("Lane.cancel",), "with its last turn"
    ),
    "relay/downstream/downstream.py:KeepAlive._look": Task(
        "with a silence", ("KeepAlive.stop",), "when the comment is written"
    ),
    "relay/pages/in_process.py:InProcessRelay.chat": Task(
        "with a page's request", ("InProcessRelay.drain",), "with its answer"
    ),
    "relay/front/lifespan.py:Lifespan.start": Task(
        "with the process", ("Lifespan.stop",), "with the process", times=6
    ),
    "relay/front/lifespan.py:Lifespan._run": Task(
        "with a look-up", (), "with its answer, also when the caller is cancelled"
    ),
    "relay/database/database.py:PipelinedConnection.open_later": Task(
        "when the connection is lost", ("PipelinedConnection.close",), "when it is back"
    ),
    "relay/ledger/writer.py:LedgerWriter._wake": Task(
        "with what waits", (), "when nothing waits; a shutdown waits for it"
    ),
    "relay/media/task_content.py:pass_on": Task(
        "with a download", ("pass_on",), "when the client leaves"
    ),
    "relay/media/task_events.py:stream_events": Task(
        "with a stream of events", ("stream_events",), "when the client leaves"
    ),
    "relay/media_tasks/media_tasks.py:begin": Task(
        "with a write", (), "with the write, also when the caller is cancelled"
    ),
    "relay/media_tasks/media_tasks.py:confirm": Task(
        "with a write", (), "with the write, also when the caller is cancelled"
    ),
    "relay/realtime/open_connection.py:first_message": Task(
        "with a session", ("first_message",), "with its first message", times=2
    ),
    "relay/realtime/socket_connection.py:SocketConnection._pass_events": Task(
        "with a session", ("SocketConnection._pass_events",), "with the first of them that ends"
    ),
    "relay/tracing/tracing.py:TracedRelay.stop": Task(
        "when the process stops", (), "when what is left is sent, at most after `_FLUSH_S`"
    ),
    "relay/upstream/credential_cache.py:CredentialCache._renew": Task(
        "when a credential is about to end", ("CredentialCache.close",), "with the new one"
    ),
    "relay/upstream/dialer.py:_resolve": Task(
        "with an unknown name", (), "with its addresses, which several requests share"
    ),
    "relay/upstream/dialer.py:Dialer._race": Task(
        "with an address to try", ("Dialer._race",), "with the first connection"
    ),
    "relay/upstream/http1.py:Connection.send_stream": Task(
        "with a body that still arrives", ("Connection.send_stream",), "with the body"
    ),
    "accounts/guards/stream_access.py:read_while": Task(
        "with a page's stream", ("read_while",), "when its reader may not read any more"
    ),
    "accounts/guards/stream_access.py:_next": Task(
        "with each item", ("_next",), "with the item"
    ),
    "stack/processes/supervisor.py:Supervisor.supervise": Task(
        "with the installation", ("Supervisor.supervise",), "when a stop is asked for", times=2
    ),
    "stack/processes/supervisor.py:Supervisor.launch": Task(
        "with a child", ("Supervisor._stop_one",), "when it is stopped"
    ),
    "stack/processes/supervisor.py:Supervisor._live_once": Task(
        "with each start of a child", ("Supervisor._live_once",), "when it serves"
    ),
    "stack/processes/supervisor.py:Supervisor._stop_one": Task(
        "with each stop of a child", ("Supervisor._stop_one",), "when it is hurried"
    ),
    "stack/up.py:Installation.start": Task("with the start", (), "when the model answers"),
    "stack/up.py:run": Task("with a start by make", ("run",), "with make"),
}  # fmt: skip
"""By the file and the function that starts it."""
