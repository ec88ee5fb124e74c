"""`recsys produce`: files into the Kafka topics, as a backend would send them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_pipeline.cli.console import err, out, print_json, table
from recsys_pipeline.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from recsys_pipeline.ingestion.mapping import Kind, Mapping
    from recsys_pipeline.ingestion.readers.source import Source
    from recsys_pipeline.kafka import EventProducer
    from recsys_pipeline.settings import Settings

    Show = Callable[[str, int, int], None]

SLICE = 1000  # messages between two looks at progress and failures
SLICES_A_SECOND = 20
# librdkafka would log each try to connect; the error at the end names the reason once
QUIET = {"log_level": 2}

app = typer.Typer(help="Send files of interactions or items to Kafka.", no_args_is_help=True)

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE...",
        help="CSV, TSV, JSON lines, JSON array or Parquet; plain, gzip or zstd; local or s3://.",
    ),
]
Tenant = Annotated[str, typer.Option(help="Owner of the rows, sent as the header `tenant`.")]
MappingOption = Annotated[
    str | None,
    typer.Option(
        help="Built-in name or TOML file that describes the file's format alone (delimiter, header, "
        "encoding); by default the tenant's. Columns are sent under the file's own names: what "
        "applies on landing is the tenant's mapping in tenants.toml, or the default."
    ),
]
Rate = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Messages a second at most; no limit unset.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the summaries as JSON.")]


@app.command("interactions")
def interactions(
    files: Files,
    tenant: Tenant,
    mapping: MappingOption = None,
    rate: Rate = None,
    json: Json = False,
) -> None:
    """Send events to the topic RECSYS_KAFKA_INTERACTIONS_TOPIC, one message a row.

    Lines of JSON lines are sent as they are, malformed ones too; rows of other formats as JSON
    objects of texts. The tenant's mapping in tenants.toml (or the default) is applied on landing.

    Example: `recsys produce interactions events.jsonl --tenant acme`
    """
    run("interactions", files, tenant, mapping, rate, json=json)


@app.command("items")
def items(
    files: Files,
    tenant: Tenant,
    mapping: MappingOption = None,
    rate: Rate = None,
    json: Json = False,
) -> None:
    """Send versions of items to the topic RECSYS_KAFKA_ITEMS_TOPIC; see `produce interactions`.

    Example: `recsys produce items products.jsonl --tenant acme`
    """
    run("items", files, tenant, mapping, rate, json=json)


@dataclass(frozen=True)
class Sent:
    """What became of a file's messages."""

    file: str
    topic: str
    messages: int
    bytes: int
    seconds: float
    messages_per_second: float
    delivered: int
    failed: int


def run(
    kind: Kind,
    files: Sequence[str],
    tenant: str,
    mapping: str | None = None,
    rate: int | None = None,
    *,
    json: bool = False,
) -> None:
    """Send files one after the other and print what became of them.

    It ends at the first message lost, since the next would be lost too; one that is too large for
    the broker costs only itself.

    Raises:
        SettingsError: No broker is configured.
        TenantError: The tenant is not acceptable.
        MappingError: The mapping is wrong.
        SourceError: A file is missing, empty or damaged. What was read of it is sent.
        KafkaError: Messages were not delivered; it says how many and why.
    """
    from recsys_pipeline.ingestion.readers.source import check_path, open_source
    from recsys_pipeline.kafka import EventProducer
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    rules = _mapping(settings, kind, tenant, mapping)
    for name in files:
        check_path(name)
    topic = {
        "interactions": settings.kafka_interactions_topic,
        "items": settings.kafka_items_topic,
    }[kind]
    done: list[Sent] = []
    try:
        with EventProducer(settings, QUIET) as producer, _bars(files) as show:
            for name in files:
                if producer.is_losing:
                    break
                with open_source(name) as source:
                    _File(producer, topic, tenant, rules, source, rate, show).send(done)
    finally:
        # what was sent before something failed is sent
        _print(done, json=json)


def _mapping(settings: Settings, kind: Kind, tenant: str, name: str | None) -> Mapping:
    """Read the mapping, and tell where it says more than what is applied on landing."""
    from rich.markup import escape

    from recsys_pipeline.ingestion.mapping import load_mapping
    from recsys_pipeline.tenants import tenant_config

    config = tenant_config(settings, tenant)
    own = load_mapping(config.mapping, kind)
    if name is None:
        return own
    given = load_mapping(name, kind)
    rules, plain, used = (
        m.model_dump(exclude={"name", "format"}) for m in (given, load_mapping(None, kind), own)
    )
    if rules not in (plain, used):
        words = (
            f"only the format is taken from {name}; messages of {tenant} land by the mapping "
            f"{own.name}, unless [tenants.{tenant}] in {settings.tenants_file} names another"
        )
        err.print(f"[yellow]note:[/yellow] {escape(words)}", soft_wrap=True)
    return given


@dataclass
class _File:
    """One file on its way."""

    producer: EventProducer
    topic: str
    tenant: str
    mapping: Mapping
    source: Source
    rate: int | None
    show: Show

    def send(self, done: list[Sent]) -> None:
        """Send the file, and add what became of it."""
        before, began = self.producer.stats, time.perf_counter()
        try:
            self._messages(time.monotonic())
            self.producer.flush()
        except SourceError:
            self.producer.flush()
            raise
        finally:
            after, seconds = self.producer.stats, time.perf_counter() - began
            messages = after.messages - before.messages
            done.append(
                Sent(
                    file=self.source.name,
                    topic=self.topic,
                    messages=messages,
                    bytes=after.bytes - before.bytes,
                    seconds=seconds,
                    messages_per_second=messages / seconds,
                    delivered=after.delivered - before.delivered,
                    failed=after.failed - before.failed,
                )
            )

    def _messages(self, began: float) -> None:
        from recsys_pipeline.ingestion.file_messages import file_messages

        step = SLICE if self.rate is None else max(1, min(SLICE, self.rate // SLICES_A_SECOND))
        sent = read = 0
        for block in file_messages(self.source, self.mapping):
            count = len(block.values)
            for start in range(0, count, step):
                if self.producer.is_losing:
                    return
                part = slice(start, start + step)
                for value, key in zip(block.values[part], block.keys[part], strict=True):
                    self.producer.send(self.topic, value, key=key, tenant=self.tenant)
                end = min(start + step, count)
                if self.rate is not None:
                    self.producer.wait(began + (sent + end) / self.rate - time.monotonic())
                consumed = read + (block.consumed - read) * end // count
                self.show(self.source.name, consumed, self.source.size)
            sent, read = sent + count, block.consumed


@contextmanager
def _bars(files: Sequence[str]) -> Iterator[Show]:
    """Show a bar a file of the bytes sent, on a terminal only."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        tasks = {name: bars.add_task(name, total=None) for name in files}
        yield lambda name, read, size: bars.update(tasks[name], completed=read, total=size)


def _print(done: Sequence[Sent], *, json: bool) -> None:
    from rich.markup import escape

    if json:
        print_json([asdict(one) for one in done])
        return
    rows = [
        (
            escape(one.file),
            one.messages,
            one.bytes,
            round(one.seconds, 1),
            int(one.messages_per_second),
            one.delivered,
            one.failed,
        )
        for one in done
    ]
    columns = ("file", "messages", "bytes", "seconds", "messages/s", "delivered", "failed")
    if done:
        out.print(table(f"Sent to {done[0].topic}", columns, rows))
