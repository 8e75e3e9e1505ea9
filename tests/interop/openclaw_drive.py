"""Run by the python of a published environment: `openclaw_drive.py URL KEY`. The published OpenClaw adapter, as it is,
does what an agent does with it; what it was told is printed as JSON. Imports nothing of ours."""

import json
import sys

from stigmem_openclaw import SYSTEM_PROMPT_DIRECTIVE, OpenClawStigmemAdapter, OpenClawTargetError

from stigmem import StigmemClient
from stigmem.exceptions import StigmemAuthError
from stigmem.models import StringValue

USER, AGENT, OTHER = "user:ada", "agent:openclaw", "agent:colleague"


def shown(context):
    facts = [[fact.entity, fact.relation, getattr(fact.value, "v", None)] for fact in context.facts]
    return {"facts": facts, "content": len(context.content_facts), "instructions": len(context.instruction_facts),
            "summary": context.summary}  # fmt: skip


def written(result):
    return {"entity": result.entity, "relations": list(result.relations), "created": result.created}


def main(url, key):
    with StigmemClient(url, key) as client:
        client.assert_fact(
            USER, "preference:colour", StringValue(type="string", v="green"), "user:ada", scope="company"
        )
        client.assert_fact(
            "project:pump", "roadmap:constraint", StringValue(type="string", v="no night work"), "user:ada"
        )
    adapter = OpenClawStigmemAdapter(url, key, AGENT, allowed_handoff_targets=[OTHER])
    told = {"boot": shown(adapter.boot(USER, project_entities=["project:pump"]))}
    told["recall"] = shown(adapter.recall_context("which colour does ada prefer"))
    with StigmemClient(url, key) as client:
        refs = [fact.id for fact in client.query(entity=USER, scope="company").facts]
    try:
        adapter.emit_decision("project:pump", "said without a source")
    except StigmemAuthError:
        told["without provenance"] = "refused"
    adapter.emit_decision("project:pump", "seal will be replaced", derived_from=[{"fact_id": refs[0]}])
    with StigmemClient(url, key) as client:
        told["decision"] = [fact.relation for fact in client.query(entity="project:pump", scope="company").facts]
    told["handoff"] = written(adapter.emit_handoff(AGENT, OTHER, "pump 7 leaks", refs, idempotency_key="one"))
    told["handoff again"] = written(adapter.emit_handoff(AGENT, OTHER, "pump 7 leaks", refs, idempotency_key="one"))
    fresh = OpenClawStigmemAdapter(
        url, key, AGENT, allowed_handoff_targets=[OTHER]
    )  # a session that has read nothing yet
    told["escalation"] = written(fresh.emit_escalation(OTHER, "somebody must decide", priority="high"))
    try:
        adapter.emit_handoff(AGENT, "agent:stranger", "no", [])
    except OpenClawTargetError:
        told["stranger"] = "refused"
    colleague = OpenClawStigmemAdapter(url, key, OTHER)
    told["colleague"] = shown(colleague.boot(OTHER))
    told["directive"] = len(SYSTEM_PROMPT_DIRECTIVE)
    print(json.dumps(told))


main(*sys.argv[1:])
