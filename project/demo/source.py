"""The sandbox's Contoso, seen as its own administrators and auditors see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import requests

from project.errors import MisconfiguredError
from project.stack import AUDIENCE, SANDBOX_TENANT, Plan, local_session

CLIENT_ID = "waystation"
CLIENT_SECRET = "sandbox"  # noqa: S105 - the sandbox's only one, published in its manual
PAGE_SIZE = 5000
TIMEOUT = 30.0


class SourceError(MisconfiguredError):
    code = "demo_source"


class Contoso:
    """Reads and edits rows over the Web API, with the application's own rights."""

    def __init__(self, plan: Plan) -> None:
        self.url = f"{plan.sandbox_url}/api/data/v9.2"
        self.scope = f"{plan.sandbox_url}/.default"
        self._authority = f"{plan.sandbox_url}/{SANDBOX_TENANT}"
        self._ca = plan.sandbox_ca
        self._session = local_session(ca=plan.sandbox_ca)
        self._issuer = ""

    def close(self) -> None:
        self._session.close()

    @property
    def issuer(self) -> str:
        if not self._issuer:
            url = f"{self._authority}/v2.0/.well-known/openid-configuration"
            self._issuer = str(
                self._checked(self._session.get(url, timeout=TIMEOUT))["issuer"]
            )
        return self._issuer

    @property
    def tenant_id(self) -> str:
        return self.issuer.rstrip("/").split("/")[-2]

    def token(self, *, scope: str) -> str:
        """Return an access token of the application."""
        answer = self._session.post(
            f"{self._authority}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "scope": scope,
            },
            timeout=TIMEOUT,
        )
        return str(self._checked(answer)["access_token"])

    def provision_event(self, *, event_id: str, occurred_at: str) -> dict[str, object]:
        """Return the event that asks Waystation to look after Contoso."""
        return {
            "id": event_id,
            "type": "organization.provision",
            "occurred_at": occurred_at,
            "organization": {
                "id": self.organization_id(),
                "unique_name": SANDBOX_TENANT,
                "display_name": "Contoso",
                "endpoint": self.url,
                "kind": "dataverse",
                "identity": {
                    "authority": self.issuer,
                    "issuers": [self.issuer],
                    "audience": AUDIENCE,
                    "tenant_id": self.tenant_id,
                },
                "credential": {
                    "type": "client_secret",
                    "tenant_id": self.tenant_id,
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "scope": self.scope,
                    "authority": self._authority.rpartition("/")[0],
                },
                "ca_certificate": self._ca.read_text(encoding="ascii"),
            },
            "tables": ["account", "contact", "task"],
        }

    @staticmethod
    def as_update(event: Mapping[str, object]) -> dict[str, object]:
        """Return the event that tells Waystation where Contoso is to be found now."""
        organization = event["organization"]
        assert isinstance(organization, dict)
        fixed = ("unique_name", "kind")
        known = {name: v for name, v in organization.items() if name not in fixed}
        return {**event, "type": "organization.update", "organization": known}

    def organization_id(self) -> str:
        return str(self._get(f"{self.url}/WhoAmI")["OrganizationId"])

    def rows(self, entity_set: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield all rows, page by page."""
        options = "&".join(f"${name}={value}" for name, value in query.items())
        url = f"{self.url}/{entity_set}?{options}"
        while url:
            page = self._get(url)
            yield from page["value"]
            url = str(page.get("@odata.nextLink", ""))

    def edit(
        self, entity_set: str, *, key: str, etag: str, changes: Mapping[str, object]
    ) -> None:
        """Change a row unless somebody else did so first."""
        answer = self._session.patch(
            f"{self.url}/{entity_set}({key})",
            json=changes,
            headers={**self._headers(), "If-Match": etag},
            timeout=TIMEOUT,
        )
        if not answer.ok:
            raise SourceError(f"The source refused the edit: {answer.text[:200]}")

    def _get(self, url: str) -> dict[str, Any]:
        return self._checked(
            self._session.get(url, headers=self._headers(), timeout=TIMEOUT)
        )

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token(scope=self.scope)}",
            "Accept": "application/json",
            "Prefer": f"odata.maxpagesize={PAGE_SIZE}",
        }

    def _checked(self, answer: requests.Response) -> dict[str, Any]:
        if not answer.ok:
            raise SourceError(
                f"{answer.url} answered {answer.status_code}: {answer.text[:200]}"
            )
        content: dict[str, Any] = answer.json()
        return content
