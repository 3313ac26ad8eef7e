"""Show a running sync: rows, expected rows and rows per second."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from sandbox.device.downloads import Progress as SyncProgress


class _Rows(ProgressColumn):
    def render(self, task: Task) -> Text:
        expected = "" if task.total is None else f" of {task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{expected} rows")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s")


class SyncBar:
    """A context manager whose `show` goes to `Device.sync` as its `progress`."""

    def __init__(self, console: Console, *, label: str = "Download") -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Rows(),
            _Rate(),
            TimeElapsedColumn(),
            console=console,
            # A line for every sync of a watch would bury what it says.
            transient=True,
        )
        self._task = self._bar.add_task(label, total=None)

    def __enter__(self) -> SyncBar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, progress: SyncProgress) -> None:
        rows = progress.downloaded_rows
        self._bar.update(
            self._task,
            completed=progress.rows if rows is None else rows,
            total=progress.expected_rows,
        )
