"""Wrong answers that look right: what a fault's `lie` makes of a true answer. Pure.

- `html`: a page of HTML with status 200, as a proxy's sign-in page
- `empty`: status 200 and no body
- `no_delta_link`: the last page without its delta link
- `drop_page`: a page without its rows
- `drop_row`: a page without its last row
- `duplicate_rows`: each row twice
- `reversed_rows`: a page's rows in the opposite order
- `same_next_link`: a page that names itself as the next
- `foreign_next_link`: a next page at another host
- `no_reason`: deletes without their `reason`
- `unknown_delete`: a delete of a row that never was
- `no_etag`: rows without `@odata.etag`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.contoso.store import decode, encode

_NEXT, _DELTA = "@odata.nextLink", "@odata.deltaLink"
_HTML = "<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>\n"
_NEVER = "00000000-0000-0000-0000-00000000dead"

Page = dict[str, Any]


def tell(lie: str, request: Request, response: Response) -> Response:
    """Return the true answer, made wrong; an answer that is no page stays as it is."""
    if lie == "html":
        return Response(_HTML, content_type="text/html; charset=utf-8")
    if lie == "empty":
        return Response(b"", headers=response.headers)
    is_page = response.status_code == 200 and response.mimetype == "application/json"
    if is_page:
        page: Page = decode(response.get_data())
        if isinstance(page.get("value"), list):
            _LIES[lie](page, request)
            response.set_data(encode(page))
    return response


def _no_delta_link(page: Page, _request: Request) -> None:
    page.pop(_DELTA, None)


def _drop_page(page: Page, _request: Request) -> None:
    page["value"] = []


def _drop_row(page: Page, _request: Request) -> None:
    del page["value"][-1:]


def _duplicate_rows(page: Page, _request: Request) -> None:
    page["value"] = [row for row in page["value"] for _ in range(2)]


def _reversed_rows(page: Page, _request: Request) -> None:
    page["value"].reverse()


def _same_next_link(page: Page, request: Request) -> None:
    page.pop(_DELTA, None)
    page[_NEXT] = request.url


def _foreign_next_link(page: Page, request: Request) -> None:
    page.pop(_DELTA, None)
    page[_NEXT] = f"https://attacker.example{request.full_path}"


def _no_reason(page: Page, _request: Request) -> None:
    for row in page["value"]:
        row.pop("reason", None)


def _unknown_delete(page: Page, _request: Request) -> None:
    context = str(page["@odata.context"]).partition("(")[0].removesuffix("/$delta")
    page["value"].append(
        {
            "@odata.context": f"{context}/$deletedEntity",
            "id": _NEVER,
            "reason": "deleted",
        }
    )


def _no_etag(page: Page, _request: Request) -> None:
    for row in page["value"]:
        row.pop("@odata.etag", None)


_LIES: Mapping[str, Callable[[Page, Request], None]] = {
    "no_delta_link": _no_delta_link,
    "drop_page": _drop_page,
    "drop_row": _drop_row,
    "duplicate_rows": _duplicate_rows,
    "reversed_rows": _reversed_rows,
    "same_next_link": _same_next_link,
    "foreign_next_link": _foreign_next_link,
    "no_reason": _no_reason,
    "unknown_delete": _unknown_delete,
    "no_etag": _no_etag,
}
NAMES = frozenset({"html", "empty", *_LIES})
