"""An upload into the topic from which its rows land, where the settings send uploads there.

All of its messages are acknowledged before it is answered. One that was not answered may be in the
topic in part, and is there twice when it is sent again: validation finds the repeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys_pipeline.api.accounts import account, count
from recsys_pipeline.api.answers import UploadAnswer, judged, whole
from recsys_pipeline.api.problems import ApiError
from recsys_pipeline.ingestion.file_messages import file_messages
from recsys_pipeline.ingestion.mapping import load_mapping
from recsys_pipeline.ingestion.readers.source import open_source
from recsys_pipeline.kafka.producer import EventProducer
from recsys_pipeline.tenants import tenant_config

if TYPE_CHECKING:
    from recsys_pipeline.api.answers import Upload
    from recsys_pipeline.api.callers import Caller
    from recsys_pipeline.api.context import Context


def produce(context: Context, caller: Caller, request_id: str, upload: Upload) -> UploadAnswer:
    """Send the rows of an upload to their topic; return what is to be expected of them.

    Raises:
        ApiError: It is a snapshot, which a topic can't carry.
        RowsRefusedError: A row breaks a rule, with `on_error=reject`; nothing was sent.
        KafkaError: Not every message was acknowledged.
        RecsysError: It can't be read.
    """
    tenant, settings = caller.tenant, context.settings
    if upload.mode == "snapshot":
        raise ApiError(
            422,
            "no_snapshots",
            "uploads go to a topic here, which carries no snapshot",
            "Withdraw items with `available`: false",
        )
    topic = (
        settings.kafka_interactions_topic
        if upload.kind == "interactions"
        else settings.kafka_items_topic
    )
    with account(context, caller, request_id, upload) as own:
        if upload.on_error == "reject":
            report = whole(context, tenant, upload)
        else:
            report = judged(context, upload.kind, tenant, upload.body)
        mapping = load_mapping(tenant_config(settings, tenant).mapping, upload.kind)
        with open_source(str(upload.body.path)) as source, EventProducer(settings) as producer:
            for block in file_messages(source, mapping):
                for value, key in zip(block.values, block.keys, strict=True):
                    producer.send(topic, value, key=key, tenant=tenant)
        own.close("produced", topic)
        count(tenant, upload, report)
    return UploadAnswer(
        **report.model_dump(), batch_id=None, topic=topic, already_landed=False, notices=[]
    )
