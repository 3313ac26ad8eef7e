"""The client model: whose it is, and when it need not be sent again."""

from __future__ import annotations

import zlib

import pytest

from replication.services.serving import ClientModel
from tests.syncapi.engines import MODEL

PATH = "/sync/v1/orgs/contoso/model"


def test_a_person_gets_the_model_of_their_user(contoso, ada, engine):
    response = ada.get(PATH)

    assert response.status_code == 200
    assert response.json() == MODEL.document
    assert response.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("known", ["{etag}", '"other", {etag}', "*", "{strong}"])
def test_a_model_that_the_client_has_is_not_sent_again(contoso, ada, engine, known):
    etag = ada.get(PATH).headers["ETag"]
    held = known.format(etag=etag, strong=etag.removeprefix("W/"))

    response = ada.get(PATH, headers={"If-None-Match": held})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == etag


def test_labels_alone_make_it_another_answer(contoso, ada, engine):
    etag = ada.get(PATH).headers["ETag"]
    engine.model = ClientModel("7f3c", {**MODEL.document, "labels": "new"})

    response = ada.get(PATH, headers={"If-None-Match": etag})

    assert response.status_code == 200


def test_a_model_travels_compressed(contoso, ada, engine):
    plain = ada.get(PATH).content

    response = ada.get(PATH, headers={"Accept-Encoding": "gzip"})

    assert response.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response.headers["Vary"]
    assert zlib.decompress(response.content, 31) == plain


def test_who_may_take_nothing_along_gets_no_model(contoso, ada, engine):
    engine.model = None

    response = ada.get(PATH)

    assert response.status_code == 403
    assert response.json()["code"] == "offline_not_allowed"


def test_a_person_whom_the_source_does_not_know_gets_no_model(contoso, ada, engine):
    engine.users.clear()

    assert ada.get(PATH).json()["code"] == "offline_not_allowed"


def test_unknown_parameters_are_refused(contoso, ada, engine):
    assert ada.get(f"{PATH}?user=me").status_code == 400
