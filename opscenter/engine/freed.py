"""A pipe from a worker's children to its pusher: one of us is free again, look for work now."""

import contextlib
import os

_pipe: tuple[int, int] | None = None


def open_pipe() -> None:
    """Make the pipe; in the supervisor, before anything is forked."""
    global _pipe
    if _pipe is None:
        _pipe = os.pipe()
        os.set_blocking(_pipe[0], False)
        os.set_blocking(_pipe[1], False)


def tell() -> None:
    """A child is free. Outside a worker (tests, a shell) nobody listens."""
    if _pipe is not None:
        with contextlib.suppress(BlockingIOError):  # full: the pusher will look anyway
            os.write(_pipe[1], b".")


def descriptor() -> int:
    """The end to wait on."""
    if _pipe is None:
        raise RuntimeError("open_pipe() comes first")
    return _pipe[0]


def forget() -> None:
    """What was told has been heard."""
    assert _pipe is not None
    with contextlib.suppress(BlockingIOError):
        while os.read(_pipe[0], 4096):
            pass
