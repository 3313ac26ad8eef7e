"""Requests that cannot be continued, and those that have to wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from provisioning.models import Organization
from replication.domain.profiles import ProfileItem
from replication.domain.tables import SECURITY_TABLES
from replication.services import serving
from replication.services.serving import (
    ChangesRequest,
    Limits,
    ModelChangedError,
    NotReadyError,
    OfflineNotAllowedError,
    ResyncRequiredError,
    SyncUser,
)
from replication.staging import connections
from tests.replication.worlds import profile
from tests.staged import guid

AT_ONCE = timedelta(0)


@pytest.fixture
def ada(contoso):
    """A device that has synced its one account."""
    contoso.add_account("Airport A", owner="Ada", unit="North")
    contoso.pull("account")
    return contoso.device("Ada")


def ask(world, device, *, limits=None, **changes):
    """Ask as the device would, but for these members of the request."""
    request = ChangesRequest(
        user_id=device.user,
        device_id=device.id,
        model=device.checkpoint.model,
        checkpoint=device.checkpoint,
    )
    return serving.changes(
        world.id, request=replace(request, **changes), limits=limits, head_age=AT_ONCE
    )


def with_accounts(checkpoint, **members):
    """The checkpoint, but for these members of what it says of accounts."""
    held = msgspec.structs.replace(checkpoint.tables["account"], **members)
    return msgspec.structs.replace(checkpoint, tables={"account": held})


def test_a_checkpoint_of_another_epoch_is_refused(contoso, ada):
    foreign = msgspec.structs.replace(ada.checkpoint, epoch=uuid4())

    with pytest.raises(ResyncRequiredError, match="epoch"):
        ask(contoso, ada, checkpoint=foreign)


def have_news(world):
    world.add_account("Airport B", owner="Ada", unit="North")
    world.pull("account")


def test_a_checkpoint_that_names_an_unknown_set_of_grants_is_refused(contoso, ada):
    have_news(contoso)
    (known,) = ada.checkpoint.tables["account"].sets
    unknown = msgspec.structs.replace(known, grants_id="g0")

    with pytest.raises(ResyncRequiredError, match="set"):
        ask(contoso, ada, checkpoint=with_accounts(ada.checkpoint, sets=(unknown,)))


def test_a_checkpoint_that_names_unknown_columns_is_refused(contoso, ada):
    have_news(contoso)
    unknown = with_accounts(ada.checkpoint, columns_id="k0")

    with pytest.raises(ResyncRequiredError, match="set"):
        ask(contoso, ada, checkpoint=unknown)


def test_a_checkpoint_below_the_horizon_is_refused(contoso, ada):
    rev = ada.checkpoint.tables["account"].rev
    contoso.execute("UPDATE sync.clock SET rev = rev + 1, horizon = %s", rev + 1)

    with pytest.raises(ResyncRequiredError, match="horizon"):
        ask(contoso, ada)


def test_a_checkpoint_at_the_horizon_is_continued(contoso, ada):
    rev = ada.checkpoint.tables["account"].rev
    contoso.execute("UPDATE sync.clock SET rev = rev + 1, horizon = %s", rev)

    assert ada.sync() is None


def test_a_device_that_has_seen_more_than_staging_has_to_wait(contoso, ada):
    ahead = msgspec.structs.replace(ada.checkpoint, seen=contoso.rev + 1)

    with pytest.raises(NotReadyError, match="behind"):
        ask(contoso, ada, checkpoint=ahead)


def test_a_copied_database_is_a_new_epoch(contoso, ada):
    with contoso.database.copied() as copy:
        Organization.objects.filter(pk=contoso.id).update(database_name=copy)

        refusals = []
        for _ in range(2):
            with pytest.raises(ResyncRequiredError) as refused:
                ask(contoso, ada)
            refusals.append(str(refused.value))
        ada.store.forget_checkpoint()
        ada.sync()

    assert refusals == [
        "The database was restored or copied.",
        "The checkpoint is from another epoch.",
    ]
    assert ada.names() == {"Airport A"}


def test_a_pull_into_a_copied_database_begins_the_new_epoch(contoso, ada):
    before = contoso.values("SELECT epoch FROM sync.clock")
    contoso.execute("UPDATE sync.clock SET identity = 'another database'")

    have_news(contoso)

    assert contoso.values("SELECT epoch FROM sync.clock") != before
    with pytest.raises(ResyncRequiredError):
        ada.sync()


def test_a_database_restored_in_the_middle_of_an_answer_ends_it(contoso, ada):
    have_news(contoso)
    answer = ask(contoso, ada, checkpoint=None, limits=Limits(rows=1))
    # The first piece: its begin line, its row and its checkpoint.
    for _ in range(3):
        next(answer)

    contoso.execute("UPDATE sync.clock SET epoch = gen_random_uuid()")

    with pytest.raises(ResyncRequiredError):
        list(answer)


def test_a_device_that_asks_for_its_model_first_gets_a_restored_database_going(contoso):
    contoso.execute("UPDATE sync.clock SET identity = 'another database'")

    with pytest.raises(NotReadyError):
        serving.client_model(contoso.id, user_id=guid("Ada"))

    assert serving.client_model(contoso.id, user_id=guid("Ada")).document["tables"]


def be_quiet(world):
    pass


@pytest.mark.parametrize("news", [have_news, be_quiet])
@pytest.mark.parametrize("table", ["systemuser", "roleprivileges", "teammembership"])
def test_stale_security_tables_give_nothing_away(contoso, ada, table, news):
    news(contoso)

    contoso.execute(
        "UPDATE sync.source SET last_complete_at = now() - interval '25 hours'"
        " WHERE name = %s",
        table,
    )

    with pytest.raises(NotReadyError, match="stale"):
        ask(contoso, ada)


@pytest.mark.parametrize(
    "table",
    [
        "principalobjectaccess",
        "position",
        "fieldpermission",
        "systemuserprofiles",
        "teamprofiles",
    ],
)
def test_neither_do_stale_shares_positions_and_column_grants(offices, table):
    offices.put_in_effect(profile(ProfileItem(table="account")))
    device = offices.device("Ada")

    completed(offices, table, "now() - interval '25 hours'")

    with pytest.raises(NotReadyError, match="stale"):
        device.sync()


@pytest.mark.parametrize("table", SECURITY_TABLES)
def test_a_security_table_that_was_never_complete_gives_nothing_away(
    contoso, ada, table
):
    completed(contoso, table, "NULL")

    with pytest.raises(NotReadyError, match="stale"):
        ask(contoso, ada)


@pytest.mark.parametrize(
    ("table", "moment"),
    [
        pytest.param("usersettings", "now() - interval '25 hours'", id="settings"),
        pytest.param("position", "NULL", id="a table that begins to be loaded"),
    ],
)
def test_what_reveals_nothing_keeps_nobody_waiting(offices, table, moment):
    offices.add("account", "Airport", owner="Ada")
    offices.pull("account")
    offices.put_in_effect(profile(ProfileItem(table="account")))

    completed(offices, table, moment)

    assert offices.device("Ada").names() == {"Airport"}


def completed(world, table, moment):
    """Pretend that the table was last complete then."""
    world.execute(
        f"UPDATE sync.source SET last_complete_at = {moment} WHERE name = %s", table
    )
    assert world.values("SELECT 1 FROM sync.source WHERE name = %s", table)


def test_a_stale_table_of_another_kind_is_served_as_it_is(contoso, ada):
    contoso.execute(
        "UPDATE sync.source SET last_complete_at = now() - interval '25 hours'"
        " WHERE name = 'account'"
    )

    assert contoso.device("Ada").names() == {"Airport A"}


def test_a_device_with_an_old_model_is_told(contoso, ada):
    old = ada.checkpoint.model
    contoso.publish(profile(ProfileItem(table="account", columns=("name",))))
    contoso.pull("account")

    with pytest.raises(ModelChangedError):
        ask(contoso, ada, model=old)


def test_a_device_without_any_table_is_told_when_its_user_gains_one(contoso):
    contoso.hire("Edsger", unit="North", contact=1)
    edsger = contoso.device("Edsger")
    old = edsger.checkpoint.model

    contoso.grant("Edsger", "Salesperson")
    contoso.pull("systemuserroles")

    with pytest.raises(ModelChangedError):
        ask(contoso, edsger, model=old)


def test_users_are_found_by_the_id_of_their_token(contoso):
    found = serving.find_user(contoso.id, object_id=guid("Ada@entra"))

    assert found == SyncUser(guid("Ada"), "Ada")


@pytest.mark.parametrize("nobody", [guid("Ada"), UUID(int=0)])
def test_an_unknown_token_id_is_nobody(contoso, nobody):
    assert serving.find_user(contoso.id, object_id=nobody) is None


def test_a_disabled_user_is_nobody(contoso):
    contoso.source.put("systemuser", guid("Ada"), isdisabled=True)
    contoso.pull("systemuser")

    assert serving.find_user(contoso.id, object_id=guid("Ada@entra")) is None


def test_of_two_users_with_one_token_id_the_same_is_found_each_time(contoso):
    shared = str(guid("Ada@entra"))
    contoso.source.put("systemuser", guid("Grace"), azureactivedirectoryobjectid=shared)
    contoso.pull("systemuser")

    found = [serving.find_user(contoso.id, object_id=UUID(shared)) for _ in range(3)]

    first, second = sorted([guid("Ada"), guid("Grace")], key=str)
    assert [user.id for user in found if user] == [first] * 3 != [second] * 3


def test_a_user_who_was_given_to_somebody_else_is_not_served_to_the_first(contoso, ada):
    mine = guid("Ada@entra")
    have_news(contoso)
    before = ask(contoso, ada, object_id=mine)

    contoso.source.put(
        "systemuser", ada.user, azureactivedirectoryobjectid=str(guid("Eve@entra"))
    )
    contoso.pull("systemuser")

    assert before
    with pytest.raises(OfflineNotAllowedError):
        ask(contoso, ada, object_id=mine)


def test_nobody_can_be_found_before_users_are_loaded(accounts):
    with pytest.raises(NotReadyError):
        serving.find_user(accounts.id, object_id=guid("Ada@entra"))


def test_a_staging_database_that_is_gone_is_a_failure_to_wait_for(contoso):
    connections.forget(contoso.id)
    Organization.objects.filter(pk=contoso.id).update(database_name="org_gone")

    with pytest.raises(connections.StagingUnavailableError):
        serving.client_model(contoso.id, user_id=guid("Ada"))
