"""Start processes that never outlive the process that started them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from project import watchdog

PATIENCE = 20.0
LONGEST_WORDS = 300
# Less than that, and a log may have come to nothing.
FULL_DISK_BYTES = 64 * 1024

# The kernel's parent-death signal is armed after the fork, so a parent that died
# before that moment would be missed; the shell looks once more, then steps aside.
_STILL_HAS_PARENT = '[ "$PPID" = "$0" ] && exec "$@"'
_TELLING = ("FATAL", "PANIC", "Fatal", "rror:", "No space", "Permission denied")


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def how_it_ended(self) -> str:
        """Say in one line how an ended child ended, and its likeliest reason."""
        code = self.process.returncode
        end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"{end}; its last words: {self.last_words()}"

    def last_words(self) -> str:
        """Return the line of its log that most likely says why it ended."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = [_message(line) for line in lines[-100:] if line.strip()]
        telling = [line for line in said if any(word in line for word in _TELLING)]
        words = (telling or said or [_silence(self.log)])[-1]
        return f"{words[:LONGEST_WORDS]} (see {self.log})"


def _silence(log: Path) -> str:
    is_full = shutil.disk_usage(log.parent).free < FULL_DISK_BYTES
    return "No space left on device" if is_full else "none"


def _message(line: str) -> str:
    """Return what a person wants to read of a line that may be JSON."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line.strip()
    if not isinstance(fields, dict):
        return line.strip()
    words = str(fields.get("exception") or fields.get("message") or line)
    return words.strip().splitlines()[-1].strip()


def start(
    name: str,
    *,
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path = Path("/"),
    privileges: Sequence[str] = (),
    death_signal: str = "TERM",
) -> Child:
    """Start `command` in a process group of its own, its output going to `log`.

    It is sent `death_signal` when the *thread* that called this ends, so call it
    from a thread that lives as long as the child shall. What the child itself
    starts is not covered: see `watched`.
    `privileges` are further options of `setpriv`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    guard = ("sh", "-c", _STILL_HAS_PARENT, str(os.getpid()))
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            ["setpriv", *privileges, "--pdeathsig", death_signal, *guard, *command],  # noqa: S607 - util-linux, wherever it is
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    return Child(name=name, process=process, log=log)


def stop(
    child: Child,
    *,
    with_signal: signal.Signals = signal.SIGTERM,
    patience: float = PATIENCE,
) -> None:
    """Ask the child to end, insist after `patience` seconds, and leave no orphans."""
    child.process.send_signal(with_signal)
    await_end(child, patience=patience)


def await_end(child: Child, *, patience: float = PATIENCE) -> None:
    """Wait for a child that was asked to end, as `stop` does."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.process.wait(patience)
    # Whatever the child started lives in its process group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.process.pid, signal.SIGKILL)
    child.process.wait()


class Watch:
    """Tells the watchdog which process groups must not outlive this process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def over(self, child: Child) -> None:
        self._tell(str(child.process.pid))

    def is_over(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._tell("done")
            self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Have children's whole process groups ended even if this process is killed."""
    process = subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, "-I", watchdog.__file__],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watch = Watch(process)
    try:
        yield watch
    finally:
        watch.is_over()
