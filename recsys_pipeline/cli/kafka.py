"""`recsys kafka`: lag, landing without the daemon, and where a topic goes on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recsys_pipeline.cli.console import out, print_json, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from recsys_pipeline.ingestion.kafka_offsets import PartitionLag
    from recsys_pipeline.settings import Settings

app = typer.Typer(help="Kafka topics: how far they have landed.", no_args_is_help=True)

Topic = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only this topic; both by default.")
]


@app.command("lag")
def lag(
    topic: Topic = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show what each topic-partition holds, what has landed of it, and when.

    Example: `recsys kafka lag`
    """
    from recsys_pipeline.ingestion.kafka_landing import topics
    from recsys_pipeline.ingestion.kafka_offsets import topic_lag
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    found = [one for name in _chosen(topic, topics(settings)) for one in topic_lag(settings, name)]
    if json:
        print_json([vars(one) for one in found])
        return
    out.print(lag_table(found))


def lag_table(lags: Sequence[PartitionLag]) -> Table:
    """Return the table of what has landed of each topic-partition."""
    rows = [
        (
            one.topic,
            one.partition,
            one.first,
            one.end,
            "nothing" if one.landed is None else f"{one.landed:,}",
            one.lag,
            f"{one.landed_at:%Y-%m-%d %H:%M:%S}" if one.landed_at else "",
        )
        for one in lags
    ]
    columns = ("topic", "partition", "first", "end", "landed", "lag", "last landed (UTC)")
    return table("Topics", columns, rows)


@app.command("land")
def land(topic: Topic = None) -> None:
    """Land everything that the topics hold now, in this process; `kafka_sensor` does it by runs.

    Example: `recsys kafka land`
    """
    from recsys_pipeline.ingestion.kafka_landing import topics
    from recsys_pipeline.settings import get_settings

    settings = get_settings()
    rows = [_land(settings, name) for name in _chosen(topic, topics(settings))]
    out.print(table("Landed", ("topic", "messages", "with a problem", "days", "lag now"), rows))
    out.print("The days are made by `recsys run`.")


def _land(settings: Settings, topic: str) -> tuple[str, int, int, int, int]:
    from rich.progress import Progress

    from recsys_pipeline.cli.console import err
    from recsys_pipeline.ingestion.kafka_landing import RangeLanded, land_ranges, plan

    state, planned = plan(settings, topic)
    for notice in planned.notices:
        out.print(f"[yellow]![/yellow] {notice}")
    # what arrives meanwhile is left for the next call, so that this one ends
    goal = sum(planned.lag.values())
    landed: list[RangeLanded] = []
    messages = 0
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task(topic, total=goal or 1)

        def report(one: RangeLanded) -> None:
            progress.update(task, completed=messages + one.end - one.start)

        while messages < goal and planned.ranges:
            for one in land_ranges(
                settings, topic, state.topic_id, planned.ranges, progress=report
            ):
                landed.append(one)
                messages += one.end - one.start
            state, planned = plan(settings, topic)
    reasons: Counter[str] = Counter()
    for one in landed:
        reasons.update(one.unreadable)
    for problem, count in sorted(reasons.items()):
        out.print(f"{topic}: {count:,} rows with {problem}")
    days = {day for one in landed for day, _ in one.days}
    return topic, messages, reasons.total(), len(days), sum(planned.lag.values())


@app.command("reset")
def reset(
    topic: Annotated[str, typer.Option(metavar="NAME", help="The topic.")],
    to: Annotated[
        str, typer.Option(metavar="earliest|latest|OFFSET", help="Where landing goes on.")
    ],
    partition: Annotated[
        int | None, typer.Option(metavar="N", help="Only this partition; all by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Say at which offset a topic goes on. Messages landed again become duplicates in quarantine.

    Example: `recsys kafka reset --topic interactions-raw --to earliest`
    """
    from recsys_pipeline.errors import SettingsError
    from recsys_pipeline.ingestion.kafka_offsets import reset_offsets
    from recsys_pipeline.settings import get_settings

    where: Literal["earliest", "latest"] | int
    if to in {"earliest", "latest"}:
        where = "earliest" if to == "earliest" else "latest"
    elif to.isdecimal():
        where = int(to)
    else:
        raise SettingsError("--to", f"{to!r} is no offset", "Use earliest, latest or a number")
    if not yes:
        what = topic if partition is None else f"{topic}/{partition}"
        typer.confirm(f"Landing of {what} goes on at {to}. Go on?", abort=True)
    moved = reset_offsets(get_settings(), topic, where, partition)
    rows = [
        (topic, number, "nothing" if before is None else before, after)
        for number, (before, after) in sorted(moved.items())
    ]
    out.print(table("Landed offsets", ("topic", "partition", "before", "now"), rows))


def _chosen(topic: str | None, known: dict[str, Literal["interactions", "items"]]) -> list[str]:
    from recsys_pipeline.errors import SettingsError

    if topic is None:
        return list(known)
    if topic not in known:
        raise SettingsError("--topic", f"{topic!r} is none of {', '.join(known)}", "Name one")
    return [topic]
