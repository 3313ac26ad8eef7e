"""The end of history: what is forgotten, and who is told to begin again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from provisioning.secrets import seal
from replication.services import housekeeping
from replication.services.serving import Limits, ResyncRequiredError
from tests.provisioning import factories
from tests.replication.worlds import ALL_ACCOUNTS, profile
from tests.staged import guid

LONG = timedelta(days=67)
AT_ONCE = timedelta(0)


@pytest.fixture
def sites(contoso):
    for number in range(6):
        contoso.add_account(f"Site {number}", owner="Ada", unit="North")
    contoso.pull("account")
    return contoso


def purge_all(world):
    """Forget everything up to now."""
    conn = world.database.kept("test")
    housekeeping.sample_rev(conn)
    housekeeping.purge(conn, retention=AT_ONCE)


def delete(world, *names):
    for name in names:
        world.source.delete("account", guid(name))
    world.pull("account")


def tombstones(world):
    return world.values("SELECT count(*) FROM sync.feed WHERE NOT live")[0]


def horizon(world):
    return world.values("SELECT horizon FROM sync.clock")[0]


def test_tombstones_up_to_the_horizon_are_forgotten(sites):
    delete(sites, "Site 0")

    purge_all(sites)

    assert (tombstones(sites), horizon(sites)) == (0, sites.rev)


def test_a_device_that_lacks_a_forgotten_delete_must_begin_again(sites):
    ada = sites.device("Ada")
    delete(sites, "Site 0")
    purge_all(sites)

    with pytest.raises(ResyncRequiredError):
        ada.sync()
    ada.store.forget_checkpoint()
    ada.sync()

    assert ada.names() == {f"Site {number}" for number in range(1, 6)}


def test_a_device_that_has_every_forgotten_delete_goes_on(sites):
    ada = sites.device("Ada")
    delete(sites, "Site 0")
    ada.sync()
    purge_all(sites)

    delete(sites, "Site 1")
    ada.sync()

    assert ada.names() == {f"Site {number}" for number in range(2, 6)}


def test_a_quiet_device_is_kept_alive_by_its_polls(sites):
    ada = sites.device("Ada")
    sites.add_account("Elsewhere", owner="Grace", unit="South")
    sites.pull("account")

    told = ada.sync()
    purge_all(sites)
    delete(sites, "Site 1")
    ada.sync()

    assert told is None
    assert len(ada.names()) == 5


def test_a_purge_in_the_middle_of_an_answer_refuses_its_rest(sites):
    device = sites.new_device("Ada", limits=Limits(rows=2))

    def forget(line):
        if line == 3:
            delete(sites, "Site 0")
            purge_all(sites)

    with pytest.raises(ResyncRequiredError):
        device.sync(before_line=forget)
    device.store.forget_checkpoint()
    device.sync()

    assert device.names() == {f"Site {number}" for number in range(1, 6)}


def test_a_tombstone_of_today_is_kept(sites):
    ada = sites.device("Ada")
    conn = sites.database.kept("test")
    delete(sites, "Site 0")

    housekeeping.sample_rev(conn)
    housekeeping.purge(conn, retention=LONG)
    ada.sync()

    assert len(ada.names()) == 5
    assert horizon(sites) == 0


def test_only_what_was_current_before_the_retention_is_forgotten(sites):
    conn = sites.database.kept("test")
    delete(sites, "Site 0")
    housekeeping.sample_rev(conn)
    sites.execute("UPDATE sync.rev_sample SET sampled_at = now() - interval '68 days'")
    between = sites.rev
    ada = sites.device("Ada")
    delete(sites, "Site 1")
    housekeeping.sample_rev(conn)

    housekeeping.purge(conn, retention=LONG)
    ada.sync()

    assert (tombstones(sites), horizon(sites)) == (1, between)
    assert len(ada.names()) == 4


def test_the_horizon_never_goes_back(sites):
    purge_all(sites)
    before = horizon(sites)
    conn = sites.database.kept("test")
    sites.execute(
        "INSERT INTO sync.rev_sample (rev, sampled_at) VALUES (1, '2020-1-1')"
    )

    housekeeping.purge(conn, retention=LONG)

    assert horizon(sites) == before > 1


def test_a_row_that_comes_back_after_its_tombstone_was_forgotten_arrives(sites):
    ada = sites.device("Ada")
    delete(sites, "Site 0")
    ada.sync()
    purge_all(sites)

    sites.add_account("Site 0", owner="Ada", unit="North")
    sites.pull("account")
    ada.sync()

    assert len(ada.names()) == 6


def feed_tables(world):
    return world.values(
        "SELECT tablename FROM pg_tables"
        " WHERE schemaname = 'sync' AND tablename ~ '^feed_'"
    )


def test_a_retired_rule_goes_with_its_last_tombstone(sites):
    sites.publish()
    sites.pull("account")
    before = sites.values("SELECT state FROM sync.rule")

    purge_all(sites)

    assert (before, sites.values("SELECT state FROM sync.rule")) == (["retired"], [])
    assert feed_tables(sites) == []


def test_a_retired_rule_stays_while_a_device_may_need_its_tombstones(sites):
    ada = sites.device("Ada")
    sites.publish(profile(name="Empty"))
    sites.pull("account")
    conn = sites.database.kept("test")
    housekeeping.sample_rev(conn)
    housekeeping.purge(conn, retention=LONG)

    sites.publish(ALL_ACCOUNTS)
    sites.pull("account")
    delete(sites, "Site 0")
    ada.sync()

    assert ada.names() == {f"Site {number}" for number in range(1, 6)}


def test_a_device_that_named_a_rule_which_is_gone_goes_on(sites):
    sites.hire("Edsger", unit="North", account=4)
    sites.add_account("Pier", owner="Nobody", unit="Port")
    sites.pull("account")
    edsger = sites.device("Edsger")
    sites.set_depth_of("Edsger", 2)
    edsger.sync()
    purge_all(sites)

    delete(sites, "Site 0")
    edsger.sync()

    assert sites.values("SELECT shape FROM sync.rule") == ["base"]
    assert edsger.names() == {f"Site {number}" for number in range(1, 6)}


def test_sets_that_no_valid_checkpoint_can_name_are_forgotten(sites):
    sites.device("Ada")
    sites.execute("UPDATE sync.subscription SET named_at = now() - interval '68 days'")

    housekeeping.purge(sites.database.kept("test"), retention=LONG)

    assert sites.values("SELECT id FROM sync.subscription") == []


def test_sets_of_checkpoints_that_are_valid_stay(sites):
    sites.device("Ada")
    before = sites.values("SELECT id FROM sync.subscription ORDER BY 1")

    purge_of_a_month = timedelta(days=30)
    housekeeping.purge(sites.database.kept("test"), retention=purge_of_a_month)

    assert sites.values("SELECT id FROM sync.subscription ORDER BY 1") == before != []


def test_the_rev_is_sampled_once(sites):
    conn = sites.database.kept("test")

    for _ in range(2):
        housekeeping.sample_rev(conn)

    assert sites.values("SELECT rev FROM sync.rev_sample") == [sites.rev]


@pytest.mark.parametrize(
    "password",
    [
        pytest.param(None, id="its database is gone"),
        pytest.param(b"", id="its password cannot be read"),
    ],
)
def test_an_organization_that_fails_does_not_keep_others_from_being_tended(
    sites, settings, password
):
    settings.CHECKPOINT_VALIDITY = -housekeeping.DOWNLOAD_TOLERANCE
    broken = factories.organization(unique_name="fabrikam")
    broken.server = sites.organization.server
    broken.database_name = broken.role_name = "org_gone"
    if password is None:
        password = seal(b"secret", identity=broken.role_password_identity)
    broken.role_password_sealed = password
    broken.save()

    housekeeping.keep_house()

    assert sites.values("SELECT rev FROM sync.rev_sample") == [sites.rev]
