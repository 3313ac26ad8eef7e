"""Make sure that the operator of a local installation can sign in to the admin.

Run as a script with the password in `WAYSTATION_ADMIN_PASSWORD`.
"""

from __future__ import annotations

import os

import django
from django.contrib.auth import get_user_model

USERNAME = "admin"


def ensure(*, password: str) -> None:
    """Create the account, or give it this password; repeatable."""
    account, _ = get_user_model().objects.get_or_create(
        username=USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    if not account.check_password(password):
        account.set_password(password)
        account.save(update_fields=["password"])


if __name__ == "__main__":
    django.setup()
    ensure(password=os.environ["WAYSTATION_ADMIN_PASSWORD"])
