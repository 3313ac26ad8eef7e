"""The sources of organizations, kept open while nothing about them changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from uuid import UUID

from django.conf import settings

from provisioning import queries
from provisioning.models import Organization
from replication.odata.client import ODataSource, open_source
from replication.odata.connections import Network

MAX_OPEN = 200

_lock = threading.Lock()
_open: OrderedDict[UUID, tuple[tuple[object, ...], ODataSource]] = OrderedDict()


def source_of(organization: Organization) -> ODataSource:
    """Return the organization's source; its connections are shared by threads.

    :raises MisconfiguredError: endpoint, credential or certificate cannot be used.
    """
    settled = (
        organization.endpoint,
        organization.kind,
        organization.credential_type,
        bytes(organization.credential_sealed),
        organization.ca_certificate,
    )
    with _lock:
        known = _open.get(organization.id)
        if known is not None and known[0] == settled:
            _open.move_to_end(organization.id)
            return known[1]
    source = open_source(
        endpoint=organization.endpoint,
        kind="dataverse" if organization.kind == "dataverse" else "odata",
        credential=queries.credential_of(organization),
        ca_certificate=organization.ca_certificate,
        allow_loopback=settings.SOURCE_ALLOW_LOOPBACK,
        network=Network(
            hosts=settings.SOURCE_HOSTS,
            allow_private=settings.SOURCE_ALLOW_PRIVATE,
        ),
    )
    with _lock:
        _open[organization.id] = (settled, source)
        while len(_open) > MAX_OPEN:
            _open.popitem(last=False)
    return source
