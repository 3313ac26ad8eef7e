"""Polls that find nothing: cheap, and never silent about what the user should know."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from replication.services import serving
from replication.services.serving import ChangesRequest, NothingNew
from tests.replication.worlds import ALL_ACCOUNTS
from tests.staged import guid

AT_ONCE = timedelta(0)
LONG = timedelta(hours=1)


@pytest.fixture
def ada(contoso):
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    return contoso.device("Ada")


def poll(world, device, *, head_age=AT_ONCE, checkpoint=None):
    request = ChangesRequest(
        user_id=device.user,
        device_id=device.id,
        model=device.checkpoint.model,
        checkpoint=checkpoint or device.checkpoint,
    )
    return serving.changes(world.id, request=request, head_age=head_age)


def test_a_device_that_has_everything_is_told_nothing(contoso, ada):
    assert poll(contoso, ada) == NothingNew(ada.checkpoint)


def test_what_others_get_is_nothing_new_and_moves_the_checkpoint_on(contoso, ada):
    contoso.add_account("Airport G", owner="Grace", unit="South")
    contoso.pull("account")

    answer = poll(contoso, ada)

    assert isinstance(answer, NothingNew)
    assert answer.checkpoint.tables["account"].rev == contoso.rev
    assert answer.checkpoint.seen == contoso.rev


def test_a_role_that_others_lose_is_nothing_new(contoso, ada):
    contoso.revoke("Grace", "Salesperson")
    contoso.pull("systemuserroles")

    answer = poll(contoso, ada)

    assert isinstance(answer, NothingNew)
    assert answer.checkpoint.tables["account"].rev == contoso.rev


def test_a_lost_right_is_told_though_no_row_changed(contoso):
    contoso.hire("Edsger", unit="North", account=2)
    contoso.add_account("Site", owner="Nobody", unit="North")
    contoso.pull("account")
    edsger = contoso.device("Edsger")

    contoso.set_depth_of("Edsger", 1)

    assert not isinstance(poll(contoso, edsger), NothingNew)


def test_an_exchanged_right_is_told_though_it_gives_no_row(contoso, ada):
    contoso.add_team("Crew", unit="South")
    contoso.join("Ada", "Crew")
    contoso.pull_these("team", "teammembership")

    before = ada.checkpoint.tables["account"].sets
    ada.sync()

    assert ada.checkpoint.tables["account"].sets != before


def test_a_pull_that_brings_nothing_takes_no_rev(contoso, ada):
    before = contoso.rev

    contoso.pull_all()

    assert contoso.rev == before


def test_a_quiet_organization_answers_from_its_head(contoso, ada):
    poll(contoso, ada)
    contoso.source.put("account", guid("Airport A"), revenue=1)
    contoso.pull("account")

    within = poll(contoso, ada, head_age=LONG)
    afterwards = poll(contoso, ada)

    assert within == NothingNew(ada.checkpoint)
    assert not isinstance(afterwards, NothingNew)


def test_a_device_that_only_polls_keeps_its_sets_alive(contoso, ada):
    # An epoch that this process has not met, as if another one had served it.
    epoch = uuid4()
    contoso.execute("UPDATE sync.clock SET epoch = %s", epoch)
    contoso.execute(
        "UPDATE sync.subscription SET named_at = now() - interval '60 days'"
    )
    checkpoint = msgspec.structs.replace(ada.checkpoint, epoch=epoch)

    answer = poll(contoso, ada, checkpoint=checkpoint)

    assert answer == NothingNew(checkpoint)
    old = "SELECT id FROM sync.subscription WHERE named_at < now() - interval '1 day'"
    assert contoso.values(old) == []


def test_an_unfinished_download_is_never_answered_with_nothing(contoso, ada):
    device = contoso.new_device("Ada")
    device.sync(cut_after=0)
    ada.store.forget_checkpoint()

    assert device.sync().complete
    assert ada.sync().complete


def test_publishing_reaches_a_device_that_polls(contoso, ada):
    contoso.publish()
    contoso.pull("account")
    contoso.publish(ALL_ACCOUNTS)
    contoso.pull("account")

    ada.sync()

    assert ada.names() == {"Airport A"}
