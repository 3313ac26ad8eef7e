"""Answers that break off, or never arrive: the next one makes up for it."""

from __future__ import annotations

import pytest

from replication.domain.profiles import ProfileItem
from replication.services.serving import Limits
from tests.replication.worlds import profile
from tests.staged import guid

TINY = Limits(rows=2)
# Ends after each piece, so that a download takes several answers.
SHORT = Limits(rows=2, answer_bytes=1)
UNIT = 2
# More than an answer has lines.
DEVICES = 14


@pytest.fixture(scope="module")
def crew(all_of_contoso):
    return all_of_contoso.varied("crew", give_edsger_a_team)


@pytest.fixture
def edsger_sees(db, crew):
    """Edsger reads his unit, North, and what his team Crew owns."""
    return crew.world()


def give_edsger_a_team(contoso):
    contoso.hire("Edsger", unit="North", account=UNIT)
    contoso.add_team("Crew", unit="South")
    contoso.join("Edsger", "Crew")
    for number in range(4):
        contoso.add_account(f"North {number}", owner="Nobody", unit="North")
        contoso.add_account(f"Crew {number}", owner="Crew", unit="South")
        if number == 1:
            contoso.pull_these("team", "teammembership", "account")
            # Rows that are older than their rule, and rows that are not.
            contoso.rebuild_rules()
    contoso.pull("account")


def held(device):
    rows = device.store.rows("account").values()
    return {row["name"]: row["revenue"] for row in rows}


def expected(world, *, unit=None, owner=None):
    """What the source has, for who reads this unit and this owner's rows."""
    return {
        row["name"]: None if row.get("revenue") is None else str(row["revenue"])
        for row in world.source.rows("account").values()
        if (unit and row["owningbusinessunit"] == str(guid(unit)))
        or (owner and row["ownerid"] == str(guid(owner)))
    }


def cut_once_everywhere(world, devices):
    """Cut the answer to each device after another line; say how many lines it had."""
    lines = len(devices[0].unheard())
    assert lines < len(devices)
    for count, device in enumerate(devices):
        device.sync(cut_after=count)
    return lines


@pytest.mark.parametrize("limits", [TINY, SHORT])
def test_a_first_download_cut_at_any_line_resumes_to_the_exact_state(
    edsger_sees, limits
):
    devices = [edsger_sees.new_device("Edsger", limits=limits) for _ in range(DEVICES)]

    cut_once_everywhere(edsger_sees, devices)

    for device in devices:
        device.sync()
        assert held(device) == expected(edsger_sees, unit="North", owner="Crew")


def test_rows_that_change_while_a_first_download_is_cut_are_not_missed(edsger_sees):
    devices = [edsger_sees.new_device("Edsger", limits=TINY) for _ in range(DEVICES)]

    cut_once_everywhere(edsger_sees, devices)
    change_rows(edsger_sees)

    for device in devices:
        device.sync()
        assert held(device) == expected(edsger_sees, unit="North", owner="Crew")


def change_rows(world):
    world.source.put("account", guid("North 0"), revenue=7)
    world.source.delete("account", guid("North 1"))
    world.move("North 2", to_unit="South")
    world.hand_over("Crew 0", to="Nobody")
    world.hand_over("North 3", to="Crew")
    world.add_account("North 9", owner="Nobody", unit="North")
    world.pull("account")


def lose_team(world):
    world.leave("Edsger", "Crew")
    world.pull("teammembership")


def rejoin_team(world):
    world.join("Edsger", "Crew")
    world.pull("teammembership")


def test_a_delta_cut_at_any_line_resumes_to_the_exact_state(edsger_sees):
    devices = [edsger_sees.device("Edsger", limits=TINY) for _ in range(DEVICES)]
    change_rows(edsger_sees)

    cut_once_everywhere(edsger_sees, devices)

    for device in devices:
        device.sync()
        assert held(device) == expected(edsger_sees, unit="North", owner="Crew")


def test_what_was_lost_is_taken_away_wherever_the_answer_was_cut(edsger_sees):
    devices = [edsger_sees.device("Edsger", limits=TINY) for _ in range(DEVICES)]
    change_rows(edsger_sees)
    lose_team(edsger_sees)

    cut_once_everywhere(edsger_sees, devices)

    for device in devices:
        device.sync()
        assert held(device) == expected(edsger_sees, unit="North")


def test_a_grant_that_is_regained_in_mid_drop_gives_all_its_rows_back(edsger_sees):
    devices = [edsger_sees.device("Edsger", limits=TINY) for _ in range(DEVICES)]
    lose_team(edsger_sees)

    cut_once_everywhere(edsger_sees, devices)
    rejoin_team(edsger_sees)

    for device in devices:
        device.sync()
        assert held(device) == expected(edsger_sees, unit="North", owner="Crew")


def test_a_grant_that_is_lost_in_mid_scan_takes_back_what_it_gave(edsger_sees):
    lose_team(edsger_sees)
    devices = [edsger_sees.device("Edsger", limits=TINY) for _ in range(DEVICES)]
    rejoin_team(edsger_sees)

    cut_once_everywhere(edsger_sees, devices)
    lose_team(edsger_sees)

    for device in devices:
        device.sync()
        assert held(device) == expected(edsger_sees, unit="North")


def test_rows_deleted_and_a_grant_lost_during_a_cut_drop_are_all_gone(edsger_sees):
    devices = [edsger_sees.device("Edsger", limits=TINY) for _ in range(DEVICES)]
    lose_team(edsger_sees)

    cut_once_everywhere(edsger_sees, devices)
    for number in range(4):
        edsger_sees.source.delete("account", guid(f"Crew {number}"))
    change_rows_of_north(edsger_sees)

    for device in devices:
        device.sync()
        assert held(device) == expected(edsger_sees, unit="North")


def change_rows_of_north(world):
    world.source.put("account", guid("North 0"), revenue=7)
    world.source.delete("account", guid("North 1"))
    world.pull("account")


@pytest.mark.parametrize(
    "revoke",
    [
        pytest.param(lose_team, id="a team left"),
        pytest.param(change_rows, id="rows changed"),
        pytest.param(
            lambda world: world.set_depth_of("Edsger", 1), id="a depth lowered"
        ),
    ],
)
def test_a_repeated_request_after_a_lost_answer_says_it_all_again(edsger_sees, revoke):
    device = edsger_sees.device("Edsger")
    revoke(edsger_sees)

    lost = device.unheard()
    again = device.unheard()

    assert lost[:-1] == again[:-1]
    assert len(lost) > 1


def test_a_repeated_request_after_a_lost_answer_still_takes_away_what_was_revoked(
    edsger_sees,
):
    device = edsger_sees.device("Edsger")
    lose_team(edsger_sees)

    device.unheard()
    device.sync()

    assert held(device) == expected(edsger_sees, unit="North")


def test_answers_lost_over_several_changes_leave_nothing_behind(edsger_sees):
    device = edsger_sees.device("Edsger", limits=TINY)
    for change in (lose_team, change_rows, rejoin_team, lose_team):
        change(edsger_sees)
        device.unheard()

    device.sync()

    assert held(device) == expected(edsger_sees, unit="North")


def test_a_restart_without_checkpoint_keeps_the_data_until_all_was_sent_again(
    edsger_sees,
):
    device = edsger_sees.device("Edsger", limits=SHORT)
    before = held(device)
    edsger_sees.source.delete("account", guid("North 1"))
    edsger_sees.pull("account")
    device.store.forget_checkpoint()

    device.sync(cut_after=5)
    in_between = held(device)
    device.sync()

    assert in_between == before
    assert held(device) == expected(edsger_sees, unit="North", owner="Crew")


def once(change, *, at_line):
    """Make the change before this line of the answer is computed."""

    def before_line(number):
        if number == at_line:
            change()

    return before_line


@pytest.mark.parametrize("line", [2, 4, 6, 8])
@pytest.mark.parametrize(
    ("change", "sees"),
    [
        pytest.param(lose_team, {"unit": "North"}, id="a grant lost"),
        pytest.param(change_rows, {"unit": "North", "owner": "Crew"}, id="rows"),
    ],
)
def test_what_changes_between_two_pieces_is_in_the_answer_or_in_the_next(
    edsger_sees, change, sees, line
):
    device = edsger_sees.new_device("Edsger", limits=TINY)

    device.sync(before_line=once(lambda: change(edsger_sees), at_line=line))
    device.sync()

    assert held(device) == expected(edsger_sees, **sees)


def test_rows_revoked_while_an_answer_is_read_are_not_in_its_rest(edsger_sees):
    device = edsger_sees.new_device("Edsger", limits=TINY)

    device.sync(before_line=once(lambda: lose_team(edsger_sees), at_line=3))

    assert held(device) == expected(edsger_sees, unit="North")


def test_a_model_that_changes_while_an_answer_is_read_ends_it(edsger_sees):
    device = edsger_sees.new_device("Edsger", limits=TINY)
    narrow = profile(ProfileItem(table="account", columns=("name",)))

    def narrow_model():
        edsger_sees.publish(narrow)
        edsger_sees.pull("account")

    result = device.sync(cut_after=99, before_line=once(narrow_model, at_line=4))
    device.sync()

    assert not result.complete
    assert {row["name"] for row in device.store.rows("account").values()} == set(
        expected(edsger_sees, unit="North", owner="Crew")
    )
