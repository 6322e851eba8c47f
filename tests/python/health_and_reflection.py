"""Checks health with grpcio-health-checking, and calls native `Predict` with only the descriptors from reflection.

Arguments: address of the data port, names of its services and of its models by commas, and the bits of the FP32 score that native
`Predict` gives the row below for the model `m`.
"""

import struct
import sys

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, services, models, score = sys.argv[1:]
services, models = services.split(","), models.split(",")
ROW = {"x": 1.0, "n": 3, "color": "green", "pair": [0.5, -0.5]}
PATIENCE = 60
Health = health_pb2.HealthCheckResponse

channel = grpc.insecure_channel(address)

health = health_pb2_grpc.HealthStub(channel)
for name in ["", *services, *models]:
    request = health_pb2.HealthCheckRequest(service=name)
    assert health.Check(request, timeout=PATIENCE).status == Health.SERVING, name
    updates = health.Watch(request, timeout=PATIENCE)
    assert next(updates).status == Health.SERVING, name
    updates.cancel()
unknown = health_pb2.HealthCheckRequest(service="nobody")
try:
    health.Check(unknown, timeout=PATIENCE)
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.NOT_FOUND, error
else:
    raise AssertionError("an unknown service has a status")
updates = health.Watch(unknown, timeout=PATIENCE)
assert next(updates).status == Health.SERVICE_UNKNOWN
updates.cancel()


def described(package):
    """Returns the descriptors from the reflection service of `package`: the messages of both versions are the same."""
    database = ProtoReflectionDescriptorDatabase(channel)
    database._stub.ServerReflectionInfo = channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return database


for package in ["grpc.reflection.v1alpha", "grpc.reflection.v1"]:
    database = described(package)
    listed = set(database.get_services())
    assert listed >= set(services), (package, listed)
    pool = DescriptorPool(database)
    # The messages of every method of every service can be created.
    for name in services:
        for method in pool.FindServiceByName(name).methods:
            message_factory.GetMessageClass(method.input_type)()
            message_factory.GetMessageClass(method.output_type)()
    method = pool.FindServiceByName("taper.v1.PredictionService").FindMethodByName("Predict")
    request = message_factory.GetMessageClass(method.input_type)(model="m")
    request.rows.add().update(ROW)
    call = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    answer = call(request, timeout=PATIENCE)
    (got,) = answer.outputs[0].fp32_values
    assert struct.pack("<f", got) == struct.pack("<I", int(score)), answer

print(f"{len(services)} services, {len(models)} models")
