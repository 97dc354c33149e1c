"""A mail server of a test: speaks SMTP on a port of its own, keeps what it is given, and refuses what it is told to."""

import email
import email.policy
import socketserver
import threading
from collections.abc import Callable
from email.message import EmailMessage
from types import TracebackType
from typing import Any


class Mailbox:
    """Runs while the block lasts.

    Attributes:
        answers: what it answers to a command instead of yes, by the command; ``.`` is the end of a mail. An empty answer hangs
            up; the end of a mail keeps what came before it is looked at.
        on_data: called for each mail before it is answered, by a thread of the server.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.on_data: Callable[[], Any] = lambda: None
        self.recipients: list[list[str]] = []
        self._raw: list[bytes] = []
        box = self

        class Talk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                box._talk(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Talk)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def mails(self) -> list[EmailMessage]:
        """What arrived, in order."""
        found = [email.message_from_bytes(raw, policy=email.policy.default) for raw in self._raw]
        return [one for one in found if isinstance(one, EmailMessage)]

    def use(self, settings: Any) -> None:
        """Have the product send its mails here."""
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", self.port

    def _talk(self, line: socketserver.StreamRequestHandler) -> None:
        line.wfile.write(b"220 here\r\n")
        to: list[str] = []
        while command := line.rfile.readline().decode().strip():
            verb = command.split()[0].upper()
            answer = self.answers.get(verb, {"DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 yes"))
            if verb == "RCPT":
                to.append(command.partition("<")[2].rstrip(">"))
            line.wfile.write(f"{answer}\r\n".encode() if answer else b"")
            if verb == "QUIT" or not answer:
                return
            if verb == "DATA" and answer.startswith("354"):
                answer = self._take(line, to)
                if not answer:
                    return
                line.wfile.write(f"{answer}\r\n".encode())
                to = []

    def _take(self, line: socketserver.StreamRequestHandler, to: list[str]) -> str:
        raw = b""
        while (part := line.rfile.readline()) not in (b".\r\n", b""):
            raw += part.removeprefix(b".") if part.startswith(b"..") else part
        self.on_data()
        answer = self.answers.get(".", "250 kept")
        if not answer.startswith("5") and not answer.startswith("4"):
            self._raw.append(raw)
            self.recipients.append(to)
        return answer

    def __enter__(self) -> "Mailbox":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
