"""One JSON object a line, with what came in `extra` beside the message."""

from __future__ import annotations

import json
import logging
import sys

from project.logs import JsonFormatter


def line(message, *arguments, error=None, **extra):
    logger = logging.getLogger("tests.harbour")
    record = logger.makeRecord(
        logger.name,
        logging.INFO,
        "harbour.py",
        1,
        message,
        arguments,
        error,
        extra=extra,
    )
    return JsonFormatter().format(record)


def test_the_message_stays_constant_and_the_data_stand_beside_it():
    fields = json.loads(line("Page committed.", request_id="r1", rows=500))

    assert fields["message"] == "Page committed."
    assert (fields["request_id"], fields["rows"]) == ("r1", 500)
    assert (fields["level"], fields["logger"]) == ("info", "tests.harbour")


def test_data_cannot_pass_itself_off_as_the_level():
    assert json.loads(line("Refused.", level="debug"))["level"] == "info"


def test_an_exception_is_part_of_the_same_line():
    try:
        int("berth")
    except ValueError:
        written = line("Failed.", error=sys.exc_info())

    assert "\n" not in written
    assert "ValueError: invalid literal" in json.loads(written)["exception"]
