"""The log of an attempt: batched chunk rows, written as the output comes, capped with a note."""

import codecs
import time
from collections.abc import Callable
from datetime import date

from opscenter.production.models import LogChunk

CAP = 4 * 1024 * 1024
"""Characters kept of one attempt's output; what comes after is counted, not stored."""

BATCH = 64 * 1024
FLUSH_EVERY = 0.3  # seconds


class JobLog:
    """Collects output; ``write_chunks`` stores a batch of rows (and may wait for the database to come back)."""

    def __init__(self, attempt: int, bizdate: date, write_chunks: Callable[[list[LogChunk]], None]) -> None:
        self._attempt = attempt
        self._bizdate = bizdate
        self._write_chunks = write_chunks
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending: list[str] = []
        self._pending_size = 0
        self._stored = 0
        self._dropped = 0
        self._seq = 0
        self._flushed_at = time.monotonic()

    def write(self, output: bytes) -> None:
        """Take output of the child as it comes; flushes when a batch is full or old."""
        self._take(self._decoder.decode(output))
        if self._pending_size >= BATCH:
            self.flush()
        else:
            self.flush_if_old()

    def note(self, text: str) -> None:
        """A line of our own, not counted against the cap."""
        self._pending.append(text.rstrip("\n") + "\n")
        self._pending_size += len(text)

    def flush_if_old(self) -> None:
        """Store what came in, once it is old enough to be worth a row."""
        if self._pending and time.monotonic() - self._flushed_at >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Store what came in so far."""
        if chunks := self._cut():
            self._write_chunks(chunks)
        self._flushed_at = time.monotonic()

    def close(self) -> list[LogChunk]:
        """The rows that are still to be stored, the note about the cap included."""
        self._take(self._decoder.decode(b"", final=True))
        if self._dropped:
            self.note(f"\n[opscenter] Output is capped at {CAP} characters; {self._dropped} more were not kept.")
        return self._cut()

    def _take(self, text: str) -> None:
        text = text.replace("\x00", "\N{SYMBOL FOR NULL}")  # PostgreSQL stores no NUL
        room = CAP - self._stored
        self._dropped += max(0, len(text) - room)
        text = text[: max(0, room)]
        if text:
            self._stored += len(text)
            self._pending.append(text)
            self._pending_size += len(text)

    def _cut(self) -> list[LogChunk]:
        if not self._pending:
            return []
        chunk = LogChunk(
            attempt_id=self._attempt,
            seq=self._seq,
            bizdate=self._bizdate,
            text="".join(self._pending),
        )
        self._seq += 1
        self._pending, self._pending_size = [], 0
        return [chunk]
