"""One upload: edits go out in order, each at least once, until none is unsent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from sandbox.device import edit_queue
from sandbox.device.bodies import Body
from sandbox.device.edits import Edit, Outcome, Status, outcome_of
from sandbox.device.endpoint import Call, Endpoint
from sandbox.device.errors import (
    MalformedRequestError,
    ProtocolError,
    RefusedError,
    ReusedError,
    TooLargeError,
    UnavailableError,
)
from sandbox.device.file_uploads import FileUpload
from sandbox.device.model import Limits
from sandbox.device.store import Store

# The service and the device may disagree about sequences, but not for ever.
MOST_DETOURS = 6
JSON = {"Content-Type": "application/json"}
# The member that names the device, and the brackets.
_ENVELOPE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResult:
    """How many edits were sent, and what the service said of them at once."""

    sent: int = 0
    statuses: Mapping[Status, int]


class Upload:
    def __init__(
        self, store: Store, endpoint: Endpoint, *, org: str, device_id: str
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._path = f"/sync/v1/orgs/{org}"
        self._device_id = device_id
        self._patience = endpoint.patience()
        self._detours = 0
        self._statuses: dict[Status, int] = {}
        # What the service takes; a refusal may teach that it is less than it said.
        self._limits = store.model.limits if store.model else Limits()

    def run(self) -> UploadResult:
        """Send what is queued.

        :raises UnavailableError: the retries are used up; nothing is lost.
        :raises RefusedError: the service takes nothing of this device.
        """
        if self._next_run() or self._store.unasked_start:
            self._patiently(self._insist_on_memory)
        while self._next_run():
            self._patiently(self._send_some)
        return UploadResult(
            sent=sum(self._statuses.values()), statuses=dict(self._statuses)
        )

    def _patiently(self, step: Callable[[], None]) -> None:
        while True:
            try:
                step()
            except UnavailableError as error:
                self._patience.wait_after(error)
            else:
                self._patience.renew()
                return

    def _next_run(self) -> list[Edit]:
        limit = self._limits.mutations_per_request + 1
        return edit_queue.next_run(self._store.connection, limit=limit)

    def _send_some(self) -> None:
        with self._store.database.transaction() as connection:
            batch = _batch(self._next_run(), self._limits)
            edit_queue.note_sent(connection, batch)
        try:
            outcomes = self._sent(batch)
        except RefusedError as error:
            self._settle(batch, error)
        else:
            self._detours = 0
            self._record(outcomes)
            self._count(outcomes)

    def _sent(self, batch: Sequence[Edit]) -> list[Outcome]:
        if batch[0].op == "file":
            upload = FileUpload(
                self._store, self._endpoint, self._path, device_id=self._device_id
            )
            return [upload.send(batch[0], progress=self._patience.renew)]
        call = Call(
            method="POST",
            path=f"{self._path}/mutations",
            content=_request(self._device_id, batch),
            headers=JSON,
        )
        outcomes = self._ask(call)
        if not {edit.id for edit in batch} <= {outcome.id for outcome in outcomes}:
            raise ProtocolError("An answer does not tell of every mutation sent.")
        return outcomes

    def _insist_on_memory(self) -> None:
        """Make sure that the service knows what it accepted, before more is sent.

        A service that was restored from a backup takes any sequence first. What it
        has forgotten must go before what was made later.
        """
        start = self._store.unasked_start
        last = edit_queue.last_accepted(self._store.connection)
        outcomes = [] if last is None else self._outcomes_from(last)
        known = {outcome.id for outcome in outcomes}
        with self._store.database.transaction() as connection:
            edit_queue.record(connection, outcomes)
            if last is not None and last.id not in known:
                edit_queue.restart(connection)
            self._store.note_asked(start)

    def _settle(self, batch: Sequence[Edit], error: RefusedError) -> None:
        """Find out why these were refused, and go on.

        :raises RefusedError: the given one, if not these edits are the reason.
        """
        self._detours += 1
        if self._detours > MOST_DETOURS:
            raise error
        match error:
            case TooLargeError():
                self._shrink(batch, error, reason="too_large")
            case MalformedRequestError(expected_sequence=int() as expected):
                self._record(self._outcomes_from(batch[0]))
                with self._store.database.transaction() as connection:
                    edit_queue.align(connection, expected=expected)
            case ReusedError():
                self._record(self._outcomes_from(batch[0]))
            case _ if _is_for(batch, error):
                self._shrink(batch, error, reason="invalid")
            case _:
                raise error

    def _shrink(
        self, batch: Sequence[Edit], error: RefusedError, *, reason: str
    ) -> None:
        """Send less at once; what is refused alone is rejected here, and not lost."""
        units = _units(batch)
        if len(units) > 1:
            half = sum(map(len, units[: len(units) // 2]))
            self._limits = replace(self._limits, mutations_per_request=half)
        elif batch[0].op == "void":
            raise error
        else:
            with self._store.database.transaction() as connection:
                for edit in batch:
                    edit_queue.refuse(
                        connection, edit, reason=reason, message=str(error)
                    )
        # That is progress, and it ends: nothing can be halved for ever.
        self._detours = 0

    def _outcomes_from(self, edit: Edit) -> list[Outcome]:
        """Ask how mutations stand, from this one on."""
        after = (edit.sequence or 1) - 1
        found: list[Outcome] = []
        while True:
            params = {"device": self._device_id, "after": str(after)}
            call = Call(method="GET", path=f"{self._path}/mutations", params=params)
            page = self._ask(call)
            found += page
            after = max([after, *(_sequence(outcome) for outcome in page)])
            if not page or after == int(params["after"]):
                return found

    def _ask(self, call: Call) -> list[Outcome]:
        with self._endpoint.open(call) as response:
            document = Body(response).json_object()
        listed = document.get("outcomes")
        if not isinstance(listed, list):
            raise ProtocolError("An answer to mutations has no outcomes.")
        try:
            read = [outcome_of(one) for one in listed]
        except TypeError as error:
            raise ProtocolError(f"An outcome cannot be read: {error}.") from error
        return [outcome for outcome in read if outcome is not None]

    def _count(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            count = self._statuses.get(outcome.status, 0)
            self._statuses[outcome.status] = count + 1

    def _record(self, outcomes: Iterable[Outcome]) -> None:
        with self._store.database.transaction() as connection:
            edit_queue.record(connection, outcomes)


def _is_for(batch: Sequence[Edit], error: RefusedError) -> bool:
    """Whether these edits were refused, and not the device or its user."""
    if isinstance(error, MalformedRequestError):
        is_named = any(member.startswith("mutations[") for member in error.members)
        return is_named or batch[0].op == "file"
    # Refusals of device and user have words of their own.
    return batch[0].op == "file" and type(error) is RefusedError


def _batch(run: Sequence[Edit], limits: Limits) -> list[Edit]:
    """Return as much of a run as one request holds; groups stay together."""
    if run[0].op == "file":
        return [run[0]]
    edits = list(takewhile(lambda edit: edit.op != "file", run))
    room = limits.request_bytes
    batch: list[Edit] = []
    for unit in _units(edits):
        room -= sum(len(edit.mutation()) + 1 for edit in unit)
        is_full = len(batch) + len(unit) > limits.mutations_per_request
        if batch and (is_full or room < _ENVELOPE):
            break
        batch += unit
    return batch


def _units(edits: Sequence[Edit]) -> list[list[Edit]]:
    """Split edits into groups; those without one stand alone."""
    units: list[list[Edit]] = []
    for edit in edits:
        if units and edit.group is not None and units[-1][-1].group == edit.group:
            units[-1].append(edit)
        else:
            units.append([edit])
    return units


def _request(device_id: str, batch: Sequence[Edit]) -> bytes:
    mutations = b",".join(edit.mutation() for edit in batch)
    return b'{"device":"%b","mutations":[%b]}' % (device_id.encode(), mutations)


def _sequence(outcome: Outcome) -> int:
    sequence = outcome.document.get("sequence")
    return sequence if isinstance(sequence, int) else 0
