"""The only reader of environment variables (prefix `RECSYS_`) and of `.env`.

Object-store credentials are the standard `AWS_*` variables: polars, deltalake, s3fs and boto3
read them themselves, so one set serves all four.
"""

from __future__ import annotations

import os
from datetime import date
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from recsys_pipeline.errors import SettingsError

INTERACTION_TYPES = ("view", "click", "like", "add_to_cart", "purchase")

RetentionLayer = Literal["events", "quarantine", "features", "samples", "releases"]
Retention = dict[RetentionLayer, Annotated[int, Field(ge=1)]]
SamplingStrategy = Literal["uniform", "popularity", "category", "viewed", "mixed"]
NegativeSource = Literal["uniform", "popularity", "category", "viewed"]
NegativeMix = Annotated[
    dict[NegativeSource, Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=1)
]


class Settings(BaseSettings):
    """Every setting with its default. `docs/settings.md` is generated from this class."""

    model_config = SettingsConfigDict(
        env_prefix="RECSYS_", env_file=".env", extra="ignore", frozen=True
    )

    storage_root: str = Field(
        "./data", description="Where everything is stored: a folder or `s3://bucket/prefix`."
    )
    start_date: date = Field(
        date(2025, 1, 1),
        description="First daily partition (UTC). Earlier events land, and appear when it is lowered.",
    )
    engine: Literal["polars"] = Field("polars", description="Engine that runs the transforms.")
    tenants_file: Path = Field(
        Path("tenants.toml"), description="Tenant configuration; see `tenants.example.toml`."
    )
    auto_tenants: bool = Field(
        True, description="Accept a tenant that `tenants.toml` does not name, with a notice."
    )
    seed: int = Field(20250101, ge=0, lt=2**63, description="Seed of negative sampling.")

    quarantine_limit: float = Field(
        0.10, ge=0, le=1, description="Share of rejected rows above which a tenant's day is held."
    )
    quarantine_min_rows: int = Field(
        100, ge=0, description="A day with fewer rows than this is never held."
    )
    parked_limit: float = Field(
        0.10, ge=0, le=1, description="Share of parked rows above which a batch raises a warning."
    )
    unknown_item_limit: float = Field(
        0.20, ge=0, le=1, description="Share of events on items outside the catalogue that warns."
    )
    volume_change_limit: float = Field(
        0.50, gt=0, description="Relative change against the trailing week's mean that warns."
    )
    volume_min_rows: int = Field(
        100, ge=0, description="A tenant with fewer events a day in the trailing week never warns."
    )
    freshness_hours: int = Field(
        36, ge=1, description="Hours after which an asset that was not materialised is stale."
    )

    positive_types: tuple[str, ...] = Field(
        ("click", "like", "add_to_cart", "purchase"),
        description="Interaction types that make a positive (JSON list).",
    )
    positive_level: Literal["user_item_day", "event"] = Field(
        "user_item_day", description="One positive per (user, item, day), or one per event."
    )
    negative_ratio: int = Field(4, ge=0, le=1000, description="Negatives per positive.")
    negative_strategy: SamplingStrategy = Field(
        "uniform",
        description="How negatives are drawn: evenly, by popularity, of the positive's category, "
        "from what the user viewed and did no more with, or from several of these as `negative_mix` says.",
    )
    negative_mix: NegativeMix | None = Field(
        None,
        description="Weight of each source of the `mixed` strategy (JSON object): `uniform`, "
        "`popularity`, `category`, `viewed`.",
    )
    popularity_alpha: float = Field(
        0.75, ge=0, le=2, description="Exponent of the `popularity` strategy and source."
    )
    sample_features: tuple[str, ...] | None = Field(
        None, description="Feature columns of training samples (JSON list); unset means all."
    )
    event_weights: dict[str, int] = Field(
        {"view": 1, "click": 2, "like": 3, "add_to_cart": 4, "purchase": 5},
        description="Integer weights of `engagement_score` (JSON object).",
    )

    chunk_rows: int = Field(
        2_000_000, ge=1, description="Landed rows that a range works on before it publishes."
    )
    state_rows: int = Field(
        100_000,
        ge=1,
        description="Events of a tenant after which the state that features build on is kept.",
    )
    state_bucket_mib: int = Field(
        64,
        ge=1,
        description="MiB of state in memory at a time; a tenant's larger state is on disk in parts.",
    )
    metadata_url: str = Field(
        "sqlite:///metadata.db",
        description="Database of API keys, uploads and the audit log, as an SQLAlchemy URL.",
    )
    api_host: str = Field("127.0.0.1", description="Address on which `recsys serve` listens.")
    api_port: int = Field(8002, ge=0, lt=65_536, description="Port of `recsys serve`.")
    api_auth: Literal["keys", "none"] = Field(
        "keys",
        description="`none` lets every caller in as any tenant (header `X-Tenant`), on loopback only.",
    )
    api_max_mib: int = Field(
        1024, ge=1, description="Largest upload, in MiB, as sent and after decompression."
    )
    api_uploads_per_tenant: int = Field(
        4, ge=1, description="Uploads of a tenant that a process works on at a time; more get 429."
    )
    api_requests_per_minute: int = Field(
        600, ge=1, description="Requests of a tenant in a minute, over all workers; more get 429."
    )
    api_max_days: int = Field(
        5000, ge=1, description="Days that one upload may touch; each is a file of its own."
    )
    api_body_seconds: float = Field(
        30.0,
        gt=0,
        description="Seconds that the body of a request may be waited for, and one more for each "
        "64 KiB of it that has come.",
    )
    api_proxies: tuple[str, ...] = Field(
        (),
        description="Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count (JSON list of "
        "addresses or networks); nobody's else do.",
    )
    api_cors_origins: tuple[str, ...] = Field(
        (), description="Web origins whose pages may call the service (JSON list); none by default."
    )
    api_metrics_port: int | None = Field(
        None,
        ge=0,
        lt=65_536,
        description="Port on which `recsys serve` tells the measures of all tenants without a "
        "credential; keep it from the outside. Unset means none.",
    )
    api_uploads_to: Literal["landing", "kafka"] = Field(
        "landing",
        description="Where uploads go: into the landing zone, or to the topics that land there.",
    )
    api_jwt_algorithm: Literal["RS256", "HS256"] | None = Field(
        None,
        description="Accept JSON Web Tokens, signed so; claims `exp`, `aud`, `tenant`, `scope`.",
    )
    api_jwt_key: SecretStr | None = Field(
        None, description="Public key (PEM) or shared secret of the tokens."
    )
    api_jwt_jwks_url: str | None = Field(
        None, description="Where the issuer publishes its keys, instead of `api_jwt_key`."
    )
    api_jwt_audience: str | None = Field(None, description="What tokens must be for (`aud`).")
    api_jwt_issuer: str | None = Field(None, description="Who tokens must be from (`iss`).")
    api_tls_certificate: Path | None = Field(
        None, description="Certificate chain (PEM); with it the service speaks HTTPS."
    )
    api_tls_key: Path | None = Field(None, description="Private key of the certificate.")
    upload_key: SecretStr | None = Field(
        None, description="API key with which `recsys generate --upload` calls a service."
    )
    idempotency_days: int = Field(
        30, ge=1, description="Days for which the same file ingested again changes nothing."
    )
    daily_hour: int = Field(
        1, ge=0, le=23, description="UTC hour at which the schedule runs the last complete day."
    )
    schedules_running: bool = Field(
        False,
        description="Start the daily schedule with the code location, as Kafka's being set does.",
    )

    release_cron: str = Field(
        "0 4 * * 1",
        description="When `release_schedule` makes releases (cron, UTC): Mondays at 4 by default.",
    )
    release_days: int = Field(
        90, ge=1, description="Days of a scheduled release, up to the last complete one."
    )
    release_validation_days: int = Field(
        7, ge=0, description="Days of validation of a scheduled release."
    )
    release_test_days: int = Field(7, ge=0, description="Days of test of a scheduled release.")
    release_tenants: tuple[str, ...] | None = Field(
        None, description="Tenants of scheduled releases (JSON list); unset means all."
    )
    release_webhook_url: str | None = Field(
        None, description="Address that is called (POST) when a release is published."
    )
    release_webhook_secret: SecretStr | None = Field(
        None, description="Secret that signs the calls (HMAC-SHA256, standardwebhooks.com)."
    )

    retention: Retention = Field(
        {},
        description="How long things are kept (JSON object): days of `events`, `quarantine`, `features` and "
        "`samples`, number of `releases` of a tenant besides pinned ones. What is not named is kept.",
    )
    retention_run_days: int | None = Field(
        None,
        ge=1,
        description="Days after which records of superseded runs are deleted; unset: never.",
    )

    kafka_bootstrap_servers: str | None = Field(
        None, description="Kafka brokers; unset means that no Kafka is used."
    )
    kafka_options: dict[str, str] = Field(
        {},
        description="Further librdkafka properties (JSON object), such as `security.protocol`, "
        "`sasl.mechanism`, `sasl.username`, `ssl.ca.location`.",
    )
    kafka_sasl_password: SecretStr | None = Field(
        None, description="`sasl.password`, kept out of logs and messages."
    )
    kafka_interactions_topic: str = Field("interactions-raw", description="Topic of events.")
    kafka_items_topic: str = Field("items-catalog", description="Topic of item versions.")
    kafka_features_topic: str = Field(
        "features-processed", description="Topic of notices of published features."
    )
    kafka_training_topic: str = Field(
        "training-data", description="Topic of notices of published training samples."
    )
    kafka_batches_topic: str = Field("batches", description="Topic of notices of landed uploads.")
    kafka_topic_tenants: dict[str, tuple[str, ...]] = Field(
        {},
        description="Tenants that a topic may bring (JSON object of lists); a topic that is not "
        "named brings all. A message of another tenant is quarantined.",
    )
    kafka_start: Literal["earliest", "latest"] = Field(
        "earliest", description="Where a topic starts that has never landed."
    )
    kafka_topic_ids: bool = Field(
        True,
        description="Tell a re-created topic by its id. Off for brokers that can't describe "
        "topics: a topic whose end is below its landed offset then waits for `recsys kafka reset`.",
    )
    kafka_run_messages: int = Field(
        1_000_000, ge=1, description="Messages that one landing run takes of a topic at most."
    )
    kafka_commit_messages: int = Field(
        100_000, ge=1, description="Messages of one landing transaction at most."
    )
    kafka_commit_bytes: int = Field(
        64 * 2**20, ge=1, description="Bytes of messages of one landing transaction at most."
    )
    kafka_timeout_seconds: float = Field(
        30.0, gt=0, description="Seconds without an answer after which a broker is given up."
    )
    kafka_consumer_group: str | None = Field(
        None,
        description="Consumer group to which landed offsets are copied, for lag monitors; they "
        "are never read back. Unset means none.",
    )
    landing_debounce_seconds: int = Field(
        20, ge=0, description="Shortest time between two requests for runs over landed days."
    )
    late_days: Literal["nightly", "at_once"] = Field(
        "nightly",
        description="When the days after a late event's day are made anew: by the daily schedule, "
        "or together with its day.",
    )

    log_format: Literal["text", "json"] = Field(
        "text",
        description="`json`: each process writes its log to standard error as one JSON object a line. "
        "`recsys serve` always does.",
    )
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(
        None, description="Least level that is logged; unset means `info` as JSON, else `warning`."
    )
    exporter_host: str = Field(
        "127.0.0.1", description="Address on which `recsys exporter` listens."
    )
    exporter_port: int = Field(9108, ge=0, lt=65_536, description="Port of `recsys exporter`.")
    exporter_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds between two looks of `recsys exporter` at the store; longer where a look "
        "takes more than a quarter of it.",
    )
    ui_url: str | None = Field(
        None, description="Address of the Dagster UI, for links to runs in alerts."
    )
    alert_webhook_url: str | None = Field(
        None, description="Address that is called (POST) of failed runs and held days."
    )
    alert_webhook_secret: SecretStr | None = Field(
        None, description="Secret that signs the calls (HMAC-SHA256, standardwebhooks.com)."
    )
    alert_email_to: tuple[str, ...] = Field(
        (), description="Addresses that get an e-mail of the same (JSON list); needs `smtp_host`."
    )
    alert_repeat_hours: float = Field(
        6.0,
        gt=0,
        description="Hours for which the same trouble (kind, asset, tenant) is told once only.",
    )
    smtp_host: str | None = Field(None, description="Server that takes the e-mails of alerts.")
    smtp_port: int = Field(587, gt=0, lt=65_536, description="Port of that server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection to that server is encrypted."
    )
    smtp_user: str | None = Field(None, description="Name to log in with; unset means no log-in.")
    smtp_password: SecretStr | None = Field(None, description="Password of that name.")
    smtp_from: str = Field("recsys@localhost", description="Sender of the e-mails.")

    @field_validator("positive_types")
    @classmethod
    def _known_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(value) - set(INTERACTION_TYPES)
        if unknown or not value:
            raise ValueError(f"must be some of {', '.join(INTERACTION_TYPES)}")
        return value

    @field_validator("event_weights")
    @classmethod
    def _whole_weights(cls, value: dict[str, int]) -> dict[str, int]:
        if set(value) != set(INTERACTION_TYPES):
            raise ValueError(f"must have a weight for each of {', '.join(INTERACTION_TYPES)}")
        return value

    @field_validator("api_proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            ip_network(address)  # a name or `*` would trust whoever calls
        return value

    @field_validator("storage_root")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        scheme, separator, _ = value.partition("://")
        if separator and scheme != "s3":
            raise ValueError("must be a local folder or s3://bucket/prefix")
        return value.rstrip("/") or "/"


@cache
def get_settings() -> Settings:
    """Read the environment once per process.

    Raises:
        SettingsError: Naming the variable, its value's problem and where the settings are listed.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "RECSYS_" + "_".join(str(part) for part in first["loc"][:1]).upper()
        raise SettingsError(
            name,
            f"{first.get('input')!r}: {first['msg'].removeprefix('Value error, ')}",
            "Set it as .env.example shows",
        ) from None


def dagster_home() -> str | None:
    """Return `DAGSTER_HOME`, Dagster's own variable, as it is set; None when it is not."""
    return os.environ.get("DAGSTER_HOME")


def s3_encryption() -> dict[str, str]:
    """Return how S3 is asked to encrypt what is stored, as parameters of its requests.

    The variables are those that deltalake reads itself, so that one set serves all writers.

    Raises:
        SettingsError: There is no such encryption.
    """
    kind = os.environ.get("AWS_SERVER_SIDE_ENCRYPTION")
    key = os.environ.get("AWS_SSE_KMS_KEY_ID")
    if not kind:
        return {}
    if kind not in {"AES256", "aws:kms", "aws:kms:dsse"}:
        raise SettingsError(
            "AWS_SERVER_SIDE_ENCRYPTION", f"is {kind!r}", "Set AES256, aws:kms or aws:kms:dsse"
        )
    return {"ServerSideEncryption": kind, **({"SSEKMSKeyId": key} if key else {})}


def unknown_variables(env_file: Path = Path(".env")) -> list[str]:
    """Return `RECSYS_` variables, of the environment and of `.env`, that name no setting.

    They are ignored by design (a later release may know them), so a misspelt one goes unnoticed.
    """
    from dotenv import dotenv_values

    names = {*os.environ, *(dotenv_values(env_file) if env_file.is_file() else ())}
    known = {f"RECSYS_{field.upper()}" for field in Settings.model_fields}
    return sorted(name for name in names if name.startswith("RECSYS_") and name not in known)
