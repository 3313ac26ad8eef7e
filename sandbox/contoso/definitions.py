"""Describe tables and columns as the metadata API does. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sandbox.contoso.organization import privilege_id
from sandbox.contoso.schema import CHOICE_TYPES, FILE_TYPES, Column, Table, identify

Definition = dict[str, object]

VERBS = ("Create", "Read", "Write", "Delete", "Assign", "Share", "Append", "AppendTo")
_LANGUAGE = 1033
_KINDS = {"Virtual": "AttributeMetadata"}
# Types that `AttributeType` does not know, only `AttributeTypeName` does.
_OWN_NAMES = dict.fromkeys(("MultiSelectPicklist", *FILE_TYPES), "Virtual")
_WITH_OPTIONS = CHOICE_TYPES | {"Boolean", "MultiSelectPicklist"}


def table_id(table: Table) -> str:
    """Return the id of a table's definition; a table made anew gets another."""
    return identify("metadata", table.name, *_generation(table.generation))


def column_id(table: Table, column: Column) -> str:
    places = _generation(table.generation + column.generation)
    return identify("metadata", table.name, column.name, *places)


def _generation(number: int) -> tuple[int, ...]:
    return (number,) if number else ()


def table_definition(table: Table) -> Definition:
    """Return the members of EntityMetadata, without what must be expanded."""
    is_owned = table.is_user_owned
    return {
        "LogicalName": table.name,
        "SchemaName": table.schema_name,
        "EntitySetName": table.entity_set,
        "LogicalCollectionName": table.entity_set,
        "CollectionSchemaName": table.schema_name,
        "PrimaryIdAttribute": table.key,
        "PrimaryNameAttribute": table.primary_name,
        "PrimaryImageAttribute": None,
        "ObjectTypeCode": table.code,
        "OwnershipType": table.ownership,
        "TableType": "Standard",
        "DataProviderId": None,
        "IsActivity": table.is_activity,
        "IsActivityParty": False,
        "IsIntersect": table.intersect is not None,
        "IsCustomEntity": table.is_custom,
        "IsPrivate": False,
        "IsLogicalEntity": False,
        "IsValidForAdvancedFind": table.intersect is None,
        "ChangeTrackingEnabled": table.tracked,
        "CanChangeTrackingBeEnabled": _managed(
            "canchangetrackingbeenabled", value=table.intersect is None
        ),
        "IsAvailableOffline": table.is_offline and table.intersect is None,
        "IsOfflineInMobileClient": _managed(
            "canmodifymobileclientoffline", value=is_owned
        ),
        "IsVisibleInMobile": _managed("canmodifymobilevisibility", value=is_owned),
        "IsVisibleInMobileClient": _managed(
            "canmodifymobileclientvisibility", value=is_owned
        ),
        "IsReadOnlyInMobileClient": _managed(
            "canmodifymobileclientreadonly", value=False
        ),
        "DaysSinceRecordLastModified": 10 if is_owned else 0,
        "MobileOfflineFilters": None,
        "IsOptimisticConcurrencyEnabled": table.intersect is None,
        "DisplayName": text(table.label),
        "DisplayCollectionName": text(f"{table.label}s"),
        "Description": text(f"{table.label} of the sandbox."),
        "HasChanged": None,
        "MetadataId": table_id(table),
        "Privileges": list(_privileges(table)),
    }


def column_definitions(table: Table) -> Iterator[Definition]:
    """Return AttributeMetadata of every column, and of those that shadow another."""
    for column in table.columns:
        if column.defined:
            yield _column(table, column)
            yield from _shadows(table, column)


def base_members(definition: Mapping[str, object]) -> set[str]:
    """Return the members that need no cast segment."""
    return {name for name in definition if name not in _CAST_MEMBERS}


_CAST_MEMBERS = frozenset(
    {
        "MaxLength", "Format", "FormatName", "Targets", "OptionSet", "GlobalOptionSet",
        "MinValue", "MaxValue", "Precision", "PrecisionSource", "DateTimeBehavior",
        "DefaultValue", "DefaultFormValue", "IsBaseCurrency", "CalculationOf",
    }
)  # fmt: skip


def _column(table: Table, column: Column) -> Definition:
    kind = _KINDS.get(column.type, f"{_class_of(column)}AttributeMetadata")
    return {
        "@odata.type": f"#Microsoft.Dynamics.CRM.{kind}",
        "LogicalName": column.name,
        "SchemaName": column.name,
        "EntityLogicalName": table.name,
        "AttributeType": _OWN_NAMES.get(column.type, column.type),
        "AttributeTypeName": {"Value": f"{column.type}Type"},
        "AttributeOf": None,
        "IsValidForRead": True,
        "IsValidForCreate": column.settable,
        "IsValidForUpdate": column.type in FILE_TYPES
        or (column.settable and column.name != table.key),
        "IsValidODataAttribute": True,
        "IsLogical": False,
        "IsPrimaryId": column.name == table.key,
        "IsPrimaryName": column.name == table.primary_name,
        "IsSecured": column.secured,
        "IsCustomAttribute": column.generation > 0 or table.is_custom,
        "RequiredLevel": {
            "Value": "ApplicationRequired" if column.required else "None",
            "CanBeChanged": True,
            "ManagedPropertyLogicalName": "canmodifyrequirementlevelsettings",
        },
        "DisplayName": text(column.label or column.name),
        "Description": text(""),
        "MetadataId": column_id(table, column),
    } | _typed_members(table, column)


def _class_of(column: Column) -> str:
    # Customer and owner lookups are lookups to the metadata API.
    classes = {
        "Uniqueidentifier": "UniqueIdentifier",
        "Customer": "Lookup",
        "Owner": "Lookup",
    }
    return classes.get(column.type, column.type)


def _typed_members(table: Table, column: Column) -> Definition:
    if column.is_lookup:
        return {"Targets": list(column.targets), "Format": None}
    if column.type in _WITH_OPTIONS:
        options = option_set(table, column)
        return {
            "OptionSet": options,
            "GlobalOptionSet": options if column.global_set else None,
            "DefaultFormValue": -1,
        }
    if column.type == "DateTime":
        return {
            "Format": "DateOnly" if column.date_only else "DateAndTime",
            "DateTimeBehavior": {
                "Value": "DateOnly" if column.date_only else "UserLocal"
            },
        }
    return _measures(column)


def _measures(column: Column) -> Definition:
    if column.type in {"String", "Memo"}:
        return {"MaxLength": column.max_length, "Format": "Text"}
    limits: Definition = {"MinValue": column.minimum, "MaxValue": column.maximum}
    if column.type == "Integer":
        return limits | {"Format": "None"}
    if column.type == "Money":
        is_base = column.name.endswith("_base")
        return limits | {
            "Precision": column.precision,
            "PrecisionSource": 2,
            "IsBaseCurrency": is_base,
            "CalculationOf": column.name.removesuffix("_base") if is_base else None,
        }
    if column.type in {"Decimal", "Double"}:
        return limits | {"Precision": column.precision}
    return {}


def _shadows(table: Table, column: Column) -> Iterator[Definition]:
    """Columns that only repeat another in words; nobody can select them."""
    if len(column.targets) > 1:
        yield _shadow(table, column, name=f"{column.name}type", kind="EntityName")
    if column.is_lookup:
        yield _shadow(table, column, name=f"{column.name}name", kind="String")
    elif column.type in _WITH_OPTIONS:
        yield _shadow(table, column, name=f"{column.name}name", kind="Virtual")


def _shadow(table: Table, column: Column, *, name: str, kind: str) -> Definition:
    shadow = Column(name=name, type=kind, max_length=100, settable=False)
    return _column(table, shadow) | {
        "AttributeOf": column.name,
        "IsValidODataAttribute": False,
        "IsLogical": True,
    }


def option_set(table: Table, column: Column) -> Definition:
    options = [
        {
            "Value": value,
            "Label": text(label),
            "Description": text(""),
            "Color": None,
            "IsManaged": True,
        }
        for value, label in column.options
    ]
    name = column.global_set or f"{table.name}_{column.name}"
    kind = "Picklist" if column.type == "MultiSelectPicklist" else column.type
    common: Definition = {
        "IsGlobal": column.global_set is not None,
        "Name": name,
        "OptionSetType": kind,
        "MetadataId": identify("optionset", table.name, column.name)
        if column.global_set is None
        else identify("optionset", column.global_set),
    }
    if column.type == "Boolean":
        return common | {"FalseOption": options[0], "TrueOption": options[1]}
    return common | {"Options": options}


def _privileges(table: Table) -> Iterator[Definition]:
    if table.privilege is None or not table.owns_privilege:
        return
    is_owned = table.is_user_owned
    for verb in VERBS:
        name = f"prv{verb}{table.privilege}"
        yield {
            "Name": name,
            "PrivilegeId": privilege_id(name),
            "PrivilegeType": verb,
            "CanBeBasic": is_owned,
            "CanBeLocal": is_owned,
            "CanBeDeep": is_owned,
            "CanBeGlobal": True,
            "CanBeEntityReference": False,
            "CanBeParentEntityReference": False,
        }


def _managed(name: str, *, value: bool) -> Definition:
    return {"Value": value, "CanBeChanged": True, "ManagedPropertyLogicalName": name}


def text(label: str) -> Definition:
    if not label:
        return {"LocalizedLabels": [], "UserLocalizedLabel": None}
    localized = {"Label": label, "LanguageCode": _LANGUAGE, "IsManaged": True}
    return {"LocalizedLabels": [localized], "UserLocalizedLabel": localized}
