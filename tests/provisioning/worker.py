"""Process events once, in a process of its own that a failpoint may kill."""

from __future__ import annotations

import django
from django.conf import settings

if __name__ == "__main__":
    django.setup()

    from provisioning.services.process import process_events

    settings.STAGING_SEED = "tests.provisioning.seeds.install"
    process_events(jitter=0.5)
