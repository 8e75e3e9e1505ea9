"""Every bound of the node: a name, a unit and the reason for the number.

Only constants live here. A bound that an operator may move is a default of `stigmem.node.settings`; what
is here is the default's value or a bound nobody should need to move. Nothing in the node grows without one.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGENT_KEYS_PER_ENTITY_MAX",
    "ALIASES_MAX",
    "APPROVAL_S_MAX",
    "ATTESTATION_BYTES_MAX",
    "ATTESTATION_LIFE_S_MAX",
    "ATTESTATION_NONCE_CHARS_MAX",
    "ATTESTATION_NONCE_CHARS_MIN",
    "ATTESTATION_SKEW_S",
    "AUDIT_EXPORT_ROWS_MAX",
    "AUDIT_PAGE_LIMIT_MAX",
    "AUDIT_ROWS_PER_SLICE_MAX",
    "AUDIT_ROWS_SCANNED_MAX",
    "AUDIT_SCANS_MAX",
    "AUDIT_SEQ_MAX",
    "BACKOFF_JITTER",
    "BACKOFF_S_MAX",
    "BACKOFF_S_MIN",
    "BATCH_FACTS_MAX",
    "CLEAN_PAGES_TO_DOUBLE",
    "CLOCK_HOLD_S",
    "CLOCK_JUMP_MS",
    "CURSOR_CHARS_MAX",
    "CURSOR_UNSTORED_NS",
    "DEAD_LETTERS_PER_PEER_MAX",
    "DECLARATION_AGE_MS_MAX",
    "DEFERRED_AHEAD_MS_MAX",
    "DEFERRED_PER_PEER_MAX",
    "DERIVED_FROM_DEPTH_MAX",
    "DERIVED_FROM_MAX",
    "DISCOVERY_BYTES_MAX",
    "DISCOVERY_TIMEOUT_S",
    "DRAG_MS",
    "ELSEWHERE_NAMED_MAX",
    "ELSEWHERE_ORIGINS_MAX",
    "ERASED_PER_BATCH_MAX",
    "EVENT_HEARTBEAT_NS",
    "EVENT_PIECE_BYTES",
    "EVENT_STREAMS_MAX",
    "EVENT_STREAMS_PER_CALLER_MAX",
    "FACT_BYTES_MAX",
    "FACT_ID_CHARS_MAX",
    "GARDENS_MAX",
    "GARDEN_DESCRIPTION_CHARS_MAX",
    "GARDEN_MEMBERS_MAX",
    "GARDEN_NAME_CHARS_MAX",
    "HOLDING_CHARS_MAX",
    "HOLDING_LOOKED_AT_MAX",
    "HOLDING_NAMED_MAX",
    "IDEMPOTENCY_KEY_CHARS_MAX",
    "INTENTS_LOOKED_AT_MAX",
    "INTENT_FACTS_READ_MAX",
    "INTENT_ID_CHARS_MAX",
    "INTENT_LIST_MAX",
    "INTENT_TEXT_CHARS_MAX",
    "INTENT_TIMEOUT_S_MAX",
    "INTENT_WORD_CHARS_MAX",
    "JOB_ROWS_MIN",
    "JSON_DEPTH_MAX",
    "KEYLESS_BODY_BYTES_MAX",
    "KEYS_MAX",
    "KEYS_MINTED_BURST",
    "KEYS_MINTED_PER_S",
    "KEY_DESCRIPTION_CHARS_MAX",
    "KEY_OVERLAP_S",
    "KEY_OVERLAP_S_MAX",
    "KEY_SECRET_CHARS_MAX",
    "KEY_SECRET_CHARS_MIN",
    "LAG_HARD_MS",
    "LAG_WARNING_MS",
    "LINT_FINDINGS_MAX",
    "LONG_POLLS_PER_PEER_MAX",
    "MAILBOX_MESSAGES_MAX",
    "MANIFEST_CHARS_MAX",
    "MANIFEST_NAMES_MAX",
    "MANIFEST_PUTS_PER_HOUR",
    "NEIGHBOURS_MAX",
    "NODE_ID_CHARS_MAX",
    "NONCES_PER_PEER_MAX",
    "NONCE_WINDOW_MS",
    "OPEN_BODY_BYTES_MAX",
    "ORIGINS_MAX",
    "PAGE_LIMIT_DEFAULT",
    "PAGE_LIMIT_MAX",
    "PAST_ANSWERS_MAX",
    "PEERS_MAX",
    "PENDING_PEERS_MAX",
    "PULL_BUCKET_BURST",
    "PULL_BUCKET_PER_S",
    "PULL_JITTER",
    "PULL_LIMIT_DEFAULT",
    "PULL_LIMIT_MIN",
    "PULL_PAGES_PER_DRAIN_MAX",
    "PULL_TIMEOUT_S",
    "PULL_WAIT_S_MAX",
    "PUSHES_PER_PEER_MAX",
    "PUSH_FACTS_MAX",
    "QUARANTINE_LIFE_S",
    "QUARANTINE_NOTE_CHARS_MAX",
    "QUARANTINE_PER_ORIGIN_MAX",
    "QUARANTINE_PER_PEER_MAX",
    "QUOTA_NAMES_MAX",
    "RECALLS_MAX",
    "RECALL_QUERY_CHARS_MAX",
    "RECALL_QUERY_WORDS_MAX",
    "RECALL_WORDS_MAX",
    "RECEIPTS_BYTES_MAX",
    "RECEIPTS_MAX",
    "RECEIPT_LIFE_S",
    "REFUSED_DELIVERIES_MAX",
    "REGISTRATIONS_PER_S",
    "REPEATED_PAGES_BURST",
    "REPEATED_PAGES_PER_S",
    "REQUEST_BYTES_MAX",
    "RESOLUTION_COVERS_MAX",
    "RESOLUTION_NOTE_CHARS_MAX",
    "RESPONSE_BYTES_MAX",
    "SCHEMA_DEPTH_MAX",
    "SCHEMA_PATTERN_BYTES_MAX",
    "SESSIONS_MAX",
    "SESSION_CHARS_MAX",
    "SKEW_FUTURE_MS",
    "SKEW_PAST_MS",
    "STRANGER_AUDIT_ROWS_PER_MINUTE",
    "STRING_BYTES_MAX",
    "SUBSCRIPTIONS_MAX",
    "SUBSCRIPTIONS_PER_SUBSCRIBER_MAX",
    "TOKEN_CHARS_MAX",
    "TOKEN_IAT_AGE_MS_MAX",
    "TOKEN_LEEWAY_MS",
    "TOKEN_LIFE_MS",
    "TOKEN_REACH_MS",
    "TOMBSTONES_MAX",
    "TOMBSTONES_PER_PAGE_MAX",
    "TOMBSTONE_REASON_CHARS_MAX",
    "TURN_HASHED_MAX",
    "TURN_HASHED_REST_NS",
    "TURN_MESSAGES_MAX",
    "TURN_RECORDS_MAX",
    "TURN_REDERIVED_WORDS_MAX",
    "UNKNOWN_ORIGINS_MAX",
    "UNKNOWN_ORIGIN_REST_NS",
    "UNREACHABLE_S_MAX",
    "URI_CHARS_MAX",
    "VALUE_JSON_BYTES_MAX",
    "VOIDED_MAX",
    "VOIDS_PER_REQUEST_MAX",
    "VOID_NOTE_CHARS_MAX",
    "VOID_REACH_MS",
    "WEBHOOK_ANSWER_BYTES_MAX",
    "WEBHOOK_BACKOFF_S_MAX",
    "WEBHOOK_FAILURES_MAX",
    "WEBHOOK_ROWS_UNMARKED_MAX",
    "WEBHOOK_TIMEOUT_S",
]  # fmt: skip

# --- texts and bodies (http-api 1.4, federation 3.5 step 1) ---
URI_CHARS_MAX: Final = 2048
"""Entity, relation, source, ref: the usual bound of URIs in browsers and proxies."""
STRING_BYTES_MAX: Final = 65_536
"""`string` and `text` values in UTF-8; above it the answer is 413."""
VALUE_JSON_BYTES_MAX: Final = 131_072
"""A value with its escapes: twice the longest, which only a text of control characters exceeds."""
FACT_BYTES_MAX: Final = 262_144
"""One fact as JSON: four times the largest value, so that escapes and provenance fit."""
OPEN_BODY_BYTES_MAX: Final = 4_096
"""Body of an operation that is open to all, in bytes: none of them takes one, and what a client adds is ignored."""
KEYLESS_BODY_BYTES_MAX: Final = 16_384
"""Body in bytes that is read of somebody who has shown no key: a fact of ordinary size, so that a caller who forgot
the key is told so in the usual way."""
REQUEST_BYTES_MAX: Final = 8 * 1_048_576
"""Body of one request: a batch of 500 ordinary facts with room to spare."""
RESPONSE_BYTES_MAX: Final = 32 * 1_048_576
"""Body of a pulled page; a peer that sends more is cut off (S-34)."""
DISCOVERY_BYTES_MAX: Final = 65_536
"""A discovery document or manifest fetched from an address somebody else chose (S-18)."""
SESSION_CHARS_MAX: Final = 128
"""A `Stigmem-Session` header: three UUIDs and room for a prefix. Each is a key of a table in memory."""
DERIVED_FROM_MAX: Final = 64
"""Provenance entries of an ordinary fact."""
DERIVED_FROM_DEPTH_MAX: Final = 16
"""Nesting of provenance: far below what any JSON reader gives up at, so that all nodes read it alike."""
JSON_DEPTH_MAX: Final = 32
"""Nesting of a value of type json, objects and arrays together: as for provenance, and data of people is no deeper."""
SCHEMA_DEPTH_MAX: Final = 64
"""Nesting of a JSON Schema: it spends two levels on each level of the values that it describes."""
SCHEMA_PATTERN_BYTES_MAX: Final = 1_048_576
"""A pattern of a schema, compiled. Matching is linear in the text, times this: one that counts in nested repetitions
is as large as their product, and would hold a node up for minutes with one text."""
NODE_ID_CHARS_MAX: Final = 512
"""Longer issuers are cut before they reach a table or a log (S-19)."""

FACT_ID_CHARS_MAX: Final = 128
"""An id is usually a UUID of 36; foreign nodes may use other text."""

# --- pages ---
MANIFEST_CHARS_MAX: Final = 8_192
"""A manifest that a peer serves for somebody else, who may be anybody: room for a dozen rotations, and no more."""
PAGE_LIMIT_MAX: Final = 500
"""Facts, conflicts or rows in one page, the bound of the contract (http-api 3.4, federation 3.1)."""
PAGE_LIMIT_DEFAULT: Final = 50
"""Rows of a page whose caller names no limit (http-api 3.4)."""
PULL_LIMIT_DEFAULT: Final = 100
"""Facts of a pulled page when the request names no limit, and what our pullers ask for first (federation 3.1)."""
PULL_LIMIT_MIN: Final = 10
"""Pages that time out are asked for in halves, but never below this many facts (federation 3.10): below it the
request costs more than what it brings."""
PULL_PAGES_PER_DRAIN_MAX: Final = 400
"""Pages one puller takes before it lets its timer run again, so that a liar cannot keep it busy (S-35)."""
CLEAN_PAGES_TO_DOUBLE: Final = 5
"""Pages without a failure after which a halved limit doubles again (federation 3.10)."""
CURSOR_CHARS_MAX: Final = 256
"""A peer's cursor, in characters. Ours have about 60; the longest that are known of others stay below 200. It is stored
with each page."""
HOLDING_NAMED_MAX: Final = 128
"""Facts that a pull names as held already: a header that every server takes."""
HOLDING_CHARS_MAX: Final = 8_192
"""The longest such header that is read."""
ELSEWHERE_NAMED_MAX: Final = 128
"""Origins that a waiting pull calls served elsewhere: 1,152 bytes of a header at most."""
ELSEWHERE_ORIGINS_MAX: Final = 4_096
"""Origins of which a node remembers which peer brings their facts first: a federation beyond that has repetitions."""
REPEATED_PAGES_BURST: Final = 16.0
"""Pages in a row of which nothing was new that are asked on from at once, when the peer lets questions wait: as many as
neighbours that bring one fact each at the same moment."""
REPEATED_PAGES_PER_S: Final = 1.0
"""How many a second beyond that: a peer that answers at once, and always with the same, is asked no more often."""
HOLDING_LOOKED_AT_MAX: Final = 512
"""The newest facts among which a puller looks for those to name."""
CURSOR_UNSTORED_NS: Final = 300_000_000_000
"""For how long a cursor that moved past nothing new may be kept in memory only: what a restart reads again."""

# --- clocks (federation 4) ---
SKEW_FUTURE_MS: Final = 300_000
"""How far ahead of our clock a stamp may be: the contract's 300 s (federation 4), as Kerberos allows (RFC 4120)."""
SKEW_PAST_MS: Final = 2_592_000_000
"""How old a stamp may be outside of a first read: the contract's 30 days (federation 4)."""
DRAG_MS: Final = 5_000
"""A remote stamp moves our clock only when it is at most this far ahead of our physical clock (S-37)."""
CLOCK_JUMP_MS: Final = 60_000
"""A wall clock that leads what has elapsed by more is not believed until somebody confirms it: a fifth of the skew
bound, so that what is believed without a question is still accepted by peers whose clocks are wrong the other way."""
CLOCK_HOLD_S: Final = 300
"""A jump that nobody contradicts is believed after so many seconds: longer than a time daemon needs after a start or a
resume to set a clock that was wrong, short enough for a node that is alone to wait for."""
DEFERRED_AHEAD_MS_MAX: Final = 86_400_000
"""A stamp above the skew bound but within a day is tried again when it is due; beyond that, never."""
DEFERRED_PER_PEER_MAX: Final = 1_000
"""Facts of one peer that wait until they are due. Each is kept as its bytes: at most 256 MiB a peer, about 1 MiB in
practice."""
VOIDED_MAX: Final = 1_000
"""Facts that one record voids: as many as a resolution covers, far below FACT_BYTES_MAX."""
VOIDS_PER_REQUEST_MAX: Final = 10
"""Records that one request makes: ten thousand facts are about a tenth of a second of the writer's turn."""
VOID_NOTE_CHARS_MAX: Final = 2_048
"""Why facts were voided, in characters: some paragraphs. It travels in the provenance of the record."""
VOID_REACH_MS: Final = 366 * 86_400_000
"""How far before its own stamp a record reaches: a clock that was wrong for longer has been wrong in front of its
operator for a year, and nobody's history of years can be taken away by one key that leaked."""

# --- tokens and nonces (federation 2.6, 2.7) ---
TOKEN_LIFE_MS: Final = 3_600_000
"""A peer token lives at most one hour (federation 2.6): for that long its nonce must be remembered."""
TOKEN_LEEWAY_MS: Final = 30_000
"""By how much the times of a token may be off: the contract's 30 s (federation 2.6)."""
TOKEN_REACH_MS: Final = 330_000
"""Our tokens begin this long before the moment they are made and end this long after: skew plus leeway."""
TOKEN_IAT_AGE_MS_MAX: Final = 86_400_000
"""How far back `iat` may lie: the contract's 24 hours (federation 2.6), which also unmasks times in seconds."""
TOKEN_CHARS_MAX: Final = 32_768
"""Room for a nonce of ten thousand characters, which the contract has us accept; we keep its hash."""
NONCE_WINDOW_MS: Final = 300_000
"""A nonce is remembered at least this long, whatever its token says: the contract's 300 s (federation 2.7)."""
NONCES_PER_PEER_MAX: Final = 100_000
"""A hundred pulls a second for as long as a token lives; a peer above it is told to slow down."""
DECLARATION_AGE_MS_MAX: Final = 600_000
"""`signed_at` of a declaration may be this far from our clock (S-17), plus the skew bound."""

# --- mailboxes, turns, queues ---
MAILBOX_MESSAGES_MAX: Final = 4_096
"""Messages waiting for the writer; the next caller is told 503 with Retry-After."""
TURN_HASHED_MAX: Final = 100
"""Facts that are hashed at a time after a start, beside everything else: a fifth of a millisecond."""
TURN_HASHED_REST_NS: Final = 20_000_000
"""The rest after them: a hundredth of a processor, and a million facts in four minutes."""
TURN_MESSAGES_MAX: Final = 512
"""Messages in one turn, so that no reply waits for more than one batch."""
TURN_REDERIVED_WORDS_MAX: Final = 2_000
"""Words that one turn derives anew, where the meaning of words held has changed: some 20 ms."""
TURN_RECORDS_MAX: Final = 4_000
"""Records after which the messages left wait for the next turn: a message may bring hundreds, and a read that came
behind it should not wait for all of them."""
LONG_POLLS_PER_PEER_MAX: Final = 4
"""Requests of one peer that wait for news. A node needs one; the others are those whose connection broke unnoticed."""
PULL_WAIT_S_MAX: Final = 30.0
"""Longest wait of a pull for news, in seconds: proxies close connections that are silent for 60 s (nginx
`proxy_read_timeout`), so half of that."""
DEAD_LETTERS_PER_PEER_MAX: Final = 10_000
"""Names of rejected facts remembered for one peer, oldest forgotten first: about 2 MiB. What was forgotten is audited
anew when it comes again."""
STRANGER_AUDIT_ROWS_PER_MINUTE: Final = 30
"""Audit rows caused by unauthenticated input (S-19); what exceeds it is counted, not stored."""
PEERS_MAX: Final = 1_000
"""Rows of peers. Each approved one has a task that pulls: a thousand of them every 5 s leave one process no time."""
PENDING_PEERS_MAX: Final = 100
"""Registrations that wait for a check or an approval: as many as an operator can look through, since strangers can fill
the list."""
REGISTRATIONS_PER_S: Final = 1.0
"""Declarations of one principal, after a first burst of PENDING_PEERS_MAX."""
ORIGINS_MAX: Final = 10_000
"""Origins whose key is known. Each keeps a manifest of at most 64 KiB, usually 1 KiB: about 10 MiB."""

# --- rates ---
PULL_BUCKET_BURST: Final = 30.0
"""Pulls of one peer at once: the contract's bucket `federation_pull` holds 30 (federation 3.10)."""
PULL_BUCKET_PER_S: Final = 0.5
"""Pulls of one peer in the long run, per second: the contract's 0.5 (federation 3.10)."""
BACKOFF_S_MIN: Final = 1.0
"""First wait after a failure, in seconds: a restart of a node takes about that long."""
BACKOFF_S_MAX: Final = 300.0
"""Longest wait after failures, in seconds: the contract's 300 (federation 3.10)."""
UNREACHABLE_S_MAX: Final = 60.0
"""Longest wait before an unreachable peer is tried again: short, so that a healed cut is noticed."""
APPROVAL_S_MAX: Final = 30.0
"""Longest wait before a peer that has not approved this node yet is asked again, in seconds: its operator may do so at
any moment, and is looking at an empty node until then."""
PULL_TIMEOUT_S: Final = 10.0
"""A pull that has not answered by then has failed, in seconds: a page of 32 MiB at 30 Mbit/s takes nine."""
DISCOVERY_TIMEOUT_S: Final = 5.0
"""As PULL_TIMEOUT_S for documents of at most 64 KiB at addresses that somebody else chose: half is plenty."""
BACKOFF_JITTER: Final = 0.2
"""A wait is up to this share shorter or longer, so that peers that failed together do not come back together."""
PULL_JITTER: Final = 0.1
"""A rest between two readings is up to this share shorter or longer: two pullers that are badly placed to each other
are so for some 25 rests (a sum of n rests is spread by 0.1 * sqrt(n / 3) of the interval) and not until a restart."""

# --- lag (federation 3.10) ---
LAG_WARNING_MS: Final = 60_000
"""Lag above which the header `X-Stigmem-Replication-Lag` is sent: the contract's 60 s (federation 3.10)."""
LAG_HARD_MS: Final = 300_000
"""Lag above which a node turns peers away with 503: the contract's 300 s (federation 3.10)."""

# --- contradictions ---
RESOLUTION_COVERS_MAX: Final = 1_000
"""Facts one resolution can name: keeps it far below FACT_BYTES_MAX."""
RESOLUTION_NOTE_CHARS_MAX: Final = 2_048
"""A resolver's note, in characters: some paragraphs. It travels in the provenance of the resolution."""

# --- erasure ---

TOMBSTONE_REASON_CHARS_MAX: Final = 2_048
"""Why an entity is to be forgotten, in characters: some paragraphs; it stays with the tombstone."""
TOMBSTONES_MAX: Final = 100_000
"""Tombstones and revocations that a node keeps, for good; each is about a kilobyte in memory."""
TOMBSTONES_PER_PAGE_MAX: Final = 200
"""Tombstones that a peer is told at once: the contract's page, some 100 kB."""
ERASED_PER_BATCH_MAX: Final = 200
"""Facts or audit rows whose journal rows are rewritten in one commit: some milliseconds of everybody's time."""
AUDIT_ROWS_PER_SLICE_MAX: Final = 500
"""Audit rows that an erasure reads between two looks at what else is to do."""

# --- origins ---
UNKNOWN_ORIGINS_MAX: Final = 1_000
"""Origins without a known key that are remembered, over all peers: a peer can invent as many as it likes."""
UNKNOWN_ORIGIN_REST_NS: Final = 60_000_000_000
"""How long an origin whose key could not be learned is not asked for again."""

# --- batches and their receipts (http-api 3.3) ---
BATCH_FACTS_MAX: Final = 500
"""Facts in one batch: as many as in the largest page, so that a batch fits into one turn (http-api 3.3)."""
IDEMPOTENCY_KEY_CHARS_MAX: Final = 256
"""An idempotency key, in characters: any UUID or hash fits; Stripe's API has 255 for the same purpose."""
RECEIPT_LIFE_S: Final = 86_400
"""How long an idempotency key is remembered: longer than any client goes on repeating itself."""
RECEIPTS_MAX: Final = 10_000
"""Batches whose answer is remembered, oldest forgotten first: seven a minute over a day."""
RECEIPTS_BYTES_MAX: Final = 64 * 1_048_576
"""Answers kept in memory, over all keys; the oldest go first. A batch that is repeated after that finds its facts by
their content."""

# --- API keys (http-api 4) ---
KEYS_MAX: Final = 10_000
"""API keys of a node: about 10 MiB with what is remembered of their checks."""
KEY_SECRET_CHARS_MIN: Final = 32
"""A secret that a caller chooses, in characters: 32 hex digits hold 128 bits."""
KEY_SECRET_CHARS_MAX: Final = 512
"""As KEY_SECRET_CHARS_MIN at the other end: hashing is slow on purpose, and its cost grows with the text."""
KEY_DESCRIPTION_CHARS_MAX: Final = 512
"""A key's description, in characters: a line or two for the operator."""
KEY_OVERLAP_S: Final = 86_400
"""How long a rotated key goes on working unless the caller says otherwise: a day to bring the new one everywhere."""
KEY_OVERLAP_S_MAX: Final = 30 * 86_400
"""The longest overlap of a rotated key, in seconds: a month, after which a rotation has not happened."""
AGENT_KEYS_PER_ENTITY_MAX: Final = 100
"""Agents' public keys of one entity, revoked and expired ones included: one for each place where an agent runs."""
ATTESTATION_LIFE_S_MAX: Final = 86_400
"""The longest window in which an agent's signature holds, in seconds: a day, for agents that are not always connected;
within it the node that has the signature could say again what was said."""
ATTESTATION_SKEW_S: Final = 60
"""By how much an agent's clock may be ahead of its node's."""
ATTESTATION_NONCE_CHARS_MIN: Final = 16
"""A nonce of an attestation, in characters: 16 hex digits are enough not to meet by chance within a window."""
ATTESTATION_NONCE_CHARS_MAX: Final = 128
"""As ATTESTATION_NONCE_CHARS_MIN at the other end: it stays with the fact."""
ATTESTATION_BYTES_MAX: Final = 16_384
"""An attestation in a peer's page, in bytes of JSON: ours have about 700, most of them names and keys."""
KEYS_MINTED_BURST: Final = 60.0
"""Keys that one principal may make at once: one for each agent of a team, for about a second of the writer's time."""
KEYS_MINTED_PER_S: Final = 1.0
"""Each new key costs the writer's turn some twenty milliseconds of Argon2id."""

# --- quarantine (federation 9.2) ---
QUARANTINE_LIFE_S: Final = 30 * 86_400
"""How long a fact waits to be admitted: a month, after which nobody is coming to look at it."""
QUARANTINE_PER_PEER_MAX: Final = 1_000
"""Facts of one peer that wait at one time: more than a person can look through, since it is a person who does."""
QUARANTINE_PER_ORIGIN_MAX: Final = 500
"""As QUARANTINE_PER_PEER_MAX for one origin, so that no origin fills what a peer may bring of all of them."""
QUARANTINE_NOTE_CHARS_MAX: Final = 2_048
"""A moderator's reason, in characters: some paragraphs."""

# --- gardens (http-api 3.13) ---
GARDENS_MAX: Final = 1_000
"""Gardens of a node. Each has indexes of its own, about 10 KiB before its first fact."""
GARDEN_MEMBERS_MAX: Final = 1_000
"""Members of a garden. All of them are one record, which is written anew when one changes: about 100 KiB."""
GARDEN_NAME_CHARS_MAX: Final = 256
"""A garden's name, in characters: a title, for people."""
GARDEN_DESCRIPTION_CHARS_MAX: Final = 2_048
"""A garden's description, in characters: some paragraphs."""

# --- intents ---
INTENT_TEXT_CHARS_MAX: Final = 2_048
"""A goal, and what is said about a condition, a handoff or an act (http-api 7.1)."""
INTENT_WORD_CHARS_MAX: Final = 256
"""A kind, a unit, a name of an artifact: a word or a few."""
INTENT_ID_CHARS_MAX: Final = 512
"""Names of parts (`:preference:63`) are made of it, and must fit into a URI too."""
INTENT_LIST_MAX: Final = 64
"""Recipients, constraints, preferences, deferences, references and artifacts, each: an envelope has 1,000 facts at
most, which are one batch."""
INTENT_TIMEOUT_S_MAX: Final = 366 * 86_400
"""How long an answer may be waited for: a year, as for the longest life of a key."""
INTENT_FACTS_READ_MAX: Final = 5_000
"""Facts under the name of one intent that are looked at, oldest first: anybody may write there."""
INTENTS_LOOKED_AT_MAX: Final = 5_000
"""Intents that one page of a box looks at: about a second of work in slices. The cursor goes on behind them."""

# --- reading the audit log ---
AUDIT_PAGE_LIMIT_MAX: Final = 1_000
"""Rows in one page of the audit log: the contract's 1,000 (federation 8.2)."""
AUDIT_EXPORT_ROWS_MAX: Final = 50_000
"""Rows of one export: about 15 MB of JSON, which a node makes in memory."""
AUDIT_SEQ_MAX: Final = 2**53 - 1
"""The largest sequence number that every JSON reader reads exactly; no log comes near it."""
AUDIT_ROWS_SCANNED_MAX: Final = 100_000
"""Rows that one request looks through; what is left is reached by its cursor."""
AUDIT_SCANS_MAX: Final = 4
"""Requests that look through the log at one time; the next is told to come back."""

# --- following ---
EVENT_HEARTBEAT_NS: Final = 15_000_000_000
"""How long a stream of events may be silent: proxies close connections that are silent for 60 s, and a reader should
notice a dead one before it has missed much."""
EVENT_PIECE_BYTES: Final = 65_536
"""About how many bytes of events are made at one time for a reader: what a socket buffer takes."""
EVENT_STREAMS_MAX: Final = 500
"""Streams of events of one node. Each is a connection and some 10 KiB; every commit wakes each of them."""
EVENT_STREAMS_PER_CALLER_MAX: Final = 50
"""Streams of one principal: one for each of its processes, with room for those whose connection broke unnoticed."""

# --- subscriptions and webhooks (http-api 3.15) ---
SUBSCRIPTIONS_MAX: Final = 1_000
"""Subscriptions of a node. Each has a task that delivers, and is woken by every commit with facts."""
SUBSCRIPTIONS_PER_SUBSCRIBER_MAX: Final = 100
"""Subscriptions of one principal: one for each of a hundred entities; who wants more subscribes to a scope."""
WEBHOOK_TIMEOUT_S: Final = 10.0
"""A webhook that has not answered by then has failed, in seconds: the contract's 10 s."""
WEBHOOK_BACKOFF_S_MAX: Final = 300.0
"""Longest wait before a delivery is tried again, in seconds: the contract's 300."""
WEBHOOK_FAILURES_MAX: Final = 10
"""Failures in a row after which a subscription is shown as broken: the contract's 10."""
WEBHOOK_ANSWER_BYTES_MAX: Final = 65_536
"""What is read of a webhook's answer, whose body says nothing to us."""
WEBHOOK_ROWS_UNMARKED_MAX: Final = 20_000
"""Facts that are none of a subscriber's business after which its mark is moved all the same: what a restart looks
through again for each subscription, some tens of milliseconds."""
REFUSED_DELIVERIES_MAX: Final = 1_000
"""Facts of one subscription that are remembered as refused for good; the oldest are forgotten first."""

# --- push (federation 3.9) ---
PUSH_FACTS_MAX: Final = 500
"""Facts in one push: as many as in the largest page."""
PUSHES_PER_PEER_MAX: Final = 4
"""Pushes of one peer that are being checked at one time."""

# --- manifests that operators store (federation 1.5) ---
MANIFEST_PUTS_PER_HOUR: Final = 10
"""Manifests that one entity may store in an hour: the contract's 10 (federation 1.5)."""
MANIFEST_NAMES_MAX: Final = 100
"""Entities that a manifest may name: an organisation has a few nodes, and learning keys looks at each name."""

# --- what is kept about callers, in memory ---
SESSIONS_MAX: Final = 10_000
"""Sessions whose reads are remembered, oldest forgotten first: about 5 MiB."""
QUOTA_NAMES_MAX: Final = 10_000
"""Principals and peers with a bucket, oldest forgotten first: about 3 MiB. Who was forgotten starts with a full one."""

# --- reading by agents (http-api 3.7 to 3.12) ---
RECALL_WORDS_MAX: Final = 2_000
"""Words of a fact that recall finds it by: the first pages of a long text, at a few milliseconds."""
RECALL_QUERY_CHARS_MAX: Final = 8_192
"""A question: some pages; whoever has more asks with a part of it."""
RECALL_QUERY_WORDS_MAX: Final = 64
"""Distinct words of a question that are looked up: each costs up to a millisecond for a hundred thousand facts."""
ALIASES_MAX: Final = 10_000
"""Other names of entities, some megabytes in memory: they are given by hand or by a tool that merges two sources."""
NEIGHBOURS_MAX: Final = 1_000
"""Entities that one walk through the graph finds: five pages of the largest size."""
LINT_FINDINGS_MAX: Final = 10_000
"""Findings of one lint, some megabytes of JSON: who has more to mend begins with these."""
JOB_ROWS_MIN: Final = 100_000
"""Facts above which an answer is made as a job: the contract's 100,000 (http-api 3.7)."""
PAST_ANSWERS_MAX: Final = 16
"""Answers about other points of time in the making at one time: each judges the slots that it touches anew."""
RECALLS_MAX: Final = 16
"""Answers of this kind in the making at one time: each holds some arrays as long as its scope."""
