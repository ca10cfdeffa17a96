"""client.proto as google.protobuf reads it: what centrifuge-python 0.7 brings along, and the fields for maps, which
github.com/centrifugal/protocol has had since (v0.19.2, its client.proto) and that SDK has not.
"""

from typing import Any

from centrifuge.protocol import client_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

INT, STRING, BOOL = (
    FieldDescriptorProto.TYPE_INT32,
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_BOOL,
)
ADDED = {
    "SubscribeRequest": [("type", 15, INT), ("phase", 16, INT), ("cursor", 17, STRING), ("limit", 18, INT)],
    "SubscribeResult": [("type", 15, INT), ("phase", 16, INT), ("cursor", 17, STRING)],
    "PublishRequest": [("type", 3, INT), ("key", 4, STRING), ("removed", 5, BOOL)],
    "Publication": [("key", 11, STRING), ("removed", 12, BOOL)],
}


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto()
    client_pb2.DESCRIPTOR.CopyToProto(file)
    for message in file.message_type:
        for name, number, kind in ADDED.get(message.name, ()):
            label = FieldDescriptorProto.LABEL_OPTIONAL
            message.field.add(name=name, number=number, type=kind, label=label)
        if message.name == "SubscribeResult":
            message.field.add(
                name="state",
                number=18,
                type=FieldDescriptorProto.TYPE_MESSAGE,
                type_name=f".{file.package}.Publication",
                label=FieldDescriptorProto.LABEL_REPEATED,
            )
    return file


_pool = DescriptorPool()
DESCRIPTOR = _pool.AddSerializedFile(_file().SerializeToString())


def _class(name: str) -> Any:
    return GetMessageClass(DESCRIPTOR.message_types_by_name[name])


Command, Reply, EmulationRequest = map(_class, ("Command", "Reply", "EmulationRequest"))
