"""Data sources and their audit trail."""

from __future__ import annotations

from typing import Any

from quintet.app.data_sources.manage import (
    CREATED,
    DELETED,
    SHARED_ANEW,
    NewSource,
    SourceChanges,
    SourceView,
    audit_of_sources,
    change_source,
    create_source,
    delete_source,
    get_source,
    list_sources,
)
from quintet.dialects.domino.binder import binder
from quintet.dialects.domino.envelope import Body, choices, chosen, cut, own_id, paged, path_id, wanted_page, when
from quintet.dialects.domino.people import user_name
from quintet.dialects.domino.projects import done
from quintet.dialects.kit.call import Call
from quintet.dialects.kit.times import parse_time
from quintet.domain.billing import AuditEntry
from quintet.domain.ids import Id

ROOT = "/api/datasource/v1/datasources"
ONE = f"{ROOT}/{{dataSourceId}}"
TYPES = choices(
    f"{name}Config"
    for name in (
        "ADLS", "AzureBlobStorage", "BigQuery", "ClickHouse", "Databricks", "Dataset", "DB2", "DB2Native", "Druid",
        "GCS", "GenericJDBC", "GenericS3", "Greenplum", "Ignite", "MariaDB", "MongoDB", "MySQL", "NetAppVolume",
        "Netezza", "Oracle", "Palantir", "PostgreSQL", "Redshift", "S3", "SAPHana", "SingleStore", "Snowflake",
        "SQLServer", "Synapse", "TabularS3Glue", "Teradata", "Trino", "Vertica",
    )
)  # fmt: skip
AUTHS = choices(
    ("AWSIAMBasic", "AWSIAMBasicNoOverride", "AWSIAMRole", "AWSIAMRoleWithUsername", "AzureBasic", "Basic", "CertAuth",
     "ClientIdSecret", "CustomDSN", "GCPBasic", "KeyPair", "NoAuth", "OAuth", "OAuthToken", "PersonalToken")
)  # fmt: skip
CREDENTIALS = {"Individual": True, "Shared": False}
EVENTS = {
    CREATED: "CreateDataSource",
    SHARED_ANEW: "DataSourceChangeOfPermissions",
    DELETED: "DeleteDataSource",
}
"""What is shown of the audit trail; a change of the configuration has no word there."""


class Permissions(Body):
    is_everyone: bool = False
    user_and_organization_ids: list[str] = []


class Credentials(Body):
    secret_credentials: dict[str, str] = {}
    visible_credentials: dict[str, str] = {}


class NewDataSource(Body):
    name: str
    data_source_type: str
    auth_type: str
    credential_type: str = "Shared"
    config: dict[str, Any] = {}
    credentials: Credentials | None = None
    description: str = ""
    permissions: Permissions | None = None


def source_shown(view: SourceView) -> dict[str, Any]:
    """DataSourceEnvelopeV1; credentials are never part of it."""
    source, data = view.source, view.source.data
    return {
        "id": source.id,
        "name": data["name"],
        "displayName": data["name"],
        "description": data["description"],
        "dataSourceType": data["type"],
        "authType": data["auth"],
        "credentialType": "Individual" if data["individual"] else "Shared",
        "config": data["config"],
        "ownerId": source.created_by,
        "ownerUsername": user_name(view.owner),
        "lastUpdated": when(source.updated_at),
        "permissions": {"isEveryone": data["everyone"], "userAndOrganizationIds": data["shared_with"]},
    }


def _targets(ids: list[str]) -> list[Id]:
    return [own_id(ident, "user") for ident in ids]


@binder.op(f"GET {ROOT}", comma=True)
async def list_all(call: Call) -> object:
    page = wanted_page(call)
    found = await call.read(list_sources, call.query.get("dataSourceNames") or [])
    return paged(call, "dataSources", [source_shown(v) for v in cut(found, page)], len(found), page)


@binder.op(f"POST {ROOT}", body=NewDataSource)
async def create(call: Call) -> object:
    body: NewDataSource = call.body
    credentials, permissions = body.credentials or Credentials(), body.permissions or Permissions()
    cmd = NewSource(
        body.name, chosen(body.data_source_type, TYPES, "dataSourceType"), chosen(body.auth_type, AUTHS, "authType"),
        body.config, body.description, chosen(body.credential_type, CREDENTIALS, "credentialType"),
        credentials.secret_credentials, credentials.visible_credentials, permissions.is_everyone,
        _targets(permissions.user_and_organization_ids),
    )  # fmt: skip
    return source_shown(await call.write(create_source, cmd))


@binder.op(f"GET {ONE}")
async def get(call: Call) -> object:
    return source_shown(await call.read(get_source, _ref(call)))


def _ref(call: Call) -> Id:
    return path_id(call, "dataSourceId", "data source")


class Changes(Body):
    config: dict[str, Any] | None = None
    credentials: Credentials | None = None
    permissions: Permissions | None = None


@binder.op(f"PATCH {ONE}", body=Changes)
async def change(call: Call) -> object:
    body: Changes = call.body
    credentials, permissions = body.credentials, body.permissions
    cmd = SourceChanges(
        body.config,
        credentials.secret_credentials if credentials else None,
        credentials.visible_credentials if credentials else None,
        permissions.is_everyone if permissions else None,
        _targets(permissions.user_and_organization_ids) if permissions else None,
    )
    return source_shown(await call.write(change_source, _ref(call), cmd))


@binder.op(f"DELETE {ONE}")
async def delete(call: Call) -> object:
    await call.write(delete_source, _ref(call))
    return done(call)


@binder.op("GET /api/datasource/v1/audit", comma=True)
async def audit(call: Call) -> object:
    """A bare list, newest first."""
    query = call.query
    since, until = (parse_time(query[n], n) if query.get(n) else None for n in ("startTime", "endTime"))
    ids, names, kinds = (set(query.get(n) or ()) for n in ("dataSourceIds", "dataSourceNames", "eventKinds"))
    events = [_event(e) for e in await call.read(audit_of_sources, since, until) if e.action in EVENTS]
    return [
        e
        for e in events
        if (not ids or e["dataSourceId"] in ids)
        and (not names or e["dataSourceName"] in names)
        and (not kinds or e["eventKind"] in kinds)
    ]


def _event(entry: AuditEntry) -> dict[str, Any]:
    return {
        "dataSourceId": entry.subject_id,
        "dataSourceName": entry.data["name"],
        "dataSourceType": entry.data["type"],
        "eventKind": EVENTS[entry.action],
        "performedBy": entry.user_id,
        "timestamp": when(entry.at),
        "metadata": {},
    }
