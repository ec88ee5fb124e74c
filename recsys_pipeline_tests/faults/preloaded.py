"""What children need, imported once by the server that they are forked from, and nothing started."""

from __future__ import annotations

import confluent_kafka
import confluent_kafka.admin
import deltalake
import deltalake.exceptions
import deltalake.transaction
import polars._utils.parquet
import pyarrow.pandas_compat

from recsys_pipeline.engines import pending
from recsys_pipeline.engines import release as release_engine
from recsys_pipeline.ingestion import kafka_landing
from recsys_pipeline.kafka import group
from recsys_pipeline.maintenance import retention
from recsys_pipeline.maintenance.erasure import erase
from recsys_pipeline.storage import local_store, s3_store
from recsys_pipeline_tests import landed, releases
from recsys_pipeline_tests.faults import children, defects, kill_points

__all__ = [
    "children",
    "confluent_kafka",
    "defects",
    "deltalake",
    "erase",
    "group",
    "kafka_landing",
    "kill_points",
    "landed",
    "local_store",
    "pending",
    "polars",
    "pyarrow",
    "release_engine",
    "releases",
    "retention",
    "s3_store",
]
