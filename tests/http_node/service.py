"""The service of the documentation's example, written fresh: it takes code, runs it in the background, and tells how it is.

``/run_code`` answers with a task id, ``/status/<id>`` with PROCESSING, FINISHED or FAILED (and 404, 500 as documented).
What runs is not code but what the text says: ``ok``, ``fail``, or ``hold`` until the test lets it go.
"""

import json
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Reply = tuple[int, Any]


class Service:
    """Answers as documented unless ``submit`` or ``poll`` are replaced; ``got`` has each request as it came."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []
        self.tasks: dict[str, dict[str, str]] = {}
        self.go = threading.Event()
        self.hang = threading.Event()
        self.submit: Callable[[Any], Reply] = self._submit
        self.poll: Callable[[str], Reply] = self._poll
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def _answer(self, body: bytes) -> None:
                service.got.append((self.command, self.path, dict(self.headers), body))
                path = urlsplit(self.path).path
                if path.startswith("/status/"):
                    status, said = service.poll(path.removeprefix("/status/"))
                else:
                    status, said = service.submit(json.loads(body) if body else {})
                raw = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "http://127.0.0.1/elsewhere")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_args: Any) -> None:
                """Quiet."""

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    pass  # the caller has gone

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> "Service":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_args: Any) -> None:
        self.hang.set()
        self.go.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def submits(self) -> int:
        return sum(1 for _method, path, _headers, _body in self.got if not path.startswith("/status/"))

    def _submit(self, given: Any) -> Reply:
        code = given.get("code", "").strip()
        if not code:
            return 400, {"error": "No code provided"}
        task = str(uuid.uuid4())
        self.tasks[task] = {"taskId": task, "status": "PROCESSING"}
        threading.Thread(target=self._run, args=(task, code), daemon=True).start()
        return 200, {"taskId": task, "status": "PROCESSING"}

    def _run(self, task: str, code: str) -> None:
        if code == "hold":
            self.go.wait(30)
        if code == "fail":
            self.tasks[task] = {"taskId": task, "status": "FAILED", "error": "no"}
        else:
            self.tasks[task] = {"taskId": task, "status": "FINISHED", "log": code}

    def _poll(self, task: str) -> Reply:
        found = self.tasks.get(task)
        if found is None:
            return 404, {"taskId": task, "status": "FAILED", "error": "Task not found"}
        return (500 if found["status"] == "FAILED" else 200), found
