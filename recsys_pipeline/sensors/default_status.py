"""Whether the sensors start by themselves: they do once Kafka is configured."""

from __future__ import annotations

import dagster as dg

from recsys_pipeline.kafka.config import is_configured
from recsys_pipeline.settings import get_settings

DEFAULT_STATUS = (
    dg.DefaultSensorStatus.RUNNING
    if is_configured(get_settings())
    else dg.DefaultSensorStatus.STOPPED
)
