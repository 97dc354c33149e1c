"""A service that takes its time for each answer, and keeps in mind when it was asked."""

import asyncio
import itertools
import json
import threading
import time
from collections import defaultdict

_LINES = 256


class SlowService:
    """Answers any number of requests at once, each ``pause`` seconds after it came. A submit gets a task id; a poll hears
    that the task is being processed, until ``finish``.

    Attributes:
        polls: when each task was asked for, by ``time.monotonic``, in order.
        most_at_once: requests under way at the same time, at most.
    """

    def __init__(self, pause: float = 1.0) -> None:
        self._pause = pause
        self._is_finished = False
        self._numbers = itertools.count(1)
        self._under_way = 0
        self.polls: dict[str, list[float]] = defaultdict(list)
        self.most_at_once = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "SlowService":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def finish(self) -> None:
        """From now on polls hear that their task has succeeded."""
        self._is_finished = True

    def intervals(self) -> list[float]:
        """Seconds between two polls of a task, of all tasks."""
        return [
            after - before for times in list(self.polls.values()) for before, after in itertools.pairwise(list(times))
        ]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024, limit=2**16)
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while first := await reader.readline():
                came = time.monotonic()
                length = 0
                for _ in range(_LINES):
                    line = await reader.readline()
                    if line in (b"\r\n", b""):
                        break
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                await reader.readexactly(length)
                said = await self._answer(first.split()[1].decode(), came)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(said), said)
                )
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever asked has gone, or we go
        finally:
            writer.close()

    async def _answer(self, path: str, came: float) -> bytes:
        self._under_way += 1
        self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            await asyncio.sleep(self._pause)
        finally:
            self._under_way -= 1
        if path.startswith("/status/"):
            task = path.removeprefix("/status/")
            self.polls[task].append(came)
        else:
            task = str(next(self._numbers))
        return json.dumps({"taskId": task, "status": "SUCCESS" if self._is_finished else "PROCESSING"}).encode()
