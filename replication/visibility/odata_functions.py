"""Which of Dataverse's query functions stands for which operator. Pure.

The names are those of its Web API; in a filter they follow `Microsoft.Dynamics.CRM.`.
"""

from __future__ import annotations

from replication.domain.filter_operators import Operator

NAMESPACE = "Microsoft.Dynamics.CRM."

FUNCTIONS = {
    "Between": Operator.BETWEEN,
    "NotBetween": Operator.NOT_BETWEEN,
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "ContainValues": Operator.CONTAIN_VALUES,
    "DoesNotContainValues": Operator.NOT_CONTAIN_VALUES,
    "On": Operator.ON,
    "OnOrBefore": Operator.ON_OR_BEFORE,
    "OnOrAfter": Operator.ON_OR_AFTER,
    "Yesterday": Operator.YESTERDAY,
    "Today": Operator.TODAY,
    "Tomorrow": Operator.TOMORROW,
    "Last7Days": Operator.LAST_SEVEN_DAYS,
    "Next7Days": Operator.NEXT_SEVEN_DAYS,
    "LastWeek": Operator.LAST_WEEK,
    "ThisWeek": Operator.THIS_WEEK,
    "NextWeek": Operator.NEXT_WEEK,
    "LastMonth": Operator.LAST_MONTH,
    "ThisMonth": Operator.THIS_MONTH,
    "NextMonth": Operator.NEXT_MONTH,
    "LastYear": Operator.LAST_YEAR,
    "ThisYear": Operator.THIS_YEAR,
    "NextYear": Operator.NEXT_YEAR,
    "LastXHours": Operator.LAST_X_HOURS,
    "LastXDays": Operator.LAST_X_DAYS,
    "LastXWeeks": Operator.LAST_X_WEEKS,
    "LastXMonths": Operator.LAST_X_MONTHS,
    "LastXYears": Operator.LAST_X_YEARS,
    "NextXHours": Operator.NEXT_X_HOURS,
    "NextXDays": Operator.NEXT_X_DAYS,
    "NextXWeeks": Operator.NEXT_X_WEEKS,
    "NextXMonths": Operator.NEXT_X_MONTHS,
    "NextXYears": Operator.NEXT_X_YEARS,
    "OlderThanXMinutes": Operator.OLDER_THAN_X_MINUTES,
    "OlderThanXHours": Operator.OLDER_THAN_X_HOURS,
    "OlderThanXDays": Operator.OLDER_THAN_X_DAYS,
    "OlderThanXWeeks": Operator.OLDER_THAN_X_WEEKS,
    "OlderThanXMonths": Operator.OLDER_THAN_X_MONTHS,
    "OlderThanXYears": Operator.OLDER_THAN_X_YEARS,
    "EqualUserId": Operator.EQ_USER_ID,
    "NotEqualUserId": Operator.NE_USER_ID,
    "EqualUserTeams": Operator.EQ_USER_TEAMS,
    "EqualUserOrUserTeams": Operator.EQ_USER_OR_USER_TEAMS,
    "EqualUserOrUserHierarchy": Operator.EQ_USER_OR_USER_HIERARCHY,
    "EqualUserOrUserHierarchyAndTeams": Operator.EQ_USER_OR_USER_HIERARCHY_AND_TEAMS,
    "EqualBusinessId": Operator.EQ_BUSINESS_ID,
    "NotEqualBusinessId": Operator.NE_BUSINESS_ID,
    "EqualUserLanguage": Operator.EQ_USER_LANGUAGE,
}

# OData's own functions about text, and where Dataverse lets wildcards stand.
TEXT_FUNCTIONS = {
    "contains": (Operator.LIKE, "%{}%"),
    "startswith": (Operator.BEGINS_WITH, "{}"),
    "endswith": (Operator.ENDS_WITH, "{}"),
}
COMPARISONS = {
    "eq": Operator.EQ,
    "ne": Operator.NE,
    "gt": Operator.GT,
    "ge": Operator.GE,
    "lt": Operator.LT,
    "le": Operator.LE,
}
