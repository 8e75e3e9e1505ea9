"""The checks of the client under the name that the published client gives their module; see `stigmem.client`."""

from stigmem.client.verification import (
    StigmemVerificationError,
    compute_fact_cid,
    verify_fact_chain_proof,
    verify_fact_cid,
)

__all__ = ["StigmemVerificationError", "compute_fact_cid", "verify_fact_chain_proof", "verify_fact_cid"]
