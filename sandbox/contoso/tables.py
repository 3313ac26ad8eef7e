"""The tables of daily business: account, contact, product, currency. Pure."""

from __future__ import annotations

from functools import cache

from sandbox.contoso import columns as c
from sandbox.contoso.activities import ACTIVITY_TABLES
from sandbox.contoso.field_security import FIELD_SECURITY_TABLES
from sandbox.contoso.offline_tables import OFFLINE_TABLES
from sandbox.contoso.schema import AlternateKey, Navigation, Schema, Table
from sandbox.contoso.security_tables import SECURITY_TABLES
from sandbox.contoso.sharing_tables import SHARING_TABLES

FIRST_METADATA_VERSION = 49_412_842

INDUSTRIES = (
    "Accounting", "Agriculture and Non-petrol Natural Resource Extraction",
    "Broadcasting Printing and Publishing", "Brokers", "Building Supply Retail",
    "Business Services", "Consulting", "Consumer Services",
    "Design, Direction and Creative Management",
    "Distributors, Dispatchers and Processors", "Doctor's Offices and Clinics",
    "Durable Manufacturing", "Eating and Drinking Places", "Entertainment Retail",
    "Equipment Rental and Leasing", "Financial", "Food and Tobacco Processing",
    "Inbound Capital Intensive Processing", "Inbound Repair and Services",
    "Insurance", "Legal Services", "Non-Durable Merchandise Retail",
    "Outbound Consumer Service", "Petrochemical Extraction and Distribution",
    "Service Retail", "SIG Affiliations", "Social Services",
    "Special Outbound Trade Contractors", "Specialty Realty", "Transportation",
    "Utility Creation and Distribution", "Vehicle Retail", "Wholesale",
)  # fmt: skip

CUSTOMER_TYPES = (
    "Competitor", "Consultant", "Customer", "Investor", "Partner", "Influencer",
    "Press", "Prospect", "Reseller", "Supplier", "Vendor", "Other",
)  # fmt: skip


PRODUCT_TYPES = ("Sales Inventory", "Miscellaneous Charges", "Services", "Flat Fees")
PRODUCT_USES = ("Ramp", "Runway", "Terminal", "Hangar", "Tower")


def _account() -> Table:
    return Table(
        name="account",
        schema_name="Account",
        entity_set="accounts",
        key="accountid",
        primary_name="name",
        code=1,
        ownership="UserOwned",
        privilege="Account",
        keys=(AlternateKey(name="account_number", columns=("accountnumber",)),),
        label="Account",
        columns=(
            c.guid("accountid"),
            c.text("name", 160, required=True, indexed=True),
            c.text("accountnumber", 20, indexed=True),
            c.choice("accountcategorycode", "Preferred Customer", "Standard"),
            c.choice("customertypecode", *CUSTOMER_TYPES),
            c.choice("industrycode", *INDUSTRIES),
            c.choice("ownershipcode", "Public", "Private", "Subsidiary", "Other"),
            c.choice("accountratingcode", "Default Value"),
            c.choice("territorycode", "Default Value"),
            c.choice("businesstypecode", "Default Value"),
            *c.money("revenue"),
            *c.money("creditlimit", secured=True),
            *c.money("aging30"),
            *c.money("marketcap"),
            c.boolean("creditonhold"),
            *c.refusals(),
            c.boolean("followemail", "Allow", "Do Not Allow"),
            c.boolean("merged"),
            c.integer("numberofemployees"),
            c.integer("sharesoutstanding"),
            c.memo("description"),
            c.text("emailaddress1", 100),
            c.text("telephone1", 50),
            c.text("telephone2", 50),
            c.text("fax", 50),
            c.text("websiteurl", 200),
            *c.address(),
            c.lookup(
                "primarycontactid", "contact", "account_primary_contact", indexed=True
            ),
            c.lookup(
                "parentaccountid", "account", "account_parent_account", indexed=True
            ),
            c.lookup("preferredsystemuserid", "systemuser", "system_user_accounts"),
            *c.currency("account"),
            c.guid("entityimageid"),
            *c.image("entityimage"),
            c.file("contract"),
            c.moment("lastonholdtime"),
            c.integer("onholdtime", -2147483648, 2147483647, settable=False),
            c.state(),
            c.status(),
            *c.stamps("accountbase"),
            *c.ownership(
                user="user_accounts",
                team="team_accounts",
                unit="business_unit_accounts",
            ),
            *c.plumbing(),
        ),
    )


def _contact() -> Table:
    customer = (
        Navigation(
            name="parentcustomerid_account",
            target="account",
            relationship="contact_customer_accounts",
        ),
        Navigation(
            name="parentcustomerid_contact",
            target="contact",
            relationship="contact_customer_contacts",
        ),
    )
    return Table(
        name="contact",
        schema_name="Contact",
        entity_set="contacts",
        key="contactid",
        primary_name="fullname",
        code=2,
        ownership="UserOwned",
        privilege="Contact",
        label="Contact",
        columns=(
            c.guid("contactid"),
            c.text("salutation", 100),
            c.text("firstname", 50),
            c.text("middlename", 50),
            c.text("lastname", 50, required=True),
            c.text("fullname", 160, settable=False, indexed=True),
            c.text("jobtitle", 100),
            c.text("department", 100),
            c.text("emailaddress1", 100),
            c.text("telephone1", 50),
            c.text("mobilephone", 50),
            c.date("birthdate"),
            c.date("anniversary"),
            c.choice("gendercode", "Male", "Female"),
            c.choice("familystatuscode", "Single", "Married", "Divorced", "Widowed"),
            c.choice(
                "preferredcontactmethodcode", "Any", "Email", "Phone", "Fax", "Mail"
            ),
            *c.money("annualincome"),
            *c.money("creditlimit"),
            c.integer("numberofchildren"),
            c.text("employeeid", 50),
            c.memo("description"),
            *c.refusals(),
            *c.address(),
            c.lookup_of_many("parentcustomerid", "Customer", customer),
            c.lookup("preferredsystemuserid", "systemuser", "system_user_contacts"),
            *c.currency("contact"),
            c.state(),
            c.status(),
            *c.stamps("contactbase"),
            *c.ownership(
                user="contact_owning_user",
                team="team_contacts",
                unit="business_unit_contacts",
            ),
            *c.plumbing(),
        ),
    )


def _transactioncurrency() -> Table:
    return Table(
        name="transactioncurrency",
        schema_name="TransactionCurrency",
        entity_set="transactioncurrencies",
        key="transactioncurrencyid",
        primary_name="currencyname",
        code=9105,
        ownership="OrganizationOwned",
        privilege="TransactionCurrency",
        label="Currency",
        columns=(
            c.guid("transactioncurrencyid"),
            c.text("currencyname", 100, required=True),
            c.text("isocurrencycode", 5),
            c.text("currencysymbol", 10),
            c.integer("currencyprecision", 0, 10),
            c.decimal("exchangerate"),
            c.state(),
            c.status(),
            *c.stamps("transactioncurrencybase"),
            c.version(),
        ),
    )


def _product() -> Table:
    return Table(
        name="product",
        schema_name="Product",
        entity_set="products",
        key="productid",
        primary_name="name",
        code=1024,
        ownership="OrganizationOwned",
        privilege="Product",
        keys=(AlternateKey(name="product_number", columns=("productnumber",)),),
        label="Product",
        columns=(
            c.guid("productid"),
            c.text("productnumber", 100, required=True, indexed=True),
            c.text("name", 100, required=True),
            c.memo("description"),
            c.choice("productstructure", "Product", "Product Family", "Bundle"),
            c.choice("producttypecode", *PRODUCT_TYPES, global_set="contoso_goods"),
            c.choices("contoso_uses", *PRODUCT_USES, global_set="contoso_uses"),
            c.integer("quantitydecimal", 0, 5),
            c.decimal("quantityonhand", 5),
            *c.money("price"),
            *c.money("standardcost"),
            c.boolean("isstockitem"),
            c.date("validfromdate"),
            c.lookup("parentproductid", "product", "product_parent_product"),
            *c.currency("product"),
            c.state((0, "Active"), (1, "Retired"), (2, "Draft")),
            c.status((1, "Active"), (2, "Retired"), (0, "Draft")),
            *c.stamps("productbase"),
            c.version(),
        ),
    )


@cache
def first_schema() -> Schema:
    """Return the tables as a new organization has them."""
    tables = (
        _account(),
        _contact(),
        _transactioncurrency(),
        _product(),
        *ACTIVITY_TABLES,
        *SECURITY_TABLES,
        *SHARING_TABLES,
        *OFFLINE_TABLES,
        *FIELD_SECURITY_TABLES,
    )
    return Schema(
        tables={table.name: table for table in tables},
        version=FIRST_METADATA_VERSION,
    )
