"""The device: signs on to an organization and keeps its store up to date."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import requests

from sandbox.device import file_store
from sandbox.device.downloads import Download, Progress, SyncResult
from sandbox.device.editor import Editor
from sandbox.device.endpoint import Call, Endpoint
from sandbox.device.errors import (
    DeviceError,
    DeviceRevokedError,
    EditError,
    ProtocolError,
    RefusedError,
    UnavailableError,
    UnknownDeviceError,
    UnknownOrganizationError,
)
from sandbox.device.file_downloads import FileDownload, FilePlace
from sandbox.device.patience import RETRIES
from sandbox.device.store import Store
from sandbox.device.uploads import Upload, UploadResult

__all__ = [
    "Device",
    "Discovery",
    "Progress",
    "Registration",
    "SyncResult",
    "UploadResult",
    "discover",
]

# With these there is nothing to download either.
REFUSALS_OF_DEVICES = (
    DeviceRevokedError,
    UnknownDeviceError,
    UnknownOrganizationError,
)


@dataclass(frozen=True, slots=True)
class Discovery:
    organization: str
    endpoint: str
    authority: str
    audience: str
    state: str


@dataclass(frozen=True, slots=True)
class Registration:
    user: str
    user_name: str
    state: str
    next_sequence: int


def discover(base_url: str, *, org: str, ca: str | None = None) -> Discovery:
    """Ask where an organization is served and who issues its tokens."""
    with closing(Endpoint(base_url, token=str, ca=ca)) as endpoint:
        return _discovered(endpoint, org)


class Device:
    def __init__(
        self,
        store: Store | Path | str,
        base_url: str,
        org: str,
        device_id: UUID | str,
        token: Callable[[], str],
        *,
        session: requests.Session | None = None,
        ca: str | None = None,
        retries: int = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Bind a store to an organization and a device.

        `token` returns an access token; if it has a method `forget`, that is called
        when its token was refused.

        :raises StoreError: the store belongs to another organization or device.
        """
        self._owns_store = not isinstance(store, Store)
        self.store = store if isinstance(store, Store) else Store(store)
        self.org = org
        self.device_id = str(device_id)
        self.endpoint = Endpoint(
            base_url, token=token, session=session, ca=ca, retries=retries, sleep=sleep
        )
        self._bind()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections, and its store if it was given as a path."""
        self.endpoint.close()
        if self._owns_store:
            self.store.close()

    def discover(self) -> Discovery:
        """Ask where the organization is served, and go on there."""
        return _discovered(self.endpoint, self.org)

    def register(self, *, name: str, platform: str, app_version: str) -> Registration:
        """Make the device known; repeatable.

        :raises StoreError: the store holds another user's data.
        """
        body = {"name": name, "platform": platform, "app_version": app_version}
        with self._obeying_wipes():
            answer = self.endpoint.json_object(self._device_call("PUT", body=body))
        user, sequence = answer.get("user"), answer.get("next_sequence")
        if not isinstance(user, Mapping) or not isinstance(sequence, int):
            raise ProtocolError("The answer to a registration cannot be read.")
        user_id, user_name = _text(user, "id"), _text(user, "name")
        self._bind(user=user_id, user_name=user_name)
        self.store.start_sequences_at(sequence)
        return Registration(user_id, user_name, _text(answer, "state"), sequence)

    def sync(
        self,
        *,
        progress: Callable[[Progress], None] | None = None,
        digest: bool = True,
    ) -> SyncResult:
        """Send the user's edits, then download until nothing is missing.

        With `digest` the tables are compared with the service's; those that differ
        are asked for again in full, once.

        :raises UnavailableError: the retries are used up; what came is kept.
        :raises RefusedError: the user or device may not; data stays unless `wiped`.
        """
        with self._obeying_wipes():
            sent, refusal = self._try_to_upload()
            result = Download(
                self.store,
                self.endpoint,
                org=self.org,
                device_id=self.device_id,
                progress=progress,
                digest=digest,
            ).run()
            if refusal is not None:
                raise refusal
            # What a service with a new history has to hear again.
            sent += self._upload().sent
        return replace(result, sent=sent)

    def upload(self) -> UploadResult:
        """Send the user's edits, also while downloads are not allowed.

        :raises UnavailableError: the retries are used up; nothing is lost.
        :raises RefusedError: the service takes nothing of this device.
        """
        with self._obeying_wipes():
            return self._upload()

    def fetch_file(self, table: str, key: str, column: str, *, target: Path) -> None:
        """Put a file of a row there; one that was attached here comes from here.

        :raises UnavailableError: the retries are used up; what came is gone on with.
        """
        attached = Editor(self.store).file(table, key, column)
        if attached is not None:
            with target.open("wb") as file:
                file.writelines(attached)
            return
        place = FilePlace(table, key, column)
        url = f"/sync/v1/orgs/{self.org}/{place.path}"
        with self._obeying_wipes():
            download = FileDownload(
                self.endpoint, url, target, device_id=self.device_id
            )
            etag = download.run()
        if etag:
            with self.store.database.transaction() as connection:
                file_store.note_etag(connection, table, key, column, etag=etag)

    def report_status(
        self, *, pending_mutations: int | None = None, last_error: str | None = None
    ) -> None:
        """Tell the operator how the device is, by default with what it has unsent."""
        if pending_mutations is None:
            pending_mutations = Editor(self.store).pending().unsent
        folder = Path(self.store.path).resolve().parent
        body = {
            "pending_mutations": pending_mutations,
            "last_error": last_error,
            "free_bytes": shutil.disk_usage(folder).free,
        }
        with self._obeying_wipes():
            self.endpoint.done(self._device_call("POST", "/status", body=body))

    def sign_off(self, *, discard: bool = False) -> None:
        """Leave the service, then delete the local data; repeatable.

        Edits are sent before. With `discard`, those that cannot be are given up.

        :raises EditError: edits wait for a decision of the user.
        """
        if not discard:
            self._upload()
            failed = Editor(self.store).pending().failed
            if failed:
                raise EditError(f"{failed} edits failed and wait to be decided on.")
        self._leave()
        self.store.wipe()
        self.store.wipe_confirmed()

    def _upload(self) -> UploadResult:
        return Upload(
            self.store, self.endpoint, org=self.org, device_id=self.device_id
        ).run()

    def _try_to_upload(self) -> tuple[int, RefusedError | None]:
        """Send edits; a refusal of them alone must not keep the rows from coming."""
        try:
            return self._upload().sent, None
        except REFUSALS_OF_DEVICES:
            raise
        except RefusedError as refusal:
            return 0, refusal

    @contextmanager
    def _obeying_wipes(self) -> Iterator[None]:
        if self.store.wipe_unconfirmed:
            # Again, in case that it was killed before the file had shrunk.
            self.store.wipe()
            self._confirm_wipe()
        if self.store.wipe_ordered:
            self._wipe()
        try:
            yield
        except RefusedError as refusal:
            if refusal.wipe_ordered:
                self.store.note_wipe_ordered()
                with suppress(UnavailableError):
                    # The store remembers the order if edits could not be sent yet.
                    self._wipe()
                    refusal.wiped = True
            raise

    def _wipe(self) -> None:
        """Send the unsent edits if the service still takes them, then delete all.

        :raises UnavailableError: it cannot be reached; nothing was deleted.
        """
        try:
            self._upload()
        except UnavailableError:
            raise
        except DeviceError:
            pass
        self.store.wipe()
        with suppress(UnavailableError, RefusedError):
            # The store remembers that this is to be repeated.
            self._confirm_wipe()

    def _confirm_wipe(self) -> None:
        self._leave()
        self.store.wipe_confirmed()

    def _leave(self) -> None:
        try:
            self.endpoint.done(self._device_call("DELETE"))
        except UnknownDeviceError:
            return  # An earlier answer was lost.

    def _bind(self, **user: str) -> None:
        self.store.bind(organization=self.org, device=self.device_id, **user)

    def _device_call(
        self,
        method: str,
        below: str = "",
        *,
        body: Mapping[str, object] | None = None,
    ) -> Call:
        path = f"/sync/v1/orgs/{self.org}/devices/{self.device_id}{below}"
        return Call(method=method, path=path, body=body)


def _discovered(endpoint: Endpoint, org: str) -> Discovery:
    path = f"/discovery/v1/orgs/{org}"
    answer = endpoint.json_object(Call(method="GET", path=path))
    names = ("organization", "endpoint", "authority", "audience", "state")
    found = Discovery(*(_text(answer, name) for name in names))
    endpoint.move_to(found.endpoint)
    return found


def _text(answer: Mapping[str, object], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str):
        raise ProtocolError(f"An answer lacks {name}.")
    return value
