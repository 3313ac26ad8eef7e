"""Organizations, their work and their history in the admin."""

from __future__ import annotations

from provisioning.admin import history, operators, work_items

__all__ = ["history", "operators", "work_items"]
