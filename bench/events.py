"""Regular events: what they cost the engine, and how fast they arrive."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench.engine import _wait
from bench.figures import Figure
from tests.processes.lab import Lab
from tests.stack import Stack, free_port

SUBSCRIBERS, DEAD = 20, 2
RATE = 100
"""Changes of status a second, told to each subscriber."""
NO_OPS = 1500
PACED_FOR = 8
ROUNDS = 5
INSTANCES = 1000
LAYERS = ("50", "100")
LEAST = 0.9
_QUIET_FOR = 10.0

RECEIVER = """
import asyncio, os, sys
os.nice(19)  # a receiver is another machine's burden
class Receiver(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.held = transport, b""
    def data_received(self, data):
        self.held += data
        head, end, body = self.held.partition(b"\\r\\n\\r\\n")
        if end:
            length = next(int(l[15:]) for l in head.lower().split(b"\\r\\n") if l.startswith(b"content-length:"))
            if len(body) >= length:
                self.held = body[length:]
                self.transport.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
async def main():
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", int(sys.argv[1]), backlog=512)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""
"""A subscriber that costs as little as possible, and keeps connections open as servers do."""


def events(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Shell no-ops at full speed while somewhere else instances change their status, with and without subscribers in turns."""
    port, nobody = free_port(), free_port()
    command = [sys.executable, "-c", RECEIVER, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as receiver:
        assert receiver.stdout is not None and receiver.stdout.readline()
        try:
            urls = [f"http://127.0.0.1:{port}/{n}" for n in range(SUBSCRIBERS - DEAD)]
            urls += [f"http://127.0.0.1:{nobody}/{n}" for n in range(DEAD)]
            yield from _cost(stack, lab, lab.ask("subscribers", str(INSTANCES), *urls))
        finally:
            receiver.terminate()
    yield from _noting(lab)


def _cost(stack: Stack, lab: Lab, known: dict[str, list[int]]) -> Iterator[Figure]:
    ids, instances = [str(pk) for pk in known["ids"]], [str(pk) for pk in known["instances"]]
    pacer = Lab(stack.env)
    speeds: dict[bool, list[float]] = {True: [], False: []}
    told = noted = 0
    try:
        _no_ops(lab)  # warm
        with ThreadPoolExecutor(1) as pool:
            for turn in range(2 * ROUNDS):
                listening = turn % 2 == 1
                lab.ask("listen", "1" if listening else "0", *ids)
                before = lab.ask("told", *ids).get("delivered", 0)
                paced = pool.submit(pacer.ask, "pace", *instances, str(RATE), str(PACED_FOR))
                time.sleep(0.5)
                speeds[listening].append(_no_ops(lab))
                noted += paced.result() if listening else 0
                told += lab.ask("told", *ids).get("delivered", 0) - before
            lab.ask("listen", "1", *ids)
            before = lab.ask("told", *ids).get("delivered", 0)
            pacer.ask("pace", *instances, str(RATE), str(_QUIET_FOR))
            idle = lab.ask("told", *ids).get("delivered", 0) - before
            lab.ask("listen", "0", *ids)
    finally:
        pacer.close()
    alone, beside = (statistics.median(speeds[one]) for one in (False, True))
    ratio = statistics.median(
        b / a for a, b in zip(speeds[False], speeds[True], strict=True)
    )  # pairs: moods of the machine
    yield Figure("shell no-ops, nobody subscribed", alone, "1/s")
    what = f"{RATE} changes a second told to {SUBSCRIBERS} subscribers, {DEAD} dead"
    yield Figure(f"shell no-ops, {what}", beside, "1/s")
    yield Figure("shell no-ops, subscribed to not subscribed", ratio, "ratio", least=LEAST)
    wanted = noted * (SUBSCRIBERS - DEAD)
    yield Figure("messages that arrived while the engine was at full speed", told / wanted, "share")
    yield Figure("messages that arrived a second, engine idle", idle / _QUIET_FOR, "1/s")


def _no_ops(lab: Lab) -> float:
    ids = lab.ask("no_ops", str(NO_OPS))
    _wait(lab, ids)
    return NO_OPS / float(lab.ask("transitions", str(ids[0]), str(ids[-1]))["seconds"])


def _noting(lab: Lab) -> Iterator[Figure]:
    """The engine at its very fastest, with its own changes noted and made events of, and without."""
    speeds: dict[str, list[float]] = {"0": [], "1": []}
    for turn in range(2 * ROUNDS):
        watched = str(turn % 2)
        ids = lab.ask("watched_layers", *LAYERS, watched)
        _wait(lab, ids)
        made = lab.ask("transitions", str(ids[0]), str(ids[-1]))
        speeds[watched].append(made["count"] / made["seconds"])
        lab.ask("unwatch")
    alone, noted = (statistics.median(speeds[one]) for one in ("0", "1"))
    yield Figure("virtual wave, transitions", alone, "1/s")
    yield Figure("virtual wave, transitions, each noted", noted, "1/s")
    yield Figure("virtual wave, noted to not noted", noted / alone, "ratio")
