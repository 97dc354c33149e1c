"""The gate at which a program waits until its guardian knows it."""

import contextlib
import os
from types import TracebackType
from typing import Self


class Gate:
    """A pipe that the program reads before it does anything else: it goes on when its guardian knows its process group,
    and with what it is told then, which nobody else can read. A worker child that is killed in between leaves a program
    that finds the pipe's end, and must end without having done anything.
    """

    def __init__(self) -> None:
        self.descriptor, self._opened = os.pipe()
        self._is_passed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.passed()
        os.close(self._opened)

    @property
    def in_bash(self) -> str:
        """The gate as bash commands, to stand before others on their line."""
        return f"read -r _ <&{self.descriptor} || exit 125; exec {self.descriptor}<&-; "

    def passed(self) -> None:
        """The program has its end; ours is not needed."""
        if not self._is_passed:
            self._is_passed = True
            os.close(self.descriptor)

    def open(self, told: bytes) -> None:
        """Let the program go on; ``told`` is at most what a pipe holds. One that is dead already is not told."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._opened, told)
