"""The bus: events and predictions as they happen, over Kafka."""

from shared.bus.cloud_events import CloudEvent, child_trace, cloud_event, header_texts, new_trace
from shared.bus.port import Headers, Listener, Message, Partition, Reader, Record, Writer
from shared.bus.settings import READER_LIMITS, BusSettings, ReaderLimits

__all__ = [
    "READER_LIMITS",
    "BusSettings",
    "CloudEvent",
    "Headers",
    "Listener",
    "Message",
    "Partition",
    "Reader",
    "ReaderLimits",
    "Record",
    "Writer",
    "child_trace",
    "cloud_event",
    "header_texts",
    "new_trace",
]
