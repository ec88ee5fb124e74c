"""Contenders of the environment in `.bench/peers`: `python peers.py CONTENDER MILLIONS`.

It imports nothing of ours, so that their pins and ours need not agree.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from pathlib import Path

FOLDER = Path(".bench")
TYPES = ["view", "click", "like", "add_to_cart", "purchase"]
RATIO = 4


def recommenders(millions: int):
    """Microsoft recommenders' sampler of negatives."""
    import pandas as pd
    from recommenders.datasets.pandas_df_utils import negative_feedback_sampler

    path = FOLDER / f"events-{millions}m.parquet"

    def work():
        events = pd.read_parquet(path, columns=["user_id", "item_id"]).assign(label=1.0)
        rows = negative_feedback_sampler(
            events, "user_id", "item_id", "label", "feedback", ratio_neg_per_user=RATIO
        )
        rows.to_parquet(FOLDER / "recommenders.parquet", compression="zstd")

    return work


def recbole(millions: int):
    """RecBole's sampler on integer codes: an item may come twice, and nothing is written."""
    import numpy as np
    import pandas as pd
    from recbole.sampler import Sampler

    events = pd.read_parquet(FOLDER / f"events-{millions}m.parquet", columns=["user_id", "item_id"])
    users, user_ids = pd.factorize(events["user_id"])
    items, item_ids = pd.factorize(events["item_id"])

    class Events:
        """What the sampler asks of a dataset."""

        uid_field, iid_field = "user", "item"
        user_num, item_num = len(user_ids) + 1, len(item_ids) + 1

        def __init__(self):
            self.inter_feat = {"user": Column(users + 1), "item": Column(items + 1)}

    def work():
        sampler = Sampler(["train"], [Events()], "uniform").set_phase("train")
        sampler.sample_by_user_ids(np.asarray(users + 1), np.asarray(items + 1), RATIO)

    return work


def pyspark(millions: int):
    """Two group-bys in Spark, on two threads of this process."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "6g")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    path = str(FOLDER / f"events-{millions}m.parquet")

    def work():
        events = spark.read.parquet(path)
        common = [
            f.count("*").alias("total"),
            f.avg("rating").alias("avg_rating"),
            f.count("rating").alias("rating_count"),
            f.min("timestamp").alias("first"),
            f.max("timestamp").alias("last"),
            *(f.count_if(f.col("interaction_type") == kind).alias(kind) for kind in TYPES),
        ]
        users = events.groupBy("user_id").agg(
            *common,
            f.count_distinct("item_id").alias("uniq"),
            f.count_distinct("date").alias("days"),
            f.max_by("item_id", "timestamp", 50).alias("recent_items"),
        )
        items = events.groupBy("item_id").agg(*common, f.count_distinct("user_id").alias("uniq"))
        for name, table in (("users", users), ("items", items)):
            writer = table.write.mode("overwrite").option("compression", "zstd")
            writer.parquet(str(FOLDER / f"spark-{name}"))

    return work


class Column:
    """An array that answers `.numpy()`, as a tensor would."""

    def __init__(self, values):
        self.values = values

    def numpy(self):
        """Return the values."""
        return self.values


def great_expectations(millions: int):
    """Expectations on a pandas frame read from Parquet."""
    import great_expectations as gx
    import pandas as pd

    path = FOLDER / f"events-{millions}m.parquet"
    context = gx.get_context(mode="ephemeral")
    source = context.data_sources.add_pandas("pandas")
    batch = source.add_dataframe_asset("events").add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite("events"))
    of = gx.expectations
    for expectation in (
        of.ExpectColumnValuesToNotBeNull(column="user_id"),
        of.ExpectColumnValueLengthsToBeBetween(column="user_id", min_value=1, max_value=255),
        of.ExpectColumnValuesToNotBeNull(column="item_id"),
        of.ExpectColumnValueLengthsToBeBetween(column="item_id", min_value=1, max_value=255),
        of.ExpectColumnValuesToBeInSet(column="interaction_type", value_set=TYPES),
        of.ExpectColumnValuesToNotBeNull(column="timestamp"),
        of.ExpectColumnValuesToBeBetween(column="rating", min_value=0, max_value=5),
    ):
        suite.add_expectation(expectation)

    def work():
        frame = pd.read_parquet(path)
        batch.get_batch({"dataframe": frame}).validate(suite)

    return work


def main() -> None:
    """Prepare, time the work, and print the seconds as JSON."""
    contender, millions = sys.argv[1:3]
    with contextlib.redirect_stdout(io.StringIO()):
        work = globals()[contender](int(millions))
        began = time.perf_counter()
        work()
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
