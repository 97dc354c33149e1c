"""The courier: sends what is due in the outbox, in runs: one thread each, one request after the other.

A message that somebody waits for is a run of its own. Regular events come in hundreds: a receiver that answers at once is
sent many in one run, over one connection. One thread claims and starts, one records, and those that wait for receivers hold
no database connection. Recording wakes whoever claims, so that a freed slot is used at once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from threading import Lock, Thread
from types import TracebackType

import structlog

from extensions import outbox, outcomes
from extensions.desk import Desk
from extensions.envelope import REDACTED
from extensions.outbox import Claim, Fate, Lane, Parcel, Waiting
from extensions.outcomes import Result
from extensions.runs import MOST_IN_RUN, Runs
from extensions.slots import MOST_YOUNG, Slots
from opscenter.base import outbound
from opscenter.base.reasons import Reason

logger = structlog.get_logger(__name__)

MOST_BODY = 4096
"""Bytes of an answer's body that are kept."""
_MOST_HEADERS, _LONGEST_HEADER = 20, 200
_NOT_KEPT = frozenset({"set-cookie"})
_TOKEN_ROOM = 64
"""Bytes read beyond, so that a token that starts within is seen whole, and taken out."""
_LOOK_AGAIN = timedelta(milliseconds=100)
"""When due deliveries that somebody else holds at the moment are looked at again."""
_RECORD_WITHIN = 1.5
_RUN_WITHIN = 4.0
"""Seconds after which a run sends nothing more: its claims must not be lost under it."""
REST = 0.1
"""Seconds between two rounds of regular events: what comes meanwhile is claimed, and recorded, together."""
MOST_YOUNG_OF = {Lane.CHECKS: MOST_YOUNG, Lane.NOTICES: 2}
"""Runs of regular events have many requests each."""


@dataclass
class _Run:
    """Messages to one extension on their way, one after the other; it has one slot until all have their result.

    Attributes:
        started: what the slot is given back with.
        left: messages without a result.
        sending: the one whose answer it waits for.
        went_well: whether the last that was sent has arrived.
    """

    extension: int
    parcels: Sequence[Parcel]
    started: float
    left: int
    sending: Parcel | None = None
    went_well: bool = False


class Courier:
    """Sends deliveries while the block lasts; ``send_due`` is its due source. What is under way at the end is given a
    moment, and is sent again otherwise.

    Args:
        on_unreachable: what follows for an open check whose message can never be delivered. Called again when the
            database failed meanwhile.
        timeout: seconds that a request may take.
        patience: seconds that requests under way have at the end.
        lane: which deliveries it sends.
    """

    def __init__(
        self,
        on_unreachable: Callable[[int], None],
        *,
        timeout: float = outbox.TIMEOUT,
        patience: float = 3.0,
        lane: Lane = Lane.CHECKS,
    ) -> None:
        self._lane = lane
        self._on_unreachable = on_unreachable
        self._timeout = timeout
        self._patience = patience
        self._slots = Slots(most_young=MOST_YOUNG_OF[lane])
        self._runs = Runs(MOST_IN_RUN[lane])
        self._under_way: dict[Claim, tuple[Parcel, _Run]] = {}
        self._lock = Lock()
        self._has_swept = self._is_stopping = False

    def __enter__(self) -> "Courier":
        self._results = Desk("results", self._record, 0.0 if self._lane is Lane.CHECKS else REST)
        self._unreachable = Desk("unreachable", self._tell)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopping = True
        give_up = time.monotonic() + self._patience
        while self._under_way and time.monotonic() < give_up:
            time.sleep(0.02)
        with self._lock:
            abandoned = [(parcel, parcel is run.sending) for parcel, run in self._under_way.values()]
        for parcel, is_sent in abandoned:
            why = Reason("delivery.abandoned") if is_sent else None
            self._results.put(Result(parcel, Fate.AT_ONCE if is_sent else Fate.UNSENT, reason=why))
        if not all([self._results.close(_RECORD_WITHIN), self._unreachable.close(_RECORD_WITHIN)]):
            logger.warning("courier.left_unrecorded")
        self._runs.close()

    def start_at_once(self, most: int) -> None:
        """How many runs may start at the same time, of all extensions; as many as there are slots, unless told."""
        self._slots.at_once = most

    @property
    def under_way(self) -> int:
        """How many runs wait for an answer."""
        return self._slots.under_way

    def send_due(self) -> datetime | None:
        """Start everything that is due and has room; returns when to look again, None for when we are told."""
        if self._lane is Lane.CHECKS and not self._has_swept:
            for check in outcomes.undeliverable():
                self._unreachable.put(check)
            self._has_swept = True
        self._runs.hang_up_idle()
        while True:
            now, waiting = outbox.waiting(self._lane)
            rooms = self._slots.rooms(one.extension for one in waiting if one.due_at <= now)
            most = {extension: room * self._runs.length(extension) for extension, room in rooms.items()}
            parcels = outbox.claim(most, self._lane) if most else []
            if not parcels:
                return self._nearest(now, waiting, rooms)
            for extension, some in groupby(sorted(parcels, key=_extension), _extension):
                theirs = list(some)
                length = self._runs.length(extension)
                for first in range(0, len(theirs), length):
                    self._start(extension, theirs[first : first + length])
            if self._lane is Lane.NOTICES:  # whoever runs us may want to rest first
                return now

    def _nearest(self, now: datetime, waiting: Sequence[Waiting], rooms: Mapping[int, int]) -> datetime | None:
        moments = []
        for one in waiting:
            if one.due_at > now:
                moments.append(one.due_at)
            elif rest := self._slots.rest(one.extension):
                moments.append(now + timedelta(seconds=rest))
            elif one.extension in rooms or self._slots.rooms([one.extension]):  # its rest may have ended just now
                moments.append(now + _LOOK_AGAIN)
            # else every slot that it may have is taken: what frees one wakes us
        return min(moments, default=None)

    def _start(self, extension: int, parcels: Sequence[Parcel]) -> None:
        run = _Run(extension, parcels, self._slots.take(extension), len(parcels))
        with self._lock:
            self._under_way.update({parcel.claim: (parcel, run) for parcel in parcels})
        sender = Thread(target=self._send, args=(run,), name=f"deliveries to {extension}", daemon=True)
        try:
            sender.start()
        except RuntimeError:  # no more threads
            logger.exception("delivery.no_thread")
            for parcel in parcels:
                self._results.put(Result(parcel, Fate.AGAIN, reason=Reason("delivery.broken")))

    def _send(self, run: _Run) -> None:
        line = self._runs.line(run.extension)
        began, sent = time.monotonic(), 0
        for parcel in run.parcels:
            if sent and (not run.went_well or self._is_stopping or time.monotonic() - began > _RUN_WITHIN):
                self._results.put(Result(parcel, Fate.UNSENT))
                continue
            run.sending = parcel
            result = self._one(parcel, line)
            sent += 1
            run.went_well = result.fate is Fate.DELIVERED
            self._results.put(result)
        self._runs.ended(run.extension, line, (time.monotonic() - began) / sent if run.went_well else None)

    def _one(self, parcel: Parcel, line: outbound.Line) -> Result:
        if parcel.not_sent is not None:
            fate, reason = parcel.not_sent
            return Result(parcel, fate, reason=reason)
        try:
            return request(parcel, self._timeout, line)
        except (Exception, SystemExit):  # Misconfigured is one
            logger.exception("delivery.broken", delivery=parcel.claim.delivery)
            return Result(parcel, Fate.AGAIN, reason=Reason("delivery.broken"))

    # the desks' work

    def _record(self, results: Sequence[Result]) -> Sequence[Result]:
        for result in results:
            self._free(result)
        left, hopeless = outcomes.record(results, self._lane)  # wakes us: what was freed may be taken
        for check in hopeless:
            self._unreachable.put(check)
        return left

    def _free(self, result: Result) -> None:
        """Let go of a run's slot with its last result, once for each claim: a result may come here again."""
        with self._lock:
            _parcel, run = self._under_way.pop(result.parcel.claim, (None, None))
            if run is None:
                return
            run.left -= 1
            is_over = run.left == 0
        if is_over:
            self._slots.release(run.extension, run.started, went_well=run.went_well)

    def _tell(self, checks: Sequence[int]) -> Sequence[int]:
        for check in checks:
            self._on_unreachable(check)
        return []


def _extension(parcel: Parcel) -> int:
    return parcel.extension


def request(parcel: Parcel, timeout: float, line: outbound.Line) -> Result:
    """Make the request; what it came to."""
    began = time.monotonic()
    try:
        answer = line.send(
            "POST",
            parcel.url,
            headers=parcel.headers,
            body=parcel.body,
            timeout=timeout,
            most=MOST_BODY + _TOKEN_ROOM,
        )
    except outbound.OutboundError as error:
        fate = Fate.HOPELESS if isinstance(error, outbound.TargetRefused) else Fate.AGAIN
        return Result(parcel, fate, _milliseconds(began), reason=error.reason)
    kept = [(name, value) for name, value in answer.headers.items() if name not in _NOT_KEPT][:_MOST_HEADERS]
    return Result(
        parcel,
        outcomes.fate_of(answer.status),
        _milliseconds(began),
        answer.status,
        {_text(name, parcel.token, 64): _text(value, parcel.token, _LONGEST_HEADER) for name, value in kept},
        _text(answer.body.decode(errors="replace"), parcel.token, MOST_BODY),
        answer.headers.get("retry-after", ""),
    )


def _milliseconds(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _text(given: str, token: str, most: int) -> str:
    """What a receiver said, as it may be kept and shown: without the check's token, and without what no text may have."""
    return (given.replace(token, REDACTED) if token else given).replace("\0", "\ufffd")[:most]
