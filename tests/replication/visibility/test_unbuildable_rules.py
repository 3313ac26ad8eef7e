"""What cannot be built keeps neither pulls nor the other profile items waiting."""

from __future__ import annotations

import pytest

from replication.domain.profiles import Association, Hierarchy, ProfileItem
from replication.services import looking
from replication.visibility.member import NotReadyError
from tests.replication.related import mine, profile_of, related, served, written
from tests.replication.worlds import ALL_ACCOUNTS
from tests.staged import guid

# Staging lacks the column that the metadata names: a rule over it cannot be built.
LOSE_COLUMN = "ALTER TABLE data.contact RENAME COLUMN fullname TO elsewhere"

ACCOUNTS_AND_SOME_CONTACTS = profile_of(
    ProfileItem(table="account"),
    ProfileItem(
        table="contact", records="custom", filter=written("fullname eq 'Linus'")
    ),
)


@pytest.fixture
def crippled(contoso):
    contoso.add_account("Airport", owner="Ada", unit="North")
    contoso.pull_these("account", "contact")
    contoso.execute(LOSE_COLUMN)
    return contoso


def test_the_other_items_are_served(crippled):
    crippled.put_in_effect(ACCOUNTS_AND_SOME_CONTACTS)

    assert crippled.device("Ada").names() == {"Airport"}


def test_pulls_go_on(crippled):
    crippled.put_in_effect(ACCOUNTS_AND_SOME_CONTACTS)
    ada = crippled.device("Ada")

    crippled.add_account("Harbour", owner="Ada", unit="North")
    crippled.pull("account")
    ada.sync()

    assert ada.names() == {"Airport", "Harbour"}


def test_operators_see_what_could_not_be_built_and_why(crippled):
    crippled.put_in_effect(ACCOUNTS_AND_SOME_CONTACTS)

    (problem,) = looking.effective_problems(crippled.id)

    assert (problem.table, problem.code) == ("contact", "not_built")
    assert "fullname" in problem.message


def test_it_is_built_once_that_is_possible(crippled):
    crippled.put_in_effect(ACCOUNTS_AND_SOME_CONTACTS)
    crippled.execute("ALTER TABLE data.contact RENAME COLUMN elsewhere TO fullname")
    crippled.execute("UPDATE sync.failed_rule SET failed_at = now() - interval '1 day'")

    crippled.put_in_effect(ALL_ACCOUNTS)
    crippled.put_in_effect(ACCOUNTS_AND_SOME_CONTACTS)

    assert looking.effective_problems(crippled.id) == ()


def test_who_gets_a_first_profile_waits_until_its_rules_are_built(contoso):
    contoso.pull("account")
    contoso.put_in_effect()
    contoso.publish(ALL_ACCOUNTS)

    with pytest.raises(NotReadyError):
        contoso.model("Ada")

    contoso.reconcile()
    assert [table["name"] for table in contoso.model("Ada")] == ["account"]


def test_an_association_along_a_column_of_another_type_is_suspended(offices):
    offices.put_in_effect(
        profile_of(
            mine(
                "account",
                Association(table="contact", kind="one_to_many", column="fullname"),
            ),
            related("contact"),
        )
    )

    codes = {problem.code for problem in looking.effective_problems(offices.id)}

    assert codes == {"unusable_association", "no_relationship"}


def test_superiors_of_each_other_end_somewhere_however_deep_the_hierarchy(offices):
    for name, above in (("Alan", "Joan"), ("Joan", "Alan")):
        offices.change("systemuser", name, parentsystemuserid=str(guid(above)))
        offices.add("account", f"Of {name}", owner=name)
    offices.pull_these("systemuser", "account")

    offices.put_in_effect(
        ALL_ACCOUNTS, hierarchy=Hierarchy(model="manager", depth=10**9)
    )

    assert offices.device("Alan").names() == {"Of Alan", "Of Joan"}


def test_what_a_former_organization_filter_let_through_goes_all_the_same(contoso):
    contoso.add_account("Airport", owner="Ada", unit="North", revenue=10)
    contoso.pull("account")
    contoso.put_in_effect(ALL_ACCOUNTS)
    ada = contoso.device("Ada")
    contoso.execute("ALTER TABLE data.account RENAME COLUMN revenue TO elsewhere")

    contoso.put_in_effect(ALL_ACCOUNTS, **served("account", "revenue gt 100"))
    contoso.execute("ALTER TABLE data.account RENAME COLUMN elsewhere TO revenue")
    ada.sync()

    assert ada.names() == set()
