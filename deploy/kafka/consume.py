#!/usr/bin/env python3
"""Writes weir's events from Kafka to standard output, one JSON object a line, each once.

    consume.py BROKERS GROUP TOPIC...

Offsets are committed after the output was flushed, never before: a crash repeats events, it loses none. What is repeated
is known by `id`, within the last million events of this process.
"""
import json
import os
import stat
import sys
from collections import OrderedDict

SEEN_MAX = 1_000_000


def events_of(value):
    """The events of one message: one, or several separated by line feeds."""
    return [line for line in value.split(b"\n") if line]


class Seen:
    """The ids of the last `limit` events."""

    def __init__(self, limit=SEEN_MAX):
        self.limit, self.ids = limit, OrderedDict()

    def is_new(self, event_id):
        if event_id in self.ids:
            return False
        self.ids[event_id] = None
        if len(self.ids) > self.limit:
            self.ids.popitem(last=False)
        return True


def write_new(values, seen, out):
    """Writes the events of these messages that were not seen before, and makes them safe."""
    for value in values:
        for line in events_of(value):
            if seen.is_new(json.loads(line)["id"]):
                out.write(line + b"\n")
    out.flush()
    # A pipe or a terminal cannot be synced; a file must be.
    if stat.S_ISREG(os.fstat(out.fileno()).st_mode):
        os.fsync(out.fileno())


def main(brokers, group, topics):
    from confluent_kafka import Consumer, KafkaException

    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(topics)
    seen = Seen()
    try:
        while True:
            messages = consumer.consume(num_messages=1000, timeout=1.0)
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
            if messages:
                write_new([m.value() for m in messages], seen, sys.stdout.buffer)
                consumer.commit(asynchronous=False)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
