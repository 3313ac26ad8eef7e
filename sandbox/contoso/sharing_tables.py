"""Tables that open single rows, or rows along a hierarchy: shares and positions. Pure.

`principalobjectaccess` is written by `GrantAccess` and its like only. A share
whose mask is 0 was taken back.
"""

from __future__ import annotations

from sandbox.contoso import columns as c
from sandbox.contoso.schema import Table

_SHARE = Table(
    name="principalobjectaccess",
    schema_name="PrincipalObjectAccess",
    entity_set="principalobjectaccessset",
    key="principalobjectaccessid",
    primary_name=None,
    code=11,
    ownership="None",
    # Whoever may read the directory may read who shares what.
    privilege="Role",
    owns_privilege=False,
    is_writable=False,
    label="Principal Object Access",
    columns=(
        c.guid("principalobjectaccessid"),
        c.guid("principalid", indexed=True),
        c.entity_name("principaltypecode"),
        c.guid("objectid", indexed=True),
        c.entity_name("objecttypecode"),
        c.integer("accessrightsmask", indexed=True),
        c.integer("inheritedaccessrightsmask", indexed=True),
        c.moment("changedon"),
        c.version(),
    ),
)

_POSITION = Table(
    name="position",
    schema_name="Position",
    entity_set="positions",
    key="positionid",
    primary_name="name",
    code=50,
    ownership="OrganizationOwned",
    privilege="Position",
    label="Position",
    columns=(
        c.guid("positionid"),
        c.text("name", 100, required=True),
        c.memo("description"),
        c.lookup(
            "parentpositionid", "position", "position_parent_position", indexed=True
        ),
        *c.stamps("position"),
        c.version(),
    ),
)

_ORGANIZATION = Table(
    name="organization",
    schema_name="Organization",
    entity_set="organizations",
    key="organizationid",
    primary_name="name",
    code=1019,
    ownership="None",
    privilege="Organization",
    tracked=False,
    is_offline=False,
    label="Organization",
    columns=(
        c.guid("organizationid"),
        c.text("name", 160),
        c.integer("languagecode"),
        c.integer("expirechangetrackingindays", 0, 365),
        c.integer("expiresubscriptionsindays", 0, 365),
        c.boolean("ismobileofflineenabled"),
        c.integer("mobileofflinesyncinterval"),
        c.boolean("isconflictdetectionenabledformobileclient"),
        c.lookup(
            "defaultmobileofflineprofileid",
            "mobileofflineprofile",
            "MobileOfflineProfile_organization",
        ),
        c.lookup("basecurrencyid", "transactioncurrency", "basecurrency_organization"),
        *c.stamps("organization"),
        c.version(),
    ),
)

SHARING_TABLES = (_SHARE, _POSITION, _ORGANIZATION)
