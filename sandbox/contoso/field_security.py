"""Who may read secured columns: field security profiles, their permissions, holders.

As in real organizations a column is secured by its definition (`IsSecured`), and open
to whom a profile with a permission on it is given, directly or through a team.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.contoso import columns as c
from sandbox.contoso.organization import Row, stamps
from sandbox.contoso.people import PEOPLE_BY_KEY, TEAMS
from sandbox.contoso.schema import DELETE, Column, Intersect, Table, identify
from sandbox.contoso.security_tables import pairs

ALLOWED, NOT_ALLOWED = 4, 0
CREDIT = identify("fieldsecurityprofile", "Credit control")
# Who is given the profile; everybody else reads accounts without their credit limit.
_HOLDERS = ("hedy", "grace")
_PROFILE = "fieldsecurityprofile"


def _allowed(name: str) -> Column:
    return c.choice_of(name, ((NOT_ALLOWED, "Not Allowed"), (ALLOWED, "Allowed")))


FIELD_SECURITY_TABLES = (
    Table(
        name=_PROFILE,
        schema_name="FieldSecurityProfile",
        entity_set="fieldsecurityprofiles",
        key="fieldsecurityprofileid",
        primary_name="name",
        code=1200,
        ownership="OrganizationOwned",
        privilege="Role",
        owns_privilege=False,
        label="Column Security Profile",
        columns=(
            c.guid("fieldsecurityprofileid"),
            c.text("name", 100, required=True),
            c.memo("description"),
            *c.stamps(_PROFILE),
            c.version(),
        ),
    ),
    Table(
        name="fieldpermission",
        schema_name="FieldPermission",
        entity_set="fieldpermissions",
        key="fieldpermissionid",
        primary_name=None,
        code=1201,
        ownership="OrganizationOwned",
        privilege="Role",
        owns_privilege=False,
        label="Field Permission",
        columns=(
            c.guid("fieldpermissionid"),
            c.entity_name("entityname"),
            c.text("attributelogicalname", 50),
            _allowed("canread"),
            _allowed("cancreate"),
            _allowed("canupdate"),
            c.lookup(
                "fieldsecurityprofileid",
                _PROFILE,
                "lk_fieldpermission_fieldsecurityprofileid",
                indexed=True,
                on_delete=DELETE,
            ),
            c.version(),
        ),
    ),
    pairs(
        "systemuserprofiles",
        schema_name="SystemUserProfiles",
        entity_set="systemuserprofilescollection",
        key="systemuserprofileid",
        code=1202,
        privilege="Role",
        intersect=Intersect(
            relationship="systemuserprofiles_association",
            first="systemuser",
            first_column="systemuserid",
            second=_PROFILE,
            second_column="fieldsecurityprofileid",
        ),
    ),
    pairs(
        "teamprofiles",
        schema_name="TeamProfiles",
        entity_set="teamprofilescollection",
        key="teamprofileid",
        code=1203,
        privilege="Role",
        intersect=Intersect(
            relationship="teamprofiles_association",
            first="team",
            first_column="teamid",
            second=_PROFILE,
            second_column="fieldsecurityprofileid",
        ),
    ),
)


def field_security_rows() -> dict[str, list[Row]]:
    """Return the rows of each table, by its name."""
    return {
        _PROFILE: [
            stamps() | {"fieldsecurityprofileid": CREDIT, "name": "Credit control"}
        ],
        "fieldpermission": list(_permissions()),
        "systemuserprofiles": list(_given_to_users()),
        "teamprofiles": list(_given_to_teams()),
    }


def _permissions() -> Iterator[Row]:
    for column in ("creditlimit", "creditlimit_base"):
        yield {
            "fieldpermissionid": identify("fieldpermission", column),
            "entityname": "account",
            "attributelogicalname": column,
            "canread": ALLOWED,
            "cancreate": NOT_ALLOWED,
            "canupdate": NOT_ALLOWED,
            "_fieldsecurityprofileid_value": CREDIT,
        }


def _given_to_users() -> Iterator[Row]:
    for key in _HOLDERS:
        yield {
            "systemuserprofileid": identify("systemuserprofile", key),
            "systemuserid": PEOPLE_BY_KEY[key].id,
            "fieldsecurityprofileid": CREDIT,
        }


def _given_to_teams() -> Iterator[Row]:
    yield {
        "teamprofileid": identify("teamprofile", TEAMS[0].name),
        "teamid": TEAMS[0].id,
        "fieldsecurityprofileid": CREDIT,
    }
