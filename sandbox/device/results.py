"""What a request for changes names, and what was stored of its answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sandbox.device.answers import CheckpointLine, Digest


@dataclass(frozen=True, slots=True)
class Request:
    """What a request for changes names."""

    model: str
    checkpoint: str | None
    resets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyResult:
    """What of an answer was stored; a cut answer counts up to its last checkpoint."""

    rows: int = 0
    deletes: int = 0
    swept: int = 0
    checkpoints: int = 0
    checkpoint: str | None = None
    complete: bool = False
    server_rows: int | None = None
    expected_rows: int | None = None
    through_mutation: int | None = None
    digest: Digest | None = None

    def and_then(
        self, end: CheckpointLine, *, received: int, deleted: int, swept: int
    ) -> ApplyResult:
        """Return this and one more chunk, which ended with `end`."""
        return replace(
            self,
            rows=self.rows + received,
            deletes=self.deletes + deleted,
            swept=self.swept + swept,
            checkpoints=self.checkpoints + 1,
            checkpoint=end.checkpoint,
            complete=end.complete,
            server_rows=end.rows,
            expected_rows=end.expected_rows or self.expected_rows,
            through_mutation=end.through_mutation,
            digest=end.digest,
        )
