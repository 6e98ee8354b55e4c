"""Projects: documents and endpoints."""

from __future__ import annotations

from typing import Any

import msgspec

from quintet.app.projects import manage
from quintet.app.projects.manage import CreateProject, ProjectFilter
from quintet.dialects.clearml import ids
from quintet.dialects.clearml.binder import endpoint
from quintet.dialects.clearml.envelope import stamp
from quintet.dialects.clearml.queries import Noun, decode_query, finish, flag
from quintet.dialects.clearml.rules import literal, pattern
from quintet.dialects.clearml.tasks_convert import DIALECT
from quintet.dialects.clearml.tasks_write import LEAST_NAME
from quintet.dialects.kit.call import Call
from quintet.domain.errors import Invalid
from quintet.domain.ids import Kind
from quintet.domain.projects import Project, check_name
from quintet.domain.runs import JsonObject

FIELDS = frozenset(
    {"id", "company", "user", "name", "basename", "description", "created", "last_update", "tags", "system_tags",
     "featured", "parent", "default_output_destination", "hidden", "path", "company_origin", "stats", "sub_projects"}
)  # fmt: skip
PROJECTS = Noun(
    fields=FIELDS,
    patterns=frozenset({"name", "basename", "description"}),
    lists=frozenset({"id", "tags", "system_tags", "parent", "user"}),
    moments=frozenset({"last_update"}),
)
HIDDEN = "hidden"


def project_document(project: Project) -> JsonObject:
    out: JsonObject = {
        "id": ids.project_id(project.id),
        "company": ids.company_id(project.space_id),
        "user": ids.user_id(project.created_by),
        "name": project.name,
        "basename": project.basename,
        "description": project.description,
        "created": stamp(project.created_at),
        "last_update": stamp(project.updated_at),
        "tags": list(project.tags),
        "system_tags": list(project.system_tags),
        "featured": 9999,
        **project.detail.get(DIALECT, {}),
    }
    if project.parent_id is not None:
        out["parent"] = ids.project_id(project.parent_id)
    return out


class ProjectFields(msgspec.Struct):
    project: str | None = None
    name: str | None = None
    description: str | None = None
    tags: list[str] | None = None
    system_tags: list[str] | None = None
    default_output_destination: str | None = None


class ProjectName(msgspec.Struct):
    name: str


def _name(text: str) -> str:
    check_name(text.strip().rsplit("/", 1)[-1], field="name", least=LEAST_NAME)
    return text.strip().strip("/")


@endpoint("projects.create", body=ProjectFields)
async def create(call: Call) -> dict[str, str]:
    body: ProjectFields = call.body
    if body.name is None:
        raise Invalid("this field is required", field="name")
    destination = {"default_output_destination": body.default_output_destination}
    command = CreateProject(
        name=_name(body.name),
        description=body.description or "",
        tags=tuple(body.tags or ()),
        system_tags=tuple(body.system_tags or ()),
        detail={DIALECT: destination} if body.default_output_destination else {},
    )
    project = await call.write(manage.create_project, command)
    return {"id": ids.project_id(project.id)}


class ProjectId(msgspec.Struct):
    project: str


@endpoint("projects.get_by_id", body=ProjectId)
async def get_by_id(call: Call) -> dict[str, Any]:
    project = await call.read(manage.find_project, ids.parse(call.body.project, Kind.PROJECT))
    return {"project": project_document(project)}


@endpoint("projects.get_all")
async def get_all(call: Call) -> dict[str, Any]:
    query = decode_query(call.body, PROJECTS)
    narrow = ProjectFilter()
    text = query.patterns.get("name")
    if text is not None:
        pattern(text, "name")
        exact = literal(text)
        if exact is not None:
            narrow = ProjectFilter(names=(exact,))
            del query.patterns["name"]
    found, _ = await call.read(manage.list_projects, narrow)
    by_id = "id" in query.lists
    if not flag(call.body, "search_hidden") and not by_id:
        found = [p for p in found if HIDDEN not in p.system_tags]
    if flag(call.body, "shallow_search") and "parent" not in query.lists:
        found = [p for p in found if p.parent_id is None]
    return {"projects": finish(query, [project_document(p) for p in found])}


@endpoint("projects.update", body=ProjectFields)
async def update(call: Call) -> dict[str, Any]:
    body: ProjectFields = call.body
    project = await call.read(manage.find_project, ids.parse(body.project or "", Kind.PROJECT))
    changes: dict[str, Any] = {}
    if body.name is not None:
        changes["name"] = _name(body.name)
        if changes["name"].rpartition("/")[0] != project.name.rpartition("/")[0]:
            raise Invalid("a new name keeps the path above it", field="name", subcode=408)
    if body.description is not None:
        changes["description"] = body.description
    for name in ("tags", "system_tags"):
        if (value := getattr(body, name)) is not None:
            changes[name] = tuple(value)
    if body.default_output_destination is not None:
        own = {"default_output_destination": body.default_output_destination}
        changes["detail"] = {**project.detail, DIALECT: own}
    await call.write(manage.edit_project, project.id, changes)
    given = msgspec.structs.asdict(body)
    return {"updated": 1, "fields": {n: v for n, v in given.items() if v is not None and n != "project"}}
