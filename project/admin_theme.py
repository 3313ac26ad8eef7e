"""How the admin looks and what its menu leads to; `settings.UNFOLD` is made here."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


def _style(request: HttpRequest) -> str:
    return static("waystation/admin.css")


def _icon(request: HttpRequest) -> str:
    return static("waystation/icon.svg")


def _page(
    title: str | Promise, icon: str, name: str, permission: str
) -> dict[str, Any]:
    def may_see(request: HttpRequest) -> bool:
        return request.user.has_perm(permission)

    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{name}"),
        "permission": may_see,
    }


THEME: dict[str, Any] = {
    "SITE_TITLE": "Waystation",
    "SITE_HEADER": "Waystation",
    "SITE_SYMBOL": "sync_alt",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _icon}],
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "syncapi.admin.fleet.show",
    "STYLES": [_style],
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0d9488",
            "700": "#0f766e",
            "800": "#115e59",
            "900": "#134e4a",
            "950": "#042f2e",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "title": _("Operation"),
                "items": [
                    {
                        "title": _("Fleet"),
                        "icon": "space_dashboard",
                        "link": reverse_lazy("admin:index"),
                    },
                    _page(
                        _("Organizations"),
                        "domain",
                        "provisioning_organization_changelist",
                        "provisioning.view_organization",
                    ),
                    _page(
                        _("Work items"),
                        "checklist",
                        "provisioning_workitem_changelist",
                        "provisioning.view_workitem",
                    ),
                    _page(
                        _("Devices"),
                        "devices",
                        "syncapi_device_changelist",
                        "syncapi.view_device",
                    ),
                    _page(
                        _("Profiles"),
                        "assignment_ind",
                        "replication_profile_changelist",
                        "replication.view_profile",
                    ),
                ],
            },
            {
                "title": _("History"),
                "separator": True,
                "items": [
                    _page(
                        _("Events"),
                        "mail",
                        "provisioning_provisioningevent_changelist",
                        "provisioning.view_provisioningevent",
                    ),
                    _page(
                        _("Audit trail"),
                        "history",
                        "provisioning_auditentry_changelist",
                        "provisioning.view_auditentry",
                    ),
                ],
            },
            {
                "title": _("Installation"),
                "separator": True,
                "items": [
                    _page(
                        _("Database servers"),
                        "database",
                        "provisioning_databaseserver_changelist",
                        "provisioning.view_databaseserver",
                    ),
                    _page(
                        _("Operators"),
                        "group",
                        "auth_user_changelist",
                        "auth.view_user",
                    ),
                ],
            },
        ],
    },
}
