"""Health: what a load balancer is told."""

from __future__ import annotations

import pytest
from django.db import connection


def test_a_process_that_answers_is_healthy(client):
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_a_process_with_a_catalog_may_take_traffic(client):
    assert client.get("/readyz").json() == {"status": "ready"}


@pytest.mark.django_db
def test_a_process_that_drains_takes_no_more(client, settings, tmp_path):
    settings.DRAIN_FILE = tmp_path / "draining"
    assert client.get("/readyz").status_code == 200

    settings.DRAIN_FILE.touch()

    response = client.get("/readyz")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_process_without_a_catalog_takes_none(client):
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = "secret_database_that_is_gone"
    try:
        response = client.get("/readyz")
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "secret_database" not in response.text
