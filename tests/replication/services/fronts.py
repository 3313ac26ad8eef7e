"""A source over real HTTP, and work items that pull from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from provisioning.models import SourceBudget, WorkItem
from provisioning.services import budgets
from replication.services import run
from tests.fake_dataverse import FakeDataverse
from tests.provisioning import factories
from tests.replication import replies
from tests.replication.odata.servers import Answer, Request, json_answer
from tests.replication.worlds import World

HTML = Answer(headers={"Content-Type": "text/html"}, body=b"<html>Sorry</html>")
JSON = {"Content-Type": replies.JSON}
SECOND = timedelta(seconds=1)
# Seconds, for which a run may add some: the first delay after a transient failure,
# spread, and others.
SOON = range(3, 25)
IN_A_MINUTE = range(60, 80)


class Front:
    """Serves a world's source over HTTP; some tables may answer differently."""

    def __init__(self, source: FakeDataverse) -> None:
        self.source = source
        self.instead: dict[str, Answer | Callable[[Request], Answer]] = {}

    def __call__(self, request: Request) -> Answer:
        table = request.target.partition("?")[0].rpartition("/")[2]
        if table in self.instead:
            answer = self.instead[table]
            return answer(request) if callable(answer) else answer
        if table == "$count":
            return Answer(status=404)
        url = own_address(request)
        reply = self.source.get(url, headers={"Prefer": request.header("prefer") or ""})
        return Answer(status=reply.status, headers=dict(reply.headers), body=reply.body)


class Served(World):
    """A world whose source is served by `front`, with an item for each table."""

    front: Front
    accounts: WorkItem
    contacts: WorkItem


def own_address(request):
    return f"http://{request.header('host')}{request.target}"


def run_again(item):
    """Run the item as if it were due, and return it as it is afterwards."""
    WorkItem.objects.filter(pk=item.pk).update(next_due_at=factories.NOON)
    # Whatever the source asked for is over.
    for budget in SourceBudget.objects.values_list("pk", flat=True):
        budgets.mend(budget)
    run.run_item(factories.claimed(only=item))
    item.refresh_from_db()
    return item


def delay_of(item):
    """Whole seconds from the item's start to its next turn."""
    return (item.next_due_at - item.last_started_at) // SECOND


def answer(body=b"", *, status=200, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers=JSON | named, body=body)


def with_next_link(link):
    return json_answer({"value": [], "@odata.nextLink": link})


def with_delta_link(link):
    return json_answer({"value": [], "@odata.deltaLink": link})


def names_itself(request):
    return with_next_link(own_address(request))


def run_at(item):
    item.refresh_from_db()
    return item.state if item.completed_once else "never run"
