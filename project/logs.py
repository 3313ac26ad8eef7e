"""Write log records as one JSON object a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

# What every record carries by itself; all other attributes came from `extra`.
_OWN_ATTRIBUTES = frozenset(
    vars(logging.LogRecord("", 0, "", 0, "", None, None)),
) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Keep the message constant and put what came in `extra` beside it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _OWN_ATTRIBUTES:
                line.setdefault(name, value)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
