"""Predicts through stubs that grpcio-tools generates from our protos, and compares with native scores to the last bit.

Arguments: address of the data port, folder of the protos, and a case as JSON whose numbers are the bits of FP32:
`model` with one input `features`, its `rows` and native `scores`; `tiny`, the native score of version 2 of the model `m`.
"""

import json
import struct
import sys
import tempfile
from importlib import resources
from pathlib import Path

import grpc
from grpc_tools import protoc

address, protos, case = sys.argv[1:]
case = json.loads(case)

stubs = tempfile.TemporaryDirectory()
files = sorted(str(path.relative_to(protos)) for path in Path(protos, "tensorflow_serving").glob("*.proto"))
well_known = resources.files("grpc_tools") / "_proto"
made = protoc.main(
    ["", f"-I{protos}", f"-I{well_known}", f"--python_out={stubs.name}", f"--grpc_python_out={stubs.name}", *files]
)
assert made == 0, "protoc"
sys.path.insert(0, stubs.name)

from tensorflow_serving import (  # noqa: E402
    model_pb2,
    model_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
    tensor_pb2,
)

PATIENCE = 60


def number(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def bits(number):
    return struct.unpack("<I", struct.pack("<f", number))[0]


def shape(*axes):
    dims = [tensor_pb2.TensorShapeProto.Dim(size=size) for size in axes]
    return tensor_pb2.TensorShapeProto(dim=dims)


def refused(call, request, code, field):
    try:
        call(request, timeout=PATIENCE)
    except grpc.RpcError as error:
        assert error.code() == code, error
        assert field in error.details(), error
    else:
        raise AssertionError(f"{request} was not refused")


channel = grpc.insecure_channel(address)
predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
models = model_pb2_grpc.ModelServiceStub(channel)

# Elements as one block, and one by one.
rows = case["rows"]
flat = [bits for row in rows for bits in row]
of_rows = dict(dtype=tensor_pb2.DT_FLOAT, tensor_shape=shape(len(rows), len(rows[0])))
for tensor in [
    tensor_pb2.TensorProto(tensor_content=struct.pack(f"<{len(flat)}I", *flat), **of_rows),
    tensor_pb2.TensorProto(float_val=map(number, flat), **of_rows),
]:
    request = prediction_service_pb2.PredictRequest(inputs={"features": tensor})
    request.model_spec.name = case["model"]
    answer = predictions.Predict(request, timeout=PATIENCE)
    assert answer.model_spec.name == case["model"] and answer.model_spec.version.value == 3, answer.model_spec
    (output,) = answer.outputs.values()
    assert output.dtype == tensor_pb2.DT_FLOAT
    assert [dim.size for dim in output.tensor_shape.dim] == [len(rows), len(output.float_val) // len(rows)]
    assert list(map(bits, output.float_val)) == case["scores"], "not what native Predict answers"

# Every typed field, a version by label, and the version that answered in the headers.
request = prediction_service_pb2.PredictRequest(
    model_spec=model_pb2.ModelSpec(name="m", version_label="latest", signature_name="serving_default"),
    inputs={
        "x": tensor_pb2.TensorProto(dtype=tensor_pb2.DT_DOUBLE, tensor_shape=shape(1), double_val=[1.0]),
        "n": tensor_pb2.TensorProto(dtype=tensor_pb2.DT_INT64, tensor_shape=shape(1), int64_val=[3]),
        "color": tensor_pb2.TensorProto(dtype=tensor_pb2.DT_STRING, tensor_shape=shape(1), string_val=[b"green"]),
        # One value fills both columns.
        "pair": tensor_pb2.TensorProto(dtype=tensor_pb2.DT_FLOAT, tensor_shape=shape(1, 2), float_val=[0.5]),
    },
    output_filter=["value"],
)
answer, call = predictions.Predict.with_call(request, timeout=PATIENCE)
assert [bits(score) for score in answer.outputs["value"].float_val] == [case["tiny"]], answer
assert answer.model_spec.WhichOneof("version_choice") == "version" and answer.model_spec.version.value == 2
headers = dict(call.initial_metadata())
assert headers["taper-version"] == "2" and headers["taper-role"] == "primary", headers

request.output_filter[:] = ["nobody"]
refused(predictions.Predict, request, grpc.StatusCode.INVALID_ARGUMENT, "output_filter[0]")
request.model_spec.version_label = "nobody"
refused(predictions.Predict, request, grpc.StatusCode.INVALID_ARGUMENT, "nobody")
request.model_spec.name = "nobody"
refused(predictions.Predict, request, grpc.StatusCode.NOT_FOUND, "nobody")

request = model_pb2.GetModelMetadataRequest(model_spec=model_pb2.ModelSpec(name="m"), metadata_field=["signature_def"])
metadata = predictions.GetModelMetadata(request, timeout=PATIENCE)
signatures = model_pb2.SignatureDefMap()
assert metadata.metadata["signature_def"].Unpack(signatures), metadata
signature = signatures.signature_def["serving_default"]
assert sorted(signature.inputs) == ["color", "n", "pair", "x"], signature
assert [dim.size for dim in signature.inputs["pair"].tensor_shape.dim] == [-1, 2]
assert signature.inputs["color"].dtype == tensor_pb2.DT_STRING

State = model_pb2.ModelVersionStatus
expected_states = {1: (State.AVAILABLE, 0), 2: (State.AVAILABLE, 0), 7: (State.END, 9)}
# The gateway tries again to load version 7, and shows it as loading for a moment.
for _ in range(1000):
    status_response = models.GetModelStatus(model_pb2.GetModelStatusRequest(model_spec={"name": "m"}), timeout=PATIENCE)
    states = {status.version: (status.state, status.status.error_code) for status in status_response.model_version_status}
    if states == expected_states:
        break
assert states == expected_states, states

print(f"{len(rows)} scores equal, twice")
