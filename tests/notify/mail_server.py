"""A mail server on this machine that keeps each letter: RFC 5321, as much of it as a client of one
letter at a time needs."""

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class MailServer:
    """`letters` are what was taken, in its order, and `commands` what was said before. `answers`
    replace 250 to a command, by its verb."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    answers: dict[bytes, bytes] = field(default_factory=dict)


@contextmanager
def mail_server(host: str = "127.0.0.1") -> Iterator[MailServer]:
    kept = MailServer()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say(b"220 here")
            while line := self.rfile.readline():
                verb = line.split(b" ")[0].strip().upper()
                kept.commands.append(line.strip())
                if verb == b"DATA" and verb not in kept.answers:
                    self._say(b"354 go on")
                    kept.letters.append(self._letter())
                self._say(kept.answers.get(verb, b"221 bye" if verb == b"QUIT" else b"250 ok"))
                if verb == b"QUIT":
                    return

        def _letter(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line[1:] if line.startswith(b"..") else line)
            policy = email.policy.default
            return email.message_from_bytes(b"".join(lines), policy=policy)

        def _say(self, text: bytes) -> None:
            self.wfile.write(text + b"\r\n")

    with socketserver.ThreadingTCPServer((host, 0), Session) as server:
        server.daemon_threads = True
        kept.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
