"""Short words for the columns of which tables are made. Pure."""

from __future__ import annotations

from sandbox.contoso.schema import RESTRICT, UNLINK, Column, Navigation

_ACTIVE = ((0, "Active"), (1, "Inactive"))
_ACTIVE_REASONS = ((1, "Active"), (2, "Inactive"))
_LARGEST_MONEY = 922337203685477.0


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def text(name: str, length: int = 100, **more: object) -> Column:
    return _column(name, "String", max_length=length, **more)


def memo(name: str, length: int = 2000, **more: object) -> Column:
    return _column(name, "Memo", max_length=length, **more)


def guid(name: str, **more: object) -> Column:
    return _column(name, "Uniqueidentifier", **more)


def integer(
    name: str, low: int = 0, high: int = 1_000_000_000, **more: object
) -> Column:
    return _column(name, "Integer", minimum=low, maximum=high, **more)


def decimal(name: str, precision: int = 10, **more: object) -> Column:
    return _column(
        name, "Decimal", precision=precision, minimum=0, maximum=1e11, **more
    )


def double(name: str, low: float, high: float) -> Column:
    return _column(name, "Double", precision=5, minimum=low, maximum=high)


def money(name: str, *, secured: bool = False) -> tuple[Column, Column]:
    """Return the column and its value in the base currency."""
    limits = {
        "precision": 4,
        "minimum": 0.0,
        "maximum": _LARGEST_MONEY,
        "secured": secured,
    }
    return (
        _column(name, "Money", **limits),
        _column(f"{name}_base", "Money", settable=False, **limits),
    )


def boolean(name: str, yes: str = "Yes", no: str = "No") -> Column:
    return _column(name, "Boolean", options=((0, no), (1, yes)))


def moment(name: str, **more: object) -> Column:
    return _column(name, "DateTime", **more)


def date(name: str) -> Column:
    return _column(name, "DateTime", date_only=True)


def choice(
    name: str, *labels: str, start: int = 1, global_set: str | None = None
) -> Column:
    options = tuple(enumerate(labels, start=start))
    return _column(name, "Picklist", options=options, global_set=global_set)


def choice_of(name: str, options: tuple[tuple[int, str], ...]) -> Column:
    """A choice whose numbers do not follow each other."""
    return _column(name, "Picklist", options=options)


def lookup(
    name: str,
    target: str,
    relationship: str,
    *,
    indexed: bool = False,
    settable: bool = True,
    on_delete: str = UNLINK,
    navigation: str | None = None,
) -> Column:
    way = Navigation(name=navigation or name, target=target, relationship=relationship)
    return _column(
        name,
        "Lookup",
        targets=(target,),
        navigations=(way,),
        indexed=indexed,
        settable=settable,
        on_delete=on_delete,
    )


def lookup_of_many(
    name: str,
    kind: str,
    navigations: tuple[Navigation, ...],
    *,
    on_delete: str = UNLINK,
) -> Column:
    """A lookup whose target is told by its annotation."""
    return _column(
        name,
        kind,
        targets=tuple(navigation.target for navigation in navigations),
        navigations=navigations,
        indexed=True,
        on_delete=on_delete,
    )


def file(name: str) -> Column:
    """A column with a file; its value is the file's id."""
    return _column(name, "File", settable=False)


def image(name: str) -> tuple[Column, ...]:
    """A column with an image, and what tells of it; the id stands on its own."""
    return (
        _column(name, "Image", settable=False),
        _column(f"{name}_timestamp", "BigInt", settable=False),
    )


def entity_name(name: str, **more: object) -> Column:
    return _column(name, "EntityName", max_length=64, **more)


def choices(name: str, *labels: str, global_set: str | None = None) -> Column:
    """Several options at once, written as `1,9`."""
    options = tuple(enumerate(labels, start=1))
    return _column(name, "MultiSelectPicklist", options=options, global_set=global_set)


def state(*options: tuple[int, str]) -> Column:
    return _column("statecode", "State", options=options or _ACTIVE)


def status(*options: tuple[int, str]) -> Column:
    return _column("statuscode", "Status", options=options or _ACTIVE_REASONS)


def version() -> Column:
    return _column("versionnumber", "BigInt", settable=False)


def stamps(table: str) -> tuple[Column, ...]:
    """Who made and last changed a row, and when."""
    return (
        moment("createdon", settable=False),
        lookup("createdby", "systemuser", f"lk_{table}_createdby", settable=False),
        lookup(
            "createdonbehalfby",
            "systemuser",
            f"lk_{table}_createdonbehalfby",
            settable=False,
        ),
        moment("modifiedon", settable=False, indexed=True),
        lookup("modifiedby", "systemuser", f"lk_{table}_modifiedby", settable=False),
        lookup(
            "modifiedonbehalfby",
            "systemuser",
            f"lk_{table}_modifiedonbehalfby",
            settable=False,
        ),
    )


def ownership(*, user: str, team: str, unit: str) -> tuple[Column, ...]:
    """The owner and what follows from him; the words name the relationships."""
    owner = Navigation(name="ownerid", target="principal", relationship=f"owner_{unit}")
    return (
        _column(
            "ownerid",
            "Owner",
            targets=("systemuser", "team"),
            navigations=(owner,),
            required=True,
            indexed=True,
            on_delete=RESTRICT,
        ),
        lookup("owninguser", "systemuser", user, settable=False),
        lookup("owningteam", "team", team, settable=False),
        lookup(
            "owningbusinessunit",
            "businessunit",
            unit,
            indexed=True,
            settable=False,
            on_delete=RESTRICT,
        ),
    )


def currency(table: str) -> tuple[Column, ...]:
    relationship = f"transactioncurrency_{table}"
    return (
        lookup("transactioncurrencyid", "transactioncurrency", relationship),
        decimal("exchangerate", settable=False),
    )


def plumbing() -> tuple[Column, ...]:
    """The columns that every owned table has and nobody looks at."""
    return (
        version(),
        integer("importsequencenumber", -2147483648, 2147483647),
        date("overriddencreatedon"),
        integer("timezoneruleversionnumber", -1, 2147483647),
        integer("utcconversiontimezonecode", -1, 2147483647),
        guid("processid"),
        guid("stageid"),
        text("traversedpath", 1250),
    )


def address() -> tuple[Column, ...]:
    return (
        guid("address1_addressid"),
        text("address1_line1", 250),
        text("address1_line2", 250),
        text("address1_line3", 250),
        text("address1_city", 80),
        text("address1_stateorprovince", 50),
        text("address1_postalcode", 20),
        text("address1_country", 80),
        double("address1_latitude", -90, 90),
        double("address1_longitude", -180, 180),
        memo("address1_composite", 1000, settable=False),
    )


def refusals() -> tuple[Column, ...]:
    """By which ways somebody does not want to be reached."""
    return tuple(
        boolean(name, "Do Not Allow", "Allow")
        for name in (
            "donotemail",
            "donotphone",
            "donotfax",
            "donotpostalmail",
            "donotbulkemail",
        )
    )


def _column(name: str, kind: str, **more: object) -> Column:
    # The words of `more` are those of Column, which checks them at import.
    return Column(name=name, type=kind, label=_label(name), **more)  # type: ignore[arg-type]
