"""Kafka: what a broker holds, exact ranges of it, and a client that writes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys_pipeline.kafka.producer import EventProducer

__all__ = ["EventProducer"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # Python's own signature
    # settings and doctor import this package where no Kafka is used
    if name == "EventProducer":
        from recsys_pipeline.kafka.producer import EventProducer

        return EventProducer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
