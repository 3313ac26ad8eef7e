"""Who is assigned no profile has the default ones."""

from __future__ import annotations

import pytest

from replication.domain.profiles import Assignments
from replication.services.serving import OfflineNotAllowedError
from tests.replication.related import filtered, profile_of
from tests.staged import guid

NOBODY = Assignments()
STANDARD = profile_of(
    filtered("account", "city eq 'Quito'"),
    name="Standard",
    is_default=True,
    assignments=NOBODY,
)


def of_lima(**assignments):
    return profile_of(
        filtered("account", "city eq 'Lima'"),
        name="Lima",
        assignments=Assignments(**assignments),
    )


@pytest.fixture
def cities(offices):
    for city in ("Lima", "Quito"):
        offices.add("account", city, city=city)
    offices.pull("account")
    return offices


def test_who_has_no_other_profile_has_the_default(cities):
    cities.put_in_effect(STANDARD, of_lima(users=(guid("Grace"),)))

    assert cities.device("Ada").names() == {"Quito"}


def test_who_has_another_profile_does_not_have_the_default_as_well(cities):
    cities.put_in_effect(STANDARD, of_lima(users=(guid("Ada"),)))

    assert cities.device("Ada").names() == {"Lima"}


def test_an_assignment_takes_the_place_of_the_default_and_gives_it_back(cities):
    cities.put_in_effect(STANDARD, of_lima())
    ada = cities.device("Ada")

    cities.put_in_effect(STANDARD, of_lima(roles=(guid("Reader"),)))
    ada.sync()
    assigned = ada.names()
    cities.put_in_effect(STANDARD, of_lima())
    ada.sync()

    assert (assigned, ada.names()) == ({"Lima"}, {"Quito"})


def test_a_team_gives_its_profile_to_who_joins(cities):
    cities.add_team("Crew", unit="South")
    cities.pull("team")
    cities.put_in_effect(STANDARD, of_lima(teams=(guid("Crew"),)))
    ada = cities.device("Ada")

    cities.join("Ada", "Crew")
    cities.pull("teammembership")
    ada.sync()

    assert ada.names() == {"Lima"}


def test_without_a_default_nobody_may_go_offline_unassigned(cities):
    cities.put_in_effect(of_lima(users=(guid("Grace"),)))

    with pytest.raises(OfflineNotAllowedError):
        cities.device("Ada")
