"""Files at the source: told apart, fetched by blocks, sent whole or by blocks."""

from __future__ import annotations

import hashlib
import io
from uuid import uuid4

import pytest

from replication.odata.errors import SourceUnavailableError, UnknownOutcomeError
from replication.odata.files import BLOCK_BYTES, FilePlace, Parcel
from replication.odata.writing import PreconditionFailedError, WriteRefusedError

SMALL = b"A contract."
LARGE = b"".join(hashlib.sha256(bytes([n % 251])).digest() for n in range(300_000))


@pytest.fixture
def files(source):
    return source.writer().files()


@pytest.fixture
def place(contoso, defined):
    def at(column, table="account"):
        definition = defined(table)
        body = {"name": "F"} if table == "account" else {"subject": "F"}
        answer = contoso.api("POST", definition.entity_set, body)
        key = answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")
        return FilePlace(table=definition, key=(key,), file=definition.file(column))

    return at


def parcel(content, *, caller=None, if_match=None):
    return Parcel(
        content=io.BytesIO(content),
        size=len(content),
        name="é.pdf",
        caller=caller,
        if_match=if_match,
    )


def whole(files, place):
    reader, content = files.reader(place), b""
    while block := reader.block(len(content), BLOCK_BYTES):
        content += block.content
        if len(content) >= block.size:
            return content
    return None


COLUMNS = [("contract", "account"), ("entityimage", "account"),
           ("documentbody", "annotation")]  # fmt: skip


def test_metadata_tells_files_from_columns(defined):
    account, note = defined("account"), defined("annotation")

    assert [(f.name, f.kind) for f in account.files] == [
        ("contract", "file"),
        ("entityimage", "image"),
    ]
    assert [(f.name, f.kind) for f in note.files] == [("documentbody", "note")]
    names = {column.name for column in (*account.columns, *note.columns)}
    assert names.isdisjoint({"contract", "entityimage", "documentbody"})


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("column", "table"), COLUMNS)
def test_what_was_sent_is_what_is_fetched(files, place, column, table, content):
    there = place(column, table)
    before = files.look(there)

    files.send(there, parcel(content, if_match=before.etag))

    after = files.look(there)
    assert whole(files, there) == content
    assert (before.is_there, after.is_there) == (False, True)
    assert before.version != after.version
    assert int(after.row_version) > int(before.row_version)


@pytest.mark.parametrize(("column", "table"), COLUMNS)
def test_where_there_is_no_file_none_is_fetched(files, place, column, table):
    assert files.reader(place(column, table)).block(0, 10) is None


@pytest.mark.parametrize(("column", "table"), COLUMNS)
def test_a_part_is_fetched_alone(files, place, column, table):
    there = place(column, table)
    files.send(there, parcel(SMALL))

    reader = files.reader(there)

    assert reader.block(2, 8).content == SMALL[2:10]
    assert reader.block(2, 1000).content == SMALL[2:]
    assert reader.block(1000, 1).content == b""
    assert reader.block(0, 1).size == len(SMALL)


def test_another_edit_of_the_row_leaves_the_version_of_its_file(contoso, files, place):
    there = place("contract")
    files.send(there, parcel(SMALL))
    before = files.look(there)

    contoso.api("PATCH", there.row_path, {"name": "Another"})

    after = files.look(there)
    assert (after.version, after.etag == before.etag) == (before.version, False)


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_row_that_has_changed_keeps_its_file(contoso, files, place, content):
    there = place("contract")
    etag = files.look(there).etag
    contoso.api("PATCH", there.row_path, {"name": "Another"})

    with pytest.raises(PreconditionFailedError):
        files.send(there, parcel(content, if_match=etag))

    assert not files.look(there).is_there


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_user_without_the_right_puts_nothing_there(contoso, files, place, content):
    there = place("contract")

    with pytest.raises(WriteRefusedError) as caught:
        files.send(there, parcel(content, caller=uuid4()))

    assert caught.value.reason == "not_permitted"
    assert not files.look(there).is_there


def test_a_row_that_is_gone_has_no_file(contoso, files, place):
    there = place("contract")
    contoso.api("DELETE", there.row_path)

    assert files.look(there) is None
    assert files.reader(there).block(0, 1) is None
    with pytest.raises(WriteRefusedError) as caught:
        files.send(there, parcel(SMALL))
    assert caught.value.reason == "not_found"


@pytest.fixture
def hang_up(contoso):
    def at(path):
        fault = {"path": path, "method": "PATCH", "hang_up": True, "applied": True}
        contoso.control("POST", "faults", fault)

    return at


def test_a_file_that_was_cut_before_its_last_block_is_not_there(files, place, hang_up):
    there = place("contract")
    hang_up("sessiontoken")

    with pytest.raises(SourceUnavailableError):
        files.send(there, parcel(LARGE))

    assert not files.look(there).is_there


@pytest.mark.parametrize("content", [SMALL, b""], ids=["small", "empty"])
def test_of_the_last_block_nobody_may_know_what_became(files, place, hang_up, content):
    there = place("contract")
    hang_up("contract$")

    with pytest.raises(UnknownOutcomeError):
        files.send(there, parcel(content))

    assert (whole(files, there) or b"") == content
