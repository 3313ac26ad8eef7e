"""A user who belongs to another person now is no longer served to the first one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from replication.services import serving
from replication.services.serving import ChangesRequest, OfflineNotAllowedError
from tests.staged import guid


def ask(world, device, *, object_id):
    checkpoint = None
    request = ChangesRequest(
        user_id=guid("Ada"),
        device_id=device.id,
        model=serving.client_model(world.id, user_id=guid("Ada")).version,
        checkpoint=checkpoint,
        object_id=object_id,
    )
    return serving.changes(world.id, request=request, head_age=timedelta(0))


def test_a_user_is_served_to_the_person_that_the_source_names(contoso):
    device = contoso.device("Ada")

    assert list(ask(contoso, device, object_id=guid("Ada@entra")))


def test_a_user_who_is_linked_to_somebody_else_is_refused_to_the_first_person(contoso):
    device = contoso.device("Ada")
    contoso.source.put(
        "systemuser", guid("Ada"), azureactivedirectoryobjectid=str(guid("Eve@entra"))
    )
    contoso.pull("systemuser")

    with pytest.raises(OfflineNotAllowedError):
        ask(contoso, device, object_id=guid("Ada@entra"))
