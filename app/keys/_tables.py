"""Tables of the keys room. Keys and devices follow from leaves; the rest is exempt and erasable."""

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, Table

from app.db import Blob, Int, JsonText, Str, metadata

KEY = Table(
    "signing_key",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("kid", Str, nullable=False),
    Column("alg", Str, nullable=False),
    Column("raw", Str, nullable=False),
    Column("kind", Str, nullable=False),
    Column("officer", Str, nullable=False),
    Column("agency", Str, nullable=False),
    Column("role", Str, nullable=False),
    Column("place", Str),
    Column("access", JsonText, nullable=False),
    Column("valid_from_ms", Int, nullable=False),
    Column("valid_until_ms", Int, nullable=False),
    Column("enrolled_index", Int, nullable=False),
    Column("revoked_index", Int),
    Column("compromised_since_ms", Int),
    PrimaryKeyConstraint("ledger_id", "kid"),
    Index("ix_signing_key_officer", "ledger_id", "officer"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

DEVICE = Table(
    "device",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("kid", Str, nullable=False),
    Column("seq", Int, nullable=False),
    Column("hash", Str, nullable=False),
    Column("at_ms", Int, nullable=False),
    Column("missing", JsonText, nullable=False),
    PrimaryKeyConstraint("ledger_id", "kid"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

OFFICER_NAME = Table(
    "officer_name",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("officer", Str, nullable=False),
    Column("agency", Str, nullable=False),
    Column("name", Str),
    Column("erased_ms", Int),
    PrimaryKeyConstraint("ledger_id", "officer"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

ENROLMENT = Table(
    "enrolment",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("enrolment", Str, nullable=False),
    Column("token_hash", Blob, nullable=False),
    Column("officer", Str, nullable=False),
    Column("agency", Str, nullable=False),
    Column("role", Str, nullable=False),
    Column("place", Str, nullable=False),
    Column("access", JsonText, nullable=False),
    Column("valid_from", Str, nullable=False),
    Column("valid_until", Str, nullable=False),
    Column("challenge", Str, nullable=False),
    Column("status", Str, nullable=False),
    Column("jwk", JsonText),
    Column("signature", Str),
    Column("match_code", Str),
    Column("requested_by", Str, nullable=False),
    Column("expires_ms", Int, nullable=False),
    Column("event", Str),
    PrimaryKeyConstraint("ledger_id", "enrolment"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

CLIENT = Table(
    "api_client",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("client", Str, nullable=False),
    Column("secret_hash", Blob, nullable=False),
    Column("agency", Str, nullable=False),
    Column("place", Str),
    Column("access", JsonText, nullable=False),
    Column("revoked_ms", Int),
    PrimaryKeyConstraint("ledger_id", "client"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

TOKEN = Table(
    "access_token",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("token_hash", Blob, nullable=False),
    Column("subject", Str, nullable=False),
    Column("agency", Str, nullable=False),
    Column("place", Str),
    Column("access", JsonText, nullable=False),
    Column("expires_ms", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "token_hash"),
    Index("ix_access_token_expires", "ledger_id", "expires_ms"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

ASSERTION = Table(
    "client_assertion",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("jti_hash", Blob, nullable=False),
    Column("expires_ms", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "jti_hash"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
