"""Writers of the content log that fail, each in place of the process of that name.

python -m tests.relay.content_log.writers
"""

import os
import sys
from typing import Final

from relay.content_log.entry import Ended, Ready, Setup, Submitted, frame, read_for_writer

DEADLY: Final = "deadly"
SILENT: Final = "silent"


def main() -> None:
    """Say of each entry that it is written, in the file that the setup names; die of a deadly one,
    and say nothing of a silent one and of all that follow."""
    connection = os.fdopen(0, "r+b", buffering=0)

    def read(size: int) -> bytes:
        raw = b""
        while len(raw) < size:
            more = connection.read(size - len(raw))
            if not more:
                sys.exit(0)
            raw += more
        return raw

    def next_message() -> object:
        return read_for_writer(read(int.from_bytes(read(4), "big")))

    setup, silent = next_message(), False
    assert isinstance(setup, Setup)
    connection.write(frame(Ready()))
    while True:
        message = next_message()
        assert isinstance(message, Submitted)
        model = message.entry.model
        if model == DEADLY:
            os._exit(1)
        silent = silent or model == SILENT
        if not silent:
            with open(setup.dsn, "a") as file:
                file.write(f"{model}\n")
            connection.write(frame(Ended(1, 0, {message.entry.request_id: {"model": model}})))


if __name__ == "__main__":
    main()
