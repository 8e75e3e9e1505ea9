"""Operations on gardens and their members (http-api 3.13).

What a garden is, and why its facts are seen by members only, is `stigmem.core.gardens`; facts are written and read with
the operations on facts, which take a `garden_id`. Here are the gardens themselves. Whoever may write sees which gardens
there are and who is in them, as the contract has it; what they hold is their members' alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Refusal, invalid
from stigmem.core.gardens import Garden, is_slug, member_of, need_member, with_member, with_role, without_member
from stigmem.core.records import GardenMember, GardenRole, GardenRow
from stigmem.core.scopes import SCOPES, is_scope
from stigmem.core.timestamps import format_us
from stigmem.core.uris import normalise
from stigmem.core.wire import Response, json_response
from stigmem.node.api.garden_access import MANAGING, READING, garden_named, need_role, quarantine_garden
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "GardensApi"]

_Entity = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.URI_CHARS_MAX)]


class GardenRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/gardens`. `quarantine`: whether facts may wait there to be admitted."""

    slug: Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.GARDEN_NAME_CHARS_MAX)]
    scope: str = "company"
    description: Annotated[str, msgspec.Meta(max_length=limits.GARDEN_DESCRIPTION_CHARS_MAX)] | None = None
    quarantine: bool = False


class MemberRequest(msgspec.Struct, kw_only=True):
    """Body of `POST /v1/gardens/{garden}/members`."""

    entity_uri: _Entity
    role: GardenRole = "reader"


class RoleRequest(msgspec.Struct, kw_only=True):
    """Body of `PATCH /v1/gardens/{garden}/members/{member}`."""

    role: GardenRole


class MemberRecord(msgspec.Struct):
    """A member as responses carry it."""

    entity_uri: str
    role: GardenRole
    added_by: str
    added_at: str


class GardenRecord(msgspec.Struct, kw_only=True):
    """A garden as responses carry it; `garden_id` is the name by which facts carry it. In lists without members."""

    id: str
    garden_id: str
    slug: str
    name: str
    scope: str
    description: str | None
    created_by: str
    created_at: str
    quarantine: bool
    members: list[MemberRecord]


class GardensApi:
    """Gardens of this node."""

    def __init__(self, *, identity: Identity, quotas: Quotas) -> None:
        self._identity = identity
        self._quotas = quotas

    def post_garden(self, call: ApiRequest, txn: Transaction) -> Outcome:
        request: GardenRequest = call.body
        slug = request.slug.lower()
        if not is_slug(slug):
            message = "a slug has 1 to 63 of a-z, 0-9 and hyphens, and begins with a letter or digit"
            raise invalid("slug", message, given=request.slug)
        if not is_scope(request.scope):
            raise invalid("scope", f"scope must be one of {', '.join(SCOPES)}", given=request.scope)
        call.principal.need_scope(request.scope)
        txn.reserve("garden", "")  # so that each change sees what the one before it did
        self._quotas.charge(txn, call.principal, "fact_write")
        gardens = txn.state.gardens
        if gardens.find(slug) is not None:
            raise Refusal(409, "garden_exists", f"there is a garden {slug} already", field="slug")
        if len(gardens) >= limits.GARDENS_MAX:
            raise Refusal(409, "too_many_gardens", f"a node has at most {limits.GARDENS_MAX} gardens")
        who = call.principal.entity_uri
        row = GardenRow(
            garden_id=self._identity.new_uuid(),
            slug=slug,
            name=request.name,
            scope=request.scope,
            description=request.description,
            created_by=who,
            created_us=txn.now_us,
            is_quarantine=request.quarantine,
            members=(GardenMember(who, "admin", who, txn.now_us),),
        )
        txn.add(row)
        txn.audit("garden_created", who, garden=row.garden_id, slug=slug, scope=row.scope)
        return json_response(201, self._record(Garden(row, txn.state.schemas)))

    def get_gardens(self, call: ApiRequest, txn: Transaction) -> Outcome:
        caller = call.principal
        sees_all = "write" in caller.permissions
        found = [
            msgspec.structs.replace(self._record(garden), members=[])
            for garden in txn.state.gardens
            if garden.row.scope in caller.scopes and (sees_all or garden.role_of(caller.entity_uri) is not None)
        ]
        return json_response(200, found)

    def get_garden(self, call: ApiRequest, txn: Transaction) -> Outcome:
        garden = garden_named(txn, call.principal, call.params["garden"])
        if "write" not in call.principal.permissions:
            need_role(garden, call.principal, READING)
        return json_response(200, self._record(garden))

    def delete_garden(self, call: ApiRequest, txn: Transaction) -> Outcome:
        garden = self._managed(call, txn)
        if garden is quarantine_garden(txn) and txn.state.quarantine.pending(txn.now_us):
            raise Refusal(409, "quarantine_has_pending_facts", "facts wait for the moderators of this garden")
        txn.add(garden.row.deleted())
        txn.audit("garden_deleted", call.principal.entity_uri, garden=garden.row.garden_id, slug=garden.row.slug)
        return Response(204)

    def get_members(self, call: ApiRequest, txn: Transaction) -> Outcome:
        garden = garden_named(txn, call.principal, call.params["garden"])
        need_role(garden, call.principal, READING)
        return json_response(200, [_member_record(member) for member in garden.row.members])

    def post_member(self, call: ApiRequest, txn: Transaction) -> Outcome:
        request: MemberRequest = call.body
        normalise(request.entity_uri)
        garden = self._managed(call, txn)
        member = GardenMember(request.entity_uri, request.role, call.principal.entity_uri, txn.now_us)
        self._change(call, txn, garden, "garden_member_added", member.entity_uri, lambda row: with_member(row, member))
        return json_response(201, _member_record(member))

    def patch_member(self, call: ApiRequest, txn: Transaction) -> Outcome:
        request: RoleRequest = call.body
        garden, name = self._managed(call, txn), call.params["member"]
        row = self._change(
            call, txn, garden, "garden_member_changed", name, lambda row: with_role(row, name, request.role)
        )
        return json_response(200, _member_record(need_member(row, name)))

    def delete_member(self, call: ApiRequest, txn: Transaction) -> Outcome:
        garden, name = self._managed(call, txn), call.params["member"]
        self._change(call, txn, garden, "garden_member_removed", name, lambda row: without_member(row, name))
        return Response(204)

    def _managed(self, call: ApiRequest, txn: Transaction) -> Garden:
        """The garden that the path names, for an admin of it. Raises Refusal 403 or 404."""
        txn.reserve("garden", "")  # so that each change sees what the one before it did
        garden = garden_named(txn, call.principal, call.params["garden"])
        need_role(garden, call.principal, MANAGING)
        return garden

    def _change(
        self,
        call: ApiRequest,
        txn: Transaction,
        garden: Garden,
        event: str,
        member: str,
        change: Callable[[GardenRow], GardenRow],
    ) -> GardenRow:
        """Stage a change of the members with its audit row; the row as it will be. Raises Refusal."""
        row = change(garden.row)
        txn.add(row)
        now = member_of(row, member)
        role = None if now is None else now.role
        txn.audit(event, call.principal.entity_uri, garden=row.garden_id, member=member, role=role)
        return row

    def _record(self, garden: Garden) -> GardenRecord:
        row = garden.row
        return GardenRecord(
            id=row.garden_id,
            garden_id=garden.uri(self._identity.authority),
            slug=row.slug,
            name=row.name,
            scope=row.scope,
            description=row.description,
            created_by=row.created_by,
            created_at=format_us(row.created_us),
            quarantine=row.is_quarantine,
            members=[_member_record(member) for member in row.members],
        )


def _member_record(member: GardenMember) -> MemberRecord:
    return MemberRecord(member.entity_uri, member.role, member.added_by, format_us(member.added_us))


_CHANGES: Final = (401, 403, 404, 409, 413, 422, 429, 503, 507)

OPERATIONS = (
    Operation(
        "create_garden", "POST", "/v1/gardens", "write", GardensApi.post_garden,
        "Make a garden, of which the caller is admin", body=GardenRequest, answer=GardenRecord, status=201,
        refusals=_CHANGES, tags=("gardens",),
    ),
    Operation(
        "list_gardens", "GET", "/v1/gardens", "any", GardensApi.get_gardens,
        "Every garden for who may write, else those of which the caller is a member", answer=list[GardenRecord],
        refusals=(401, 503), tags=("gardens",),
    ),
    Operation(
        "list_garden_members", "GET", "/v1/gardens/{garden}/members", "any", GardensApi.get_members,
        "The members of a garden", answer=list[MemberRecord], refusals=(401, 403, 404, 503), tags=("gardens",),
    ),
    Operation(
        "add_garden_member", "POST", "/v1/gardens/{garden}/members", "write", GardensApi.post_member,
        "Make somebody a member", body=MemberRequest, answer=MemberRecord, status=201, refusals=_CHANGES,
        tags=("gardens",),
    ),
    Operation(
        "change_garden_member", "PATCH", "/v1/gardens/{garden}/members/{member}", "write", GardensApi.patch_member,
        "Give a member another role", body=RoleRequest, answer=MemberRecord, refusals=_CHANGES, tags=("gardens",),
    ),
    Operation(
        "remove_garden_member", "DELETE", "/v1/gardens/{garden}/members/{member}", "write", GardensApi.delete_member,
        "Take a member out", status=204, refusals=(401, 403, 404, 503, 507), tags=("gardens",),
    ),
    Operation(
        "get_garden", "GET", "/v1/gardens/{garden}", "any", GardensApi.get_garden,
        "A garden with its members", answer=GardenRecord, refusals=(401, 403, 404, 503), tags=("gardens",),
    ),
    Operation(
        "delete_garden", "DELETE", "/v1/gardens/{garden}", "write", GardensApi.delete_garden,
        "Delete a garden; its facts are then seen by nobody", status=204, refusals=(401, 403, 404, 409, 503, 507),
        tags=("gardens",),
    ),
)  # fmt: skip
