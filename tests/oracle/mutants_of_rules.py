"""More bugs that the machine must find: of profiles, filters, paths and rights."""

from __future__ import annotations

from tests.oracle.mutants import Edit, Mutant

MUTANTS = (
    Mutant(
        name="former_not_noted",
        story="What a lookup named before the change is not looked at again.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.staging.former",
                old="    if not names:\n",
                new="    if names is not None:\n",
            ),
        ),
    ),
    Mutant(
        name="parent_ignored",
        story="A change of the row that a lookup names moves nothing that hangs on it.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.visibility.dependants",
                old='return sql.SQL("SELECT row_id FROM touched").format()',
                new='return sql.SQL("SELECT row_id FROM touched WHERE false").format()',
            ),
        ),
    ),
    Mutant(
        name="share_removal_ignored",
        story="A share that is taken away leaves its row with whom it was shared.",
        edits=(
            Edit(
                module="replication.visibility.dependants",
                old='        names.add("objectid")\n',
                new='        names.discard("objectid")\n',
            ),
        ),
    ),
    Mutant(
        name="share_of_no_right",
        story="A share counts whatever it allows.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.visibility.wanted",
                old='" <> 0 JOIN sync.key_value sp',
                new='" >= 0 JOIN sync.key_value sp',
            ),
        ),
    ),
    Mutant(
        name="window_stands_still",
        story="Time passes, and nobody looks which rows enter or leave a window.",
        edits=(
            Edit(
                module="replication.visibility.moving",
                old="condition=condition",
                new='condition=sql.SQL("false")',
            ),
        ),
    ),
    Mutant(
        name="superiors_of_members_lost",
        story="Who joins a team does not bring its rows to his superior.",
        edits=(
            Edit(
                module="replication.visibility.closure",
                old='    {"systemuser", "team", "teammembership", "position", "businessunit"}\n',
                new='    {"systemuser", "team", "position", "businessunit"}\n',
            ),
        ),
    ),
    Mutant(
        name="managers_without_limit",
        story="Managers read below themselves as deep as it goes.",
        edits=(
            Edit(
                module="replication.visibility.closure",
                old="p.parentpositionid IS NOT NULL AND l.level < least(%(depth)s, 100)",
                new="p.parentpositionid IS NOT NULL AND l.level < 100 + %(depth)s",
            ),
            Edit(
                module="replication.visibility.closure",
                old="u.parentsystemuserid IS NOT NULL AND l.level < least(%(depth)s, 100)",
                new="u.parentsystemuserid IS NOT NULL AND l.level < 100 + %(depth)s",
            ),
        ),
    ),
    Mutant(
        name="edit_without_tombstones",
        story="The entries of an edited filter are written anew: nobody hears what left.",
        edits=(
            Edit(
                module="replication.visibility.building",
                old="        stale.mark(conn, [change.rule.id])\n",
                new="""\
        conn.execute(sql.SQL("DELETE FROM {}").format(change.rule.partition))
        stale.mark(conn, [change.rule.id])
""",
            ),
        ),
    ),
    Mutant(
        name="negation_misses_null",
        story="Rows without a value are not among those whose value is not the user's.",
        edits=(
            Edit(
                module="replication.visibility.wanted",
                old="    if attribute.negated:\n",
                new="    if attribute.negated and attribute.optional:\n",
            ),
        ),
    ),
    Mutant(
        name="secured_columns_for_all",
        story="A secured column is handed out to whoever takes its table along.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.visibility.taken",
                old="return (table.name.lower(), column.name.lower()) in granted",
                new="return granted is not None",
            ),
        ),
    ),
    Mutant(
        name="published_too_early",
        story="Users are served by what was published before its rules are there.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.visibility.policy",
                old='    return _read(conn, "effective")\n',
                new='    return _read(conn, "body")\n',
            ),
        ),
    ),
    Mutant(
        name="end_of_chunk",
        story="The last row of each chunk is left as it was.",
        edits=(
            Edit(
                module="replication.visibility.stale",
                old='"{} AND {} <= {}"',
                new='"{} AND {} < {}"',
            ),
        ),
    ),
    Mutant(
        name="catchup_without_dependants",
        story="While a rule is built, rows reached through other tables are forgotten.",
        edits=(
            Edit(
                module="replication.visibility.dependants",
                old="    if not found:\n",
                new='    if not found or rule.state != "active":\n',
            ),
        ),
    ),
    Mutant(
        name="one_level_deep",
        story="What comes along with a row that came along itself is left behind.",
        is_quick=True,
        edits=(
            Edit(
                module="replication.domain.alternatives",
                old="LONGEST_PATH = 8\n",
                new="LONGEST_PATH = 1\n",
            ),
        ),
    ),
    Mutant(
        name="lookup_of_another_type",
        story="A lookup that may name rows of several tables is taken at its value.",
        edits=(
            Edit(
                module="replication.domain.alternatives",
                old="    return named.name if has_one else None\n",
                new="    return named.name if has_one and not lookup else None\n",
            ),
        ),
    ),
    Mutant(
        name="followed_by_somebody",
        story="Everybody takes along what anybody follows.",
        edits=(
            Edit(
                module="replication.domain.alternatives",
                old="            takes=(Wanted(kind=AttributeKind.USER),),\n",
                new="            takes=(None,),\n",
            ),
        ),
    ),
    Mutant(
        name="served_unfiltered",
        story="The organization filter holds for those alone who read by their own unit.",
        edits=(
            Edit(
                module="replication.visibility.planning",
                old="                    served=served,\n",
                new='                    served=served if shape == DEEP else "",\n',
            ),
        ),
    ),
    Mutant(
        name="default_for_everybody",
        story="Default profiles count for those who have others as well.",
        edits=(
            Edit(
                module="replication.visibility.access",
                old="    return assigned or tuple(p for p in policy.profiles if p.is_default)\n",
                new="""\
    return (*assigned, *(p for p in policy.profiles if p.is_default))
""",
            ),
        ),
    ),
)
