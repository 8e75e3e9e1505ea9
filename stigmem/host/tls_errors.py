"""Why TLS failed, in words: libraries wrap the reason in errors of their own that say nothing.

An error of httpx has one of httpcore as its cause, that one of trio, and only that one of OpenSSL.
"""

from __future__ import annotations

import ssl
from typing import Final

__all__ = ["tls_reason"]

_HINTS: Final = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS there; is the address an http one?",
    "CERTIFICATE_VERIFY_FAILED": "its authority must be one that this side trusts (tls_ca_bundle)",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of this side (tls_cert_path, tls_key_path)",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority of this side's certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak TLS 1.3",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.3",
}


def tls_reason(error: BaseException | None) -> str | None:
    """What OpenSSL said, somewhere among the causes of an error, and what it may mean; None when TLS has no part."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if isinstance(error, ssl.SSLError):
            return _words(error)
        error = error.__cause__ or error.__context__
    return None


def _words(error: ssl.SSLError) -> str:
    said = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    reason = getattr(error, "reason", None) or ""
    words = said or reason.lower().replace("_", " ") or str(error)
    hint = _HINTS.get(reason)
    if (said and "ostname" in said) or (said and "IP address" in said):
        hint = "the address must be one that its certificate names"
    return f"{words}; {hint}" if hint else words
