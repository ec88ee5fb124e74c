"""Processes that end with the one that started them, however that one ends.

The starter holds the write end of the child's standard input. Its end, a kill -9 included, closes it.
A copy of that end in a process forked meanwhile would keep it open, so the child watches its parent
as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
_LOOK_S = 0.1
_PR_SET_PDEATHSIG = 1
_PARENT = os.getppid()  # asked early: a parent that has ended is no longer told


class Child:
    """`python -m MODULE ARGS...`, tied to this process; commands and answers of a line each."""

    def __init__(self, module: str, *args: str, stderr: BinaryIO | None = None) -> None:
        self._lock = threading.Lock()
        # an own session: Ctrl-C in the terminal must not end the broker before its tests
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait for it to end by itself, but no longer than this."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def answer(self) -> str:
        """The next line it prints.

        Raises:
            RuntimeError: It has ended.
        """
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")
        return line.rstrip("\n")

    def ask(self, command: str) -> str:
        with self._lock:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
            return self.answer()

    def close(self) -> None:
        """End it; without effect on one that has ended."""
        self._process.stdin.close()
        self.wait(10)
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def lines(look: float | None = None) -> Iterator[str]:
    """Lines of standard input until it or the parent ends; "" every `look` seconds, if given."""
    rest = b""
    while os.getppid() == _PARENT:
        if not select.select([0], [], [], look or _LOOK_S)[0]:
            if look:
                yield ""
            continue
        read = os.read(0, 65536)
        if not read:
            return
        *whole, rest = (rest + read).split(b"\n")
        for line in whole:
            yield line.decode()


def say(answer: object) -> None:
    """Print a line for the parent."""
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Let the kernel send this signal when the thread ends that started this process; 0 ends that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))


def main(command: list[str]) -> int:
    """Run a command that knows nothing of this: print its process id, kill it at the end."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=die_with_parent,  # noqa: PLW1509 -- this process has one thread
    ) as process:
        say(process.pid)
        for _ in lines(_LOOK_S):
            if process.poll() is not None:
                break
        process.kill()
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
