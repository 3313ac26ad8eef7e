"""The tables that decide who may see what. Pure.

As in real organizations, the intersects (teammembership, systemuserroles,
teamroles, roleprivileges) and `privilege` have no change tracking; `role` has.
"""

from __future__ import annotations

from sandbox.contoso import columns as c
from sandbox.contoso.schema import RESTRICT, Column, Intersect, Table


def _principal_key() -> Column:
    return Column(
        name="ownerid", type="Uniqueidentifier", settable=False, defined=False
    )


_SYSTEMUSER = Table(
    name="systemuser",
    schema_name="SystemUser",
    entity_set="systemusers",
    key="systemuserid",
    primary_name="fullname",
    code=8,
    ownership="BusinessOwned",
    base="principal",
    privilege="User",
    label="User",
    columns=(
        _principal_key(),
        c.guid("systemuserid"),
        c.text("fullname", 200, settable=False),
        c.text("firstname", 256),
        c.text("lastname", 256),
        c.text("domainname", 1024, indexed=True, required=True),
        c.text("internalemailaddress", 100),
        c.guid("azureactivedirectoryobjectid", indexed=True),
        c.guid("applicationid", indexed=True),
        c.text("title", 128),
        c.text("jobtitle", 100),
        c.boolean("isdisabled", "Disabled", "Enabled"),
        c.boolean("islicensed"),
        c.boolean("setupuser"),
        c.boolean("isintegrationuser"),
        c.choice(
            "accessmode",
            "Read-Write",
            "Administrative",
            "Read",
            "Support User",
            "Non-interactive",
            "Delegated Admin",
            start=0,
        ),
        c.choice("azurestate", "Exists", "Soft deleted", "Not found", start=0),
        c.lookup(
            "businessunitid",
            "businessunit",
            "business_unit_system_users",
            indexed=True,
            on_delete=RESTRICT,
        ),
        c.lookup("parentsystemuserid", "systemuser", "user_parent_user"),
        c.lookup("positionid", "position", "position_users"),
        c.lookup(
            "mobileofflineprofileid",
            "mobileofflineprofile",
            "mobileofflineprofile_systemuser",
        ),
        *c.stamps("systemuserbase"),
        c.version(),
    ),
)

_TEAM = Table(
    name="team",
    schema_name="Team",
    entity_set="teams",
    key="teamid",
    primary_name="name",
    code=9,
    ownership="BusinessOwned",
    base="principal",
    privilege="Team",
    label="Team",
    columns=(
        _principal_key(),
        c.guid("teamid"),
        c.text("name", 160, required=True),
        c.memo("description"),
        c.choice(
            "teamtype", "Owner", "Access", "Security Group", "Office Group", start=0
        ),
        c.choice(
            "membershiptype",
            "Members and guests",
            "Members",
            "Owners",
            "Guests",
            start=0,
        ),
        c.boolean("isdefault"),
        c.boolean("systemmanaged"),
        c.guid("azureactivedirectoryobjectid"),
        c.lookup(
            "businessunitid",
            "businessunit",
            "business_unit_teams",
            indexed=True,
            on_delete=RESTRICT,
        ),
        c.lookup("administratorid", "systemuser", "lk_teambase_administratorid"),
        *c.stamps("teambase"),
        c.version(),
    ),
)

_BUSINESSUNIT = Table(
    name="businessunit",
    schema_name="BusinessUnit",
    entity_set="businessunits",
    key="businessunitid",
    primary_name="name",
    code=10,
    ownership="BusinessOwned",
    privilege="BusinessUnit",
    label="Business Unit",
    columns=(
        c.guid("businessunitid"),
        c.text("name", 160, required=True),
        c.text("divisionname", 100),
        c.boolean("isdisabled"),
        c.text("disabledreason", 500),
        c.integer("inheritancemask"),
        c.guid("usergroupid"),
        c.lookup(
            "parentbusinessunitid",
            "businessunit",
            "business_unit_parent_business_unit",
            indexed=True,
            on_delete=RESTRICT,
        ),
        *c.stamps("businessunitbase"),
        c.version(),
    ),
)

_ROLE = Table(
    name="role",
    schema_name="Role",
    entity_set="roles",
    key="roleid",
    primary_name="name",
    code=1036,
    ownership="BusinessOwned",
    privilege="Role",
    label="Security Role",
    columns=(
        c.guid("roleid"),
        c.text("name", 100, required=True),
        c.choice("isinherited", "Team privileges only", "Direct User", start=0),
        c.guid("roleidunique"),
        c.integer("componentstate", 0, 3),
        c.boolean("ismanaged"),
        c.guid("organizationid"),
        c.lookup(
            "businessunitid",
            "businessunit",
            "business_unit_roles",
            indexed=True,
            on_delete=RESTRICT,
        ),
        c.lookup("parentroleid", "role", "role_parent_role"),
        c.lookup("parentrootroleid", "role", "role_parent_root_role", indexed=True),
        *c.stamps("rolebase"),
        c.version(),
    ),
)

_PRIVILEGE = Table(
    name="privilege",
    schema_name="Privilege",
    entity_set="privileges",
    key="privilegeid",
    primary_name="name",
    code=1023,
    ownership="None",
    privilege="Role",
    owns_privilege=False,
    tracked=False,
    is_writable=False,
    label="Privilege",
    columns=(
        c.guid("privilegeid"),
        c.text("name", 100, indexed=True),
        c.integer("accessright"),
        c.boolean("canbebasic"),
        c.boolean("canbelocal"),
        c.boolean("canbedeep"),
        c.boolean("canbeglobal"),
        c.version(),
    ),
)


def pairs(
    name: str,
    *,
    schema_name: str,
    entity_set: str,
    key: str,
    code: int,
    privilege: str,
    intersect: Intersect,
    more: tuple[Column, ...] = (),
) -> Table:
    return Table(
        name=name,
        schema_name=schema_name,
        entity_set=entity_set,
        key=key,
        primary_name=None,
        code=code,
        ownership="None",
        privilege=privilege,
        owns_privilege=False,
        tracked=False,
        is_writable=False,
        intersect=intersect,
        label=schema_name,
        columns=(
            c.guid(key),
            c.guid(intersect.first_column, indexed=True),
            c.guid(intersect.second_column, indexed=True),
            *more,
            c.version(),
        ),
    )


SECURITY_TABLES = (
    _SYSTEMUSER,
    _TEAM,
    _BUSINESSUNIT,
    _ROLE,
    _PRIVILEGE,
    pairs(
        "teammembership",
        schema_name="TeamMembership",
        entity_set="teammemberships",
        key="teammembershipid",
        code=23,
        privilege="Team",
        intersect=Intersect(
            relationship="teammembership_association",
            first="team",
            first_column="teamid",
            second="systemuser",
            second_column="systemuserid",
        ),
    ),
    pairs(
        "systemuserroles",
        schema_name="SystemUserRoles",
        entity_set="systemuserrolescollection",
        key="systemuserroleid",
        code=1038,
        privilege="Role",
        intersect=Intersect(
            relationship="systemuserroles_association",
            first="systemuser",
            first_column="systemuserid",
            second="role",
            second_column="roleid",
        ),
    ),
    pairs(
        "teamroles",
        schema_name="TeamRoles",
        entity_set="teamrolescollection",
        key="teamroleid",
        code=40,
        privilege="Role",
        intersect=Intersect(
            relationship="teamroles_association",
            first="team",
            first_column="teamid",
            second="role",
            second_column="roleid",
        ),
    ),
    pairs(
        "roleprivileges",
        schema_name="RolePrivileges",
        entity_set="roleprivilegescollection",
        key="roleprivilegeid",
        code=12,
        privilege="Role",
        intersect=Intersect(
            relationship="roleprivileges_association",
            first="role",
            first_column="roleid",
            second="privilege",
            second_column="privilegeid",
        ),
        more=(c.integer("privilegedepthmask", 0, 8),),
    ),
)
