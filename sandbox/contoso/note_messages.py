"""Messages by which attachments of notes are fetched and sent in blocks."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from sandbox.contoso import security
from sandbox.contoso.errors import (
    INVALID_ARGUMENT,
    WebApiError,
    bad_payload,
    no_such_row,
)
from sandbox.contoso.requests import json_response, no_content
from sandbox.contoso.store import Row, find

if TYPE_CHECKING:
    from sandbox.contoso.messages import Told

_CONTINUATION = "FileContinuationToken"


def _note(told: Told, *, verb: str) -> Row:
    target = told.call.body().get("Target")
    if not isinstance(target, Mapping):
        raise bad_payload("Target is a note.")
    table = told.schema.tables["annotation"]
    note_id = str(target.get("annotationid"))
    row = find(told.connection, table, note_id)
    if row is None:
        raise no_such_row(table.name, note_id)
    security.insist_on_row(
        told.connection, told.call.caller, table=table, row=row, verb=verb
    )
    return row


def _begin_download(told: Told) -> Response:
    row = _note(told, verb="Read")
    if not row.get("documentbody"):
        raise no_such_row("documentbody", str(row["annotationid"]))
    return json_response(
        {
            _CONTINUATION: f"{row['annotationid']}/{row['versionnumber']}",
            "FileSizeInBytes": len(_body(row)),
            "FileName": row.get("filename"),
            "IsChunkingSupported": True,
        }
    )


def _download(told: Told) -> Response:
    asked = told.call.body()
    note_id, _, version = str(asked.get(_CONTINUATION)).partition("/")
    row = find(told.connection, told.schema.tables["annotation"], note_id)
    if row is None or str(row["versionnumber"]) != version:
        raise WebApiError(400, INVALID_ARGUMENT, "The token is of another file.")
    start, length = int(str(asked["Offset"])), int(str(asked["BlockLength"]))
    content = _body(row)[start : start + length]
    return json_response({"Data": base64.b64encode(content).decode()})


def _begin_upload(told: Told) -> Response:
    _note(told, verb="Write")
    return json_response({_CONTINUATION: str(uuid.uuid4())})


def _upload_block(told: Told) -> Response:
    block = told.call.body()
    told.connection.execute(
        "INSERT OR REPLACE INTO file_uploads VALUES (?, ?)",
        (f"{block[_CONTINUATION]}/{block['BlockId']}", _decoded(block["BlockData"])),
    )
    return no_content()


def _commit_upload(told: Told) -> Response:
    asked = told.call.body()
    row, target = _note(told, verb="Write"), asked["Target"]
    assert isinstance(target, Mapping)
    listed = asked.get("BlockList")
    blocks = [_taken(told, f"{asked[_CONTINUATION]}/{id_}") for id_ in _ids(listed)]
    values: dict[str, Any] = {
        "documentbody": base64.b64encode(b"".join(blocks)).decode(),
        "filename": target.get("filename"),
        "mimetype": target.get("mimetype"),
        "isdocument": True,
    }
    told.writing.updated(told.schema.tables["annotation"], row, values)
    return json_response(
        {"AnnotationId": row["annotationid"], "FileSizeInBytes": sum(map(len, blocks))}
    )


def _ids(listed: object) -> list[str]:
    if not isinstance(listed, list):
        raise bad_payload("BlockList is a list of ids.")
    return [str(one) for one in listed]


def _taken(told: Told, token: str) -> bytes:
    found = told.connection.execute(
        "DELETE FROM file_uploads WHERE token=? RETURNING content", (token,)
    ).fetchone()
    if found is None:
        raise WebApiError(400, INVALID_ARGUMENT, "There is no such block.")
    return bytes(found[0])


def _body(row: Row) -> bytes:
    return _decoded(row.get("documentbody") or "")


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise bad_payload("The content is not in base64.") from None


ACTIONS: Mapping[str, Callable[[Told], Response]] = {
    "InitializeAnnotationBlocksDownload": _begin_download,
    "DownloadBlock": _download,
    "InitializeAnnotationBlocksUpload": _begin_upload,
    "UploadBlock": _upload_block,
    "CommitAnnotationBlocksUpload": _commit_upload,
}
