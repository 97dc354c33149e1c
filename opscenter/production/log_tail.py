"""Logs as pages read them: the end first, then what is added to it, always in whole lines while more may come."""

from dataclasses import dataclass, replace

from django.db.models import F, Value
from django.db.models.functions import Length, Replace

from opscenter.production.models import Attempt, LogChunk
from opscenter.production.selectors import log_since

LIMIT = 300_000
"""Characters shown at once; the whole log is in the download."""


@dataclass(frozen=True)
class LogPart:
    """A part of a log.

    Attributes:
        first: number of its first line, from 1.
        offset: where it ends, in characters from the start of the log.
        next_line: number of the line after it.
        is_cut: something before it is left out.
        has_rest: more is stored already.
    """

    text: str
    first: int
    offset: int
    is_cut: bool = False
    has_rest: bool = False

    @property
    def next_line(self) -> int:
        return self.first + self.text.count("\n")


def is_growing(attempt: Attempt) -> bool:
    """Whether more output may come. Ask before reading: what an attempt wrote last is stored when it ends."""
    return attempt.state in (Attempt.State.CLAIMED, Attempt.State.RUNNING)


def tail(attempt: Attempt, limit: int = LIMIT) -> LogPart:
    """The end of a log, at most ``limit`` characters and one chunk more; reads only the chunks that hold it."""
    breaks = Length("text") - Length(Replace("text", Value("\n"), Value("")))
    chunks = LogChunk.objects.filter(attempt=attempt).annotate(length=Length("text"), breaks=breaks)
    sizes = list(chunks.order_by("-seq").values_list("seq", F("length"), F("breaks")))
    taken = total = 0
    for _seq, length, _breaks in sizes:
        if total >= limit:
            break
        taken, total = taken + 1, total + length
    left_out = sizes[taken:]
    start = sum(length for _seq, length, _breaks in left_out)
    text, offset = log_since(attempt, start)
    first = 1 + sum(breaks for _seq, _length, breaks in left_out)
    if start and "\n" in text:  # it may start in the middle of a line
        text = text.partition("\n")[2]
        first += 1
    return _whole_lines(attempt, LogPart(text, first, offset, is_cut=start > 0))


def more(attempt: Attempt, offset: int, line: int, limit: int = LIMIT) -> LogPart:
    """What came after an offset, where a line with the given number starts."""
    text, end = log_since(attempt, offset)
    if len(text) > limit:
        return _until_break(LogPart(text[:limit], line, offset + limit, has_rest=True))
    return _whole_lines(attempt, LogPart(text, line, max(end, offset)))


def _whole_lines(attempt: Attempt, part: LogPart) -> LogPart:
    return _until_break(part) if is_growing(attempt) else part


def _until_break(part: LogPart) -> LogPart:
    """Without the last line if it is not complete; a single line that is too long to wait for is kept."""
    keep = part.text.rfind("\n") + 1
    if keep == 0 and len(part.text) >= LIMIT:
        return part
    return replace(part, text=part.text[:keep], offset=part.offset - (len(part.text) - keep))
