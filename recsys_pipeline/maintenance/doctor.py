"""What `recsys doctor` looks at: the machine, the installation, the settings and their services.

Each check returns a `Finding` and raises nothing, so that one fault does not hide the next.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import sys
import threading
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from recsys_pipeline.errors import RecsysError, SettingsError
from recsys_pipeline.settings import dagster_home, get_settings, unknown_variables
from recsys_pipeline.tenants import overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from recsys_pipeline.settings import Settings

T = TypeVar("T")
Status = Literal["ok", "warning", "wrong"]

PACKAGE = "recsys_pipeline"
PORTS = {3000: "the Dagster UI", 8002: "the upload API"}
KAFKA_SECONDS = 3.0
STORAGE_SECONDS = 10.0
MAX_SKEW = timedelta(minutes=5)
LOW_DISK_BYTES = 2 * 1024**3

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$")


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        check: What was looked at, in a word.
        status: `ok`, `warning` (works, but see) or `wrong` (something will fail).
        found: What is the case.
        fix: What to do about it; empty when nothing is.
    """

    check: str
    status: Status
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the four fields by name."""
        return asdict(self)


def examine() -> list[Finding]:
    """Run every check, the storage and Kafka ones bounded in time."""
    findings = [check_python(), check_requirements(), check_lock(), check_dagster_home()]
    try:
        settings = get_settings()
    except SettingsError as error:
        findings.append(
            Finding("settings", "wrong", f"{error.culprit}: {error.problem}", error.fix)
        )
        return [*findings, *(check_port(port) for port in PORTS)]
    storage, storage_clock = check_storage(settings)
    return [
        *findings,
        check_settings(),
        check_tenants(settings),
        storage,
        check_kafka(settings),
        *(check_port(port) for port in PORTS),
        check_clock(settings, datetime.now(UTC), storage_clock),
    ]


def check_python(version: tuple[int, int, int] | None = None) -> Finding:
    """Compare the interpreter with the versions that the package is made for."""
    from packaging.specifiers import SpecifierSet

    found = ".".join(str(part) for part in version or sys.version_info[:3])
    wanted = metadata.metadata(PACKAGE)["Requires-Python"]
    if SpecifierSet(wanted).contains(found):
        return Finding("python", "ok", f"Python {found}")
    return Finding(
        "python",
        "wrong",
        f"Python {found} is not {wanted}",
        "Run `make setup PYTHON=/path/to/python3.11`",
    )


def check_requirements(requirements: Iterable[str] | None = None) -> Finding:
    """Compare the installed packages with what the package itself requires."""
    from packaging.requirements import Requirement

    faults = []
    declared = metadata.requires(PACKAGE) or () if requirements is None else requirements
    for requirement in map(Requirement, declared):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _installed(requirement.name)
        if version is None:
            faults.append(f"{requirement.name} is not installed")
        elif not requirement.specifier.contains(version, prereleases=True):
            faults.append(f"{requirement.name} {version} is not {requirement.specifier}")
    if faults:
        return Finding("requirements", "wrong", "; ".join(faults), "Run `make setup`")
    return Finding("requirements", "ok", "every required package is installed")


def check_lock(lock: Path | None = None) -> Finding:
    """Compare the installed packages with the pins of `requirements.lock`."""
    lock = lock or Path(__file__).parents[2] / "requirements.lock"
    if not lock.is_file():
        return Finding("lock", "ok", "installed without a lock file beside it")
    pins = read_pins(lock.read_text(encoding="utf-8"))
    different = [
        f"{name} {version}, locked {pin}"
        for name, pin in pins.items()
        if (version := _installed(name)) is not None and version != pin
    ]
    absent = [name for name in pins if _installed(name) is None]
    if different or absent:
        parts = [*different, *(f"{name} absent" for name in absent)]
        shown = "; ".join(parts[:5]) + (f" and {len(parts) - 5} more" if len(parts) > 5 else "")
        return Finding(
            "lock", "warning", shown, "Run `make setup` for the versions that were tested"
        )
    return Finding("lock", "ok", f"{len(pins)} packages as {lock.name} pins them")


def read_pins(text: str) -> dict[str, str]:
    """Return name and version of the pins of a lock file that hold for this interpreter."""
    from packaging.markers import Marker

    pins = {}
    for line in text.splitlines():
        match = _PIN.match(line)
        if match and (match[3] is None or Marker(match[3]).evaluate()):
            pins[match[1]] = match[2]
    return pins


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_dagster_home(home: str | None = None) -> Finding:
    """See that Dagster's instance folder is set, absolute, configured and writable."""
    value = dagster_home() if home is None else home
    fix = "Run `source dev.env` in the project's folder (`make setup` writes it)"
    if not value:
        return Finding("DAGSTER_HOME", "wrong", "is not set: runs would leave no record", fix)
    path = Path(value)
    if not path.is_absolute():
        return Finding("DAGSTER_HOME", "wrong", f"{value!r} is not an absolute path", fix)
    if not path.is_dir():
        return Finding("DAGSTER_HOME", "wrong", f"{value} is not a folder", fix)
    if not (path / "dagster.yaml").is_file():
        return Finding(
            "DAGSTER_HOME",
            "wrong",
            f"{value} has no dagster.yaml",
            "Copy the project's dagster.yaml there: it bounds concurrent runs",
        )
    if not os.access(path, os.W_OK):
        return Finding("DAGSTER_HOME", "wrong", f"{value} can't be written", "Change its owner")
    return Finding("DAGSTER_HOME", "ok", value)


def check_settings(unknown: list[str] | None = None) -> Finding:
    """Name `RECSYS_` variables that no setting reads."""
    unknown = unknown_variables() if unknown is None else unknown
    if unknown:
        return Finding(
            "settings",
            "warning",
            f"no setting is called {', '.join(unknown)}",
            "See docs/settings.md for the names",
        )
    return Finding("settings", "ok", "all values are valid")


def check_tenants(settings: Settings) -> Finding:
    """Read `tenants.toml` as the pipeline does."""
    try:
        names = sorted(overrides(settings))
    except (RecsysError, OSError) as error:
        return Finding("tenants", "wrong", str(error).rstrip("."), "See tenants.example.toml")
    others = "any other name is accepted too" if settings.auto_tenants else "no other is accepted"
    if names:
        return Finding("tenants", "ok", f"{', '.join(names)} configured; {others}")
    if settings.auto_tenants:
        return Finding("tenants", "ok", "none configured; any name is accepted")
    return Finding(
        "tenants",
        "wrong",
        f"{settings.tenants_file} names no tenant and RECSYS_AUTO_TENANTS is off",
        "Copy tenants.example.toml there, or set RECSYS_AUTO_TENANTS=true",
    )


def check_storage(
    settings: Settings, seconds: float = STORAGE_SECONDS
) -> tuple[Finding, datetime | None]:
    """Write, read and delete a small object below the storage root.

    Args:
        settings: Names the root.
        seconds: How long the store may take, all three together.

    Returns:
        The finding, and the time that the store put on the object (None where it can't be known).
    """
    root = settings.storage_root
    probe = _probe_s3 if root.startswith("s3://") else _probe_folder
    fix = (
        "Check the bucket, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        if root.startswith("s3://")
        else "Make the folder writable, or set RECSYS_STORAGE_ROOT to another"
    )
    try:
        return _within(seconds, lambda: probe(root))
    except TimeoutError:
        return Finding("storage", "wrong", f"{root} gave no answer in {seconds:g} s", fix), None
    except Exception as error:  # noqa: BLE001  # any failure of a store is a finding
        return Finding("storage", "wrong", f"{root}: {_first_line(error)}", fix), None


def _probe_folder(root: str) -> tuple[Finding, datetime | None]:
    base = Path(root).absolute()
    while not base.exists():
        base = base.parent
    if not base.is_dir():
        raise NotADirectoryError(f"{base} is not a folder")
    content = uuid.uuid4().bytes
    path = base / f".recsys-doctor-{uuid.uuid4().hex}"
    try:
        path.write_bytes(content)
        if path.read_bytes() != content:
            raise OSError("what was read is not what was written")
        stamp = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    finally:
        path.unlink(missing_ok=True)
    free = shutil.disk_usage(base).free
    if free < LOW_DISK_BYTES:
        return (
            Finding(
                "storage",
                "warning",
                f"{root} has {free / 1024**3:.1f} GiB left",
                "Free some space, or set RECSYS_STORAGE_ROOT to a larger disk",
            ),
            stamp,
        )
    later = "" if base == Path(root).absolute() else " (made by the first run)"
    return Finding("storage", "ok", f"{root}{later}, {free / 1024**3:.0f} GiB free"), stamp


def _probe_s3(root: str) -> tuple[Finding, datetime | None]:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    client: Any = boto3.client(
        "s3", config=Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    )
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    place = {"Bucket": bucket, "Key": f"{prefix}/_meta/doctor-{uuid.uuid4().hex}".lstrip("/")}
    content = uuid.uuid4().bytes
    answer = client.put_object(**place, Body=content, IfNoneMatch="*")
    try:
        if client.get_object(**place)["Body"].read() != content:
            raise OSError("what was read is not what was written")
        try:
            client.put_object(**place, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in {409, 412}:
                raise
        else:
            return (
                Finding(
                    "storage",
                    "wrong",
                    f"{root} ignores If-None-Match: two runs could publish over each other",
                    "Use a store with conditional PUT",
                ),
                None,
            )
    finally:
        client.delete_object(**place)
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return Finding("storage", "ok", f"{root}, conditional PUT holds"), _http_date(date)


def _http_date(value: str | None) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).astimezone(UTC) if value else None
    except ValueError:
        return None


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return what the work returns; a hung mount or socket must not hang the report."""
    outcome: list[T] = []
    fault: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  # handed over to the caller's thread
            fault.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(seconds)
    if fault:
        raise fault[0]
    if not outcome:
        raise TimeoutError
    return outcome[0]


def check_kafka(settings: Settings, seconds: float = KAFKA_SECONDS) -> Finding:
    """Ask the configured brokers for their metadata, within a few seconds."""
    servers = settings.kafka_bootstrap_servers
    if not servers:
        return Finding("kafka", "ok", "not configured (RECSYS_KAFKA_BOOTSTRAP_SERVERS)")
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    silent = logging.getLogger(f"{PACKAGE}.doctor.kafka")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    try:
        client = AdminClient({"bootstrap.servers": servers}, logger=silent)
        cluster = client.list_topics(timeout=seconds)
    except KafkaException as error:
        reason = error.args[0].str() if error.args else "no answer"
        return Finding(
            "kafka",
            "wrong",
            f"{servers}: {reason} (waited {seconds:g} s at most)",
            "Start the broker, or mend or unset RECSYS_KAFKA_BOOTSTRAP_SERVERS",
        )
    return Finding("kafka", "ok", f"{servers}, {len(cluster.brokers)} broker(s)")


def check_port(port: int) -> Finding:
    """See that a port of the loopback is free."""
    name = f"port {port}"
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            return Finding(
                name,
                "warning",
                f"is taken ({error.strerror})",
                f"Stop what listens there, unless it is {PORTS.get(port, 'ours')} already",
            )
    return Finding(name, "ok", f"free for {PORTS.get(port, 'a server')}")


def check_clock(settings: Settings, now: datetime, storage_clock: datetime | None) -> Finding:
    """Compare the clock with the store's, with this package's files and with the start date.

    Args:
        settings: Give the start date.
        now: The clock's time, UTC.
        storage_clock: The time that the store put on a fresh object.
    """
    fix = "Set the clock (for example by NTP): events ahead of it are quarantined"
    made = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    if now < made - timedelta(days=1):
        return Finding(
            "clock", "wrong", f"{now:%Y-%m-%d %H:%M} UTC is before this program was installed", fix
        )
    if storage_clock is not None and abs(now - storage_clock) > MAX_SKEW:
        minutes = abs(now - storage_clock).total_seconds() / 60
        return Finding("clock", "wrong", f"is {minutes:.0f} minutes off the storage's", fix)
    if settings.start_date > now.date():
        return Finding(
            "clock",
            "warning",
            f"today is {now:%Y-%m-%d}, before the first partition {settings.start_date}",
            "Lower RECSYS_START_DATE, or mend the clock",
        )
    return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
