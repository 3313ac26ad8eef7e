"""Answer a request as a scripted fault wants it: late, cut, refused, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable

from werkzeug.wrappers import Request, Response

from sandbox.faults import Fault
from sandbox.lies import tell

# The server reads these after the answer: end the connection after so many bytes of
# the body, or before the answer begins.
CUT_AFTER = "sandbox.cut_after"
HANG_UP = "sandbox.hang_up"

Answer = Callable[[Request], Response]


def answered(request: Request, fault: Fault, true_answer: Answer) -> Response:
    """Carry the request out unless it is in vain, and spoil its answer."""
    response = None if fault.is_in_vain else _in_time(request, fault, true_answer)
    if response is None or fault.applied:
        # Who waits in vain waits before anything is done, or after all is.
        time.sleep(fault.delay_seconds)
    request.environ[HANG_UP] = fault.hang_up
    if fault.cut_after is not None:
        request.environ[CUT_AFTER] = fault.cut_after
    if response is None or fault.status is not None:
        response = Response(fault.body, status=fault.status or 500)
    if fault.lie is not None:
        response = tell(fault.lie, request, response)
    response.headers.update(fault.headers)
    return response


def _in_time(request: Request, fault: Fault, true_answer: Answer) -> Response:
    if not fault.applied:
        time.sleep(fault.delay_seconds)
    return true_answer(request)
