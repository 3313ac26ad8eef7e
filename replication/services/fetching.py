"""Fetch the pages of a table, one ahead of what is being committed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from project.errors import TransientError
from replication.domain.pages import Cursor, Page
from replication.domain.tables import TableDef
from replication.source import PageReader


class LoopingPagesError(TransientError):
    """A page was named as the next one for the second time."""

    code = "looping_link"


class Pages:
    """Fetches pages, the next one while the present one is committed."""

    def __init__(
        self, source: PageReader, table: TableDef, executor: ThreadPoolExecutor
    ) -> None:
        self._source = source
        self._table = table
        self._executor = executor
        self._fetched: tuple[Cursor | None, Future[Page]] | None = None
        self._followed: set[str] = set()
        self.began_anew = False

    def take(self, cursor: Cursor | None) -> Page:
        fetched, self._fetched = self._fetched, None
        if fetched is not None and fetched[0] == cursor:
            page = fetched[1].result()
        else:
            page = self._source.fetch_page(self._table, cursor)
        self._refuse_loops(page)
        return page

    def prefetch(self, cursor: Cursor | None) -> None:
        self._fetched = (
            cursor,
            self._executor.submit(self._source.fetch_page, self._table, cursor),
        )

    def begin_anew(self) -> None:
        """Links that were followed may come again."""
        self._fetched = None
        self._followed.clear()
        self.began_anew = True

    def _refuse_loops(self, page: Page) -> None:
        if page.next_link is None:
            return
        if page.next_link in self._followed:
            raise LoopingPagesError(
                f"The source's pages of {self._table.name} lead in a circle."
            )
        self._followed.add(page.next_link)


@contextmanager
def fetched_ahead(source: PageReader, table: TableDef) -> Iterator[Pages]:
    """Fetch pages in a thread of their own, one ahead of what is asked for."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fetch")
    try:
        yield Pages(source, table, executor)
    finally:
        # A page that nobody will commit is not worth waiting for.
        executor.shutdown(wait=False, cancel_futures=True)
