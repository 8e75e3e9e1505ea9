"""Storing an origin's manifest by hand: `PUT /v1/federation/manifest` (federation 1.5, spec/identity.md 3).

An administrator's word pins a key: it stands over what peers vouch for, and gives way only to the same key or to a
chain of rotations that begins with it. Serving manifests is `stigmem.node.api.federation`.
"""

from __future__ import annotations

import msgspec

from stigmem.core import limits
from stigmem.core.errors import Refusal, Rejection
from stigmem.core.keys import decode_base64, key_id
from stigmem.core.manifest import Manifest, parse_manifest, verify_manifest, verify_replacement, verify_rotation_chain
from stigmem.core.records import OriginRow
from stigmem.core.wire import json_response
from stigmem.node.api.request import ApiRequest
from stigmem.node.api.routing import Operation, Outcome
from stigmem.node.identity import Identity
from stigmem.node.quotas import Quotas
from stigmem.node.responses import quota_exceeded
from stigmem.node.resync import read_again_for_key, read_again_for_origin, reserve_cursors
from stigmem.node.transaction import Transaction

__all__ = ["OPERATIONS", "ManifestsApi"]


class ManifestAnswer(msgspec.Struct):
    """What was stored, and the names that its key speaks for from now on."""

    entity_uri: str
    key_id: str
    issued_at: str
    expires_at: str
    pinned: list[str]


class ManifestsApi:
    """Keys of origins, as an operator pins them."""

    def __init__(self, *, identity: Identity, quotas: Quotas) -> None:
        self._identity = identity
        self._quotas = quotas

    def put_manifest(self, call: ApiRequest, txn: Transaction) -> Outcome:
        txn.reserve("manifest", "")
        reserve_cursors(txn)
        manifest: Manifest = call.body
        self._check(call, txn, manifest)
        names = list(dict.fromkeys((manifest.entity_uri, *manifest.entities)))
        for name in names:
            self._check_name(txn, name, manifest)
        fresh = sum(name not in txn.state.origins for name in names)
        if len(txn.state.origins) + fresh > limits.ORIGINS_MAX:
            raise Refusal(409, "too_many_origins", f"a node knows at most {limits.ORIGINS_MAX} origins")
        text = msgspec.json.encode(manifest).decode()
        for name in names:
            held, row = txn.state.origins.get(name), OriginRow(name, manifest.public_key, "pinned", manifest=text)
            if held == row:
                continue
            txn.add(row)
            txn.audit(
                "origin_key_learned", call.principal.entity_uri, origin=name, how="pinned", key_id=manifest.key_id
            )
            read_again_for_origin(txn, name)
            if held is not None and held.public_key not in ("", manifest.public_key):
                read_again_for_key(txn)
        answer = ManifestAnswer(manifest.entity_uri, manifest.key_id, manifest.issued_at, manifest.expires_at, names)
        return json_response(200, answer)

    def _check(self, call: ApiRequest, txn: Transaction, manifest: Manifest) -> None:
        """What a manifest must be whatever is known already. Raises Refusal 413, 422 or 429."""
        wait_s = self._quotas.wait_s(
            "manifest", manifest.entity_uri, float(limits.MANIFEST_PUTS_PER_HOUR),
            limits.MANIFEST_PUTS_PER_HOUR / 3_600.0,
            txn.monotonic_ns,
        )  # fmt: skip
        if wait_s:
            raise quota_exceeded("manifest", call.principal.entity_uri, wait_s)
        if len(call.request.body) > limits.DISCOVERY_BYTES_MAX:
            raise Refusal(413, "manifest_too_large", f"a manifest has at most {limits.DISCOVERY_BYTES_MAX} bytes")
        try:
            verify_manifest(manifest, txn.settings.suite)
        except Rejection as rejection:
            raise Refusal(422, rejection.code, rejection.message) from rejection
        if manifest.expired(txn.now_us):
            raise Refusal(422, "manifest_expired", "the manifest has expired; sign a new one", field="expires_at")
        if len(manifest.entities) >= limits.MANIFEST_NAMES_MAX:
            raise Refusal(422, "manifest_names", f"a manifest names fewer than {limits.MANIFEST_NAMES_MAX} entities")
        for name in (manifest.entity_uri, *manifest.entities):
            if not 0 < len(name) <= limits.NODE_ID_CHARS_MAX:
                message = f"names in a manifest have 1 to {limits.NODE_ID_CHARS_MAX} characters"
                raise Refusal(422, "manifest_names", message, field="entities")

    def _check_name(self, txn: Transaction, name: str, manifest: Manifest) -> None:
        """Whether the key may speak for one name, given whose it is so far. Raises Refusal 409."""
        state = txn.state
        if self._identity.is_own_name(name):
            raise Refusal(
                409, "own_node_id", "this node's own key is its federation key; nobody else stores one for it"
            )
        held = state.origins.get(name)
        try:
            if held is None or held.how == "vouched":
                return  # a peer's word does not stand against the administrator's
            if held.manifest:
                verify_replacement(_stored(held), manifest, txn.settings.suite)
                return
            peer = state.peer_of(name)
            known = held.public_key or (peer.public_key if peer is not None else "")
            if known and decode_base64(known) != decode_base64(manifest.public_key):
                verify_rotation_chain(manifest, key_id(known), known, txn.settings.suite)
        except Rejection as rejection:
            message = f"manifest update rejected: {rejection.message} (the key of {name})"
            raise Refusal(409, rejection.code, message) from rejection


def _stored(row: OriginRow) -> Manifest:
    return parse_manifest(msgspec.json.decode(row.manifest))


OPERATIONS = (
    Operation(
        "put_manifest", "PUT", "/v1/federation/manifest", "admin:federation", ManifestsApi.put_manifest,
        "Pin the key of an origin by its manifest", body=Manifest, answer=ManifestAnswer,
        refusals=(401, 403, 409, 413, 422, 429, 503, 507), tags=("federation",),
    ),
)  # fmt: skip
