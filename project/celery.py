"""The Celery app: what wakes workers up, and how little it is relied upon.

A message carries no work: it says that something in PostgreSQL may be due. So every
choice here prefers losing or repeating a message to hiding or hoarding it.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

# All three places where Redis transports look it up must agree, or the shortest wins.
VISIBILITY_TIMEOUT = 300

BEAT_SCHEDULE = {
    # A new organization or an overdue table waits at most this long to be noticed.
    "dispatch": {"task": "provisioning.dispatch", "schedule": 2.0},
    # A killed worker's lease ends after 90 s; this adds little to that.
    "reap": {"task": "provisioning.reap", "schedule": 15.0},
    # Events wake a worker themselves; this finds those whose message was lost.
    "process-events": {"task": "provisioning.process_events", "schedule": 5.0},
    # Nothing that it purges or watches is urgent.
    "housekeeping": {"task": "replication.housekeeping", "schedule": 60.0},
    # A minute is the finest that charts of device syncs show.
    "sample-devices": {"task": "syncapi.sample_devices", "schedule": 60.0},
}
# A tick that nobody took in time is worthless: the next one asks the same.
TICK_EXPIRES = 10

SETTINGS: dict[str, Any] = {
    "accept_content": ["json"],
    "beat_schedule": {
        name: {**entry, "options": {"expires": TICK_EXPIRES}}
        for name, entry in BEAT_SCHEDULE.items()
    },
    "beat_max_loop_interval": 5,
    "broker_connection_max_retries": None,
    "broker_connection_retry_on_startup": True,
    "broker_pool_limit": 10,
    "broker_transport_options": {
        "global_keyprefix": "waystation:",
        "visibility_timeout": VISIBILITY_TIMEOUT,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry_on_timeout": True,
    },
    "enable_utc": True,
    "result_accept_content": ["json"],
    "result_backend": None,
    "task_acks_late": True,
    "task_create_missing_queues": False,
    "task_default_queue": "maintenance",
    "task_ignore_result": True,
    # A web request must not wait for Redis; the row it left behind is enough.
    "task_publish_retry_policy": {"max_retries": 2, "interval_max": 0.5},
    "task_queues": [
        Queue(name)
        for name in ("provisioning", "replication", "writeback", "maintenance")
    ],
    # True would run a task that kills its process for ever.
    "task_reject_on_worker_lost": False,
    "task_routes": {
        "provisioning.*": {"queue": "provisioning"},
        "replication.housekeeping": {"queue": "maintenance"},
        "replication.write_back*": {"queue": "writeback"},
        "replication.*": {"queue": "replication"},
    },
    "task_send_sent_event": False,
    "task_serializer": "json",
    "timezone": "UTC",
    "visibility_timeout": VISIBILITY_TIMEOUT,
    # The redelivered twin finds the work item leased and ends.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_remote_control": False,
    # Logs are configured by Django's LOGGING, for workers too.
    "worker_hijack_root_logger": False,
    "worker_prefetch_multiplier": 1,
    "worker_redirect_stdouts": False,
    "worker_send_task_events": False,
}

app = Celery("waystation")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.add_defaults(lambda: SETTINGS)
app.autodiscover_tasks()
