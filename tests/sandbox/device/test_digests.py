"""The digest of a table is the one that the protocol defines."""

from __future__ import annotations

from sandbox.device.store import Store
from tests.sandbox.device.answers import download, model, table

ONE = "00000000-0000-0000-0000-000000000001"
TWO = "00000000-0000-0000-0000-000000000002"
M1 = model("M1", table("account"), table("contact"))


def store_with(*upserts, document=M1):
    store = Store()
    store.apply(download(document, *upserts), model=document)
    return store


# The first 16 digits of `printf 00000000-0000-0000-0000-000000000001:7 | md5sum`.
ONE_AT_7 = "f46a647781013f8d"
# The same for ...02:9, and the sum of both without its carry.
BOTH = "d5080471295b4f71"


def test_an_empty_table_has_the_digest_zero():
    assert store_with().digest("account") == [0, "0000000000000000"]


def test_the_digest_of_a_row_begins_the_md5_of_key_and_version():
    assert store_with([ONE, "Ada", "7"]).digest("account") == [1, ONE_AT_7]


def test_digests_of_rows_add_up_modulo_2_to_the_64():
    store = store_with([ONE, "Ada", "7"], [TWO, "Grace", "9"])

    assert store.digest("account") == [2, BOTH]


def test_values_do_not_count_but_versions_do():
    same_version = store_with([ONE, "Lovelace", "7"])
    newer = store_with([ONE, "Ada", "8"])

    assert same_version.digest("account") == [1, ONE_AT_7]
    assert newer.digest("account") != [1, ONE_AT_7]


def test_tables_that_differ_are_named():
    store = store_with([ONE, "Ada", "7"])

    differing = store.differing(
        {"account": (1, "00"), "contact": (0, "0000000000000000"), "lead": (7, "00")}
    )

    assert differing == ("account",)
