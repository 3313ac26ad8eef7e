"""Celery entry points of the HTTP contract: what is done beside answering."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from syncapi.services import samples


@shared_task(name="syncapi.sample_devices", ignore_result=True)
def sample_devices(**_later: object) -> None:
    samples.record(now=timezone.now())
