"""Upload once, in a process of its own that a failpoint may kill.

Arguments: path, Authorization header, body.
"""

from __future__ import annotations

import sys

import django
from django.test import Client

if __name__ == "__main__":
    django.setup()
    path, authorization, body = sys.argv[1:]
    answer = Client(headers={"Authorization": authorization}).post(
        path, body, content_type="application/json"
    )
    sys.stdout.write(f"{answer.status_code}")
