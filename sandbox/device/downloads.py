"""One sync: answer after answer until nothing is missing, and the check at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import requests

from sandbox.device.answers import Digest
from sandbox.device.bodies import Body
from sandbox.device.endpoint import Call, Endpoint
from sandbox.device.errors import (
    DeviceError,
    ModelChangedError,
    ProtocolError,
    ResyncRequiredError,
    UnavailableError,
)
from sandbox.device.results import ApplyResult, Request
from sandbox.device.store import Store

# A model may change during a download, a checkpoint grow too old, but not for ever.
MOST_DETOURS = 6
CHECKPOINT_HEADER = "Waystation-Checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What is stored since the sync began; `expected_rows` is of this download."""

    rows: int
    deletes: int
    bytes: int
    downloaded_rows: int | None
    expected_rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What a sync did; `digest_equal` is None when nothing was compared.

    `differed` names the tables that were asked for in full because they differed,
    `sent` counts the edits that went out.
    """

    rows: int
    deletes: int
    swept: int
    answers: int
    complete: bool
    digest_equal: bool | None
    differed: tuple[str, ...]
    seconds: float
    bytes: int
    sent: int = 0

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0


class Download:
    def __init__(
        self,
        store: Store,
        endpoint: Endpoint,
        *,
        org: str,
        device_id: str,
        progress: Callable[[Progress], None] | None,
        digest: bool,
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._path = f"/sync/v1/orgs/{org}"
        self._params = {"device": device_id, **({"digest": "1"} if digest else {})}
        self._progress = progress
        self._fetched_model: Mapping[str, object] | None = None
        self._detours = 0
        self._digest: Digest | None = None
        self._rows = self._deletes = self._swept = self._answers = self._bytes = 0

    def run(self) -> SyncResult:
        started = time.monotonic()
        self._until_complete()
        differed = self._differing()
        still_differing = differed
        if differed:
            self._store.want_reset(differed)
            self._until_complete()
            # An answer without a digest does not clear the suspicion.
            still_differing = differed if self._digest is None else self._differing()
        return SyncResult(
            rows=self._rows,
            deletes=self._deletes,
            swept=self._swept,
            answers=self._answers,
            complete=self._store.is_complete,
            digest_equal=None if differed is None else not still_differing,
            differed=differed or (),
            seconds=time.monotonic() - started,
            bytes=self._bytes,
        )

    def _differing(self) -> tuple[str, ...] | None:
        return None if self._digest is None else self._store.differing(self._digest)

    def _until_complete(self) -> None:
        patience = self._endpoint.patience()
        complete = False
        while not complete:
            before = self._store.checkpoint
            try:
                complete = self._one_answer()
            except UnavailableError as error:
                if self._store.checkpoint != before:
                    patience.renew()
                patience.wait_after(error)
            else:
                patience.renew()

    def _one_answer(self) -> bool:
        """Ask once and store what comes; return whether nothing is missing."""
        if self._fetched_model is None and self._store.model is None:
            self._fetch_model()
        asked = self._store.next_request(model=self._fetched_model)
        try:
            response = self._endpoint.open(self._call(asked))
        except ModelChangedError as error:
            self._detour(error)
            self._fetch_model()
            return False
        except ResyncRequiredError as error:
            self._detour(error)
            self._store.forget_checkpoint()
            return False
        with response:
            return self._store_answer(response, asked)

    def _store_answer(self, response: requests.Response, asked: Request) -> bool:
        self._answers += 1
        self._digest = None
        if response.status_code == 204:
            self._swept += self._advance(response, asked)
            return True
        body = Body(response)
        result = self._apply(body, asked)
        if result.checkpoints:
            self._fetched_model, self._detours = None, 0
        if not result.complete:
            _check_progress(body, result, asked)
        return result.complete

    def _advance(self, response: requests.Response, asked: Request) -> int:
        checkpoint = response.headers.get(CHECKPOINT_HEADER)
        if not checkpoint:
            raise ProtocolError("An answer without content lacks its checkpoint.")
        swept = self._store.advance(checkpoint, model=self._fetched_model, asked=asked)
        self._fetched_model = None
        return swept

    def _apply(self, body: Body, asked: Request) -> ApplyResult:
        result = ApplyResult()

        def stored(so_far: ApplyResult) -> None:
            nonlocal result
            result = so_far
            self._report(so_far, body)

        try:
            return self._store.apply(
                body.lines(), model=self._fetched_model, asked=asked, stored=stored
            )
        finally:
            self._rows += result.rows
            self._deletes += result.deletes
            self._swept += result.swept
            self._digest = result.digest if "digest" in self._params else None
            self._bytes += body.received

    def _report(self, result: ApplyResult, body: Body) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    rows=self._rows + result.rows,
                    deletes=self._deletes + result.deletes,
                    bytes=self._bytes + body.received,
                    downloaded_rows=result.server_rows,
                    expected_rows=result.expected_rows,
                )
            )

    def _fetch_model(self) -> None:
        call = Call(method="GET", path=f"{self._path}/model")
        # Without patience of its own: the sync that asks has it.
        with self._endpoint.open(call) as response:
            self._fetched_model = Body(response).json_object()

    def _detour(self, error: DeviceError) -> None:
        self._detours += 1
        if self._detours > MOST_DETOURS:
            raise ProtocolError(f"The service turns in circles: {error}") from error

    def _call(self, asked: Request) -> Call:
        params = {**self._params, "model": asked.model}
        if asked.checkpoint is not None:
            params["checkpoint"] = asked.checkpoint
        if asked.resets:
            params["reset"] = ",".join(asked.resets)
        return Call(method="GET", path=f"{self._path}/changes", params=params)


def _check_progress(body: Body, result: ApplyResult, asked: Request) -> None:
    """:raises UnavailableError: the answer was cut, or brought nothing new."""
    if body.broken is not None:
        raise UnavailableError(f"An answer broke off: {body.broken}.")
    if result.checkpoint in {None, asked.checkpoint}:
        raise UnavailableError("An answer ended without a new checkpoint.")
