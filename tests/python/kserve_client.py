"""The published Python client of KServe, over REST and over gRPC, with its own InferRequest and InferInput.

Arguments: HOST:PORT of the data port and of the HTTP port, and the folder of the fixtures. The gateway has the fixtures
`xgb_categorical`, `xgb_binary` and `torch_two_ts` as models of these names.
"""

import asyncio
import json
import math
import pathlib
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

NAMED = {"color": ("BYTES", np.object_), "shop": ("INT64", np.int64), "age": ("FP32", np.float32), "income": ("FP64", np.float64)}


def array(values, kind):
    return np.array([math.nan if value is None else value for value in values], kind)


def inputs_of(arrays, binary):
    """Returns columns of `[rows, 1]`, as users of KServe send data frames, or a matrix."""
    inputs = []
    for name, (datatype, values) in arrays.items():
        made = InferInput(name, list(values.shape), datatype)
        made.set_data_from_numpy(values, binary_data=binary)
        inputs.append(made)
    return inputs


def check(response, model, name, expected, what):
    # The client does not keep the version of an answer over REST.
    assert response.model_name == model and response.model_version in (None, "1"), (what, response)
    got = response.get_output_by_name(name).as_numpy().reshape(-1)
    assert got.shape == (len(expected),) and np.abs(got - np.array(expected)).max() < 1e-6, (what, got, expected)


async def main():
    data, http, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    categorical, binary, two = [
        json.loads((folder / f"{name}.json").read_text()) for name in ("xgb_categorical", "xgb_binary", "torch_two_ts")
    ]
    named = {
        name: (datatype, array(categorical["inputs"][name], kind).reshape(-1, 1)) for name, (datatype, kind) in NAMED.items()
    }
    matrix = {"rows": ("FP32", np.array(binary["inputs"]["rows"], np.float32))}
    pair = {"ids": ("INT64", np.array(two["inputs"]["ids"])), "x": ("FP32", np.array(two["inputs"]["x"], np.float32))}
    rest = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    grpc = InferenceGRPCClient(data, retries=0)
    url = f"http://{http}"
    assert await rest.is_server_live(url) and await rest.is_server_ready(url)
    assert await rest.is_model_ready(url, "xgb_binary")
    assert await grpc.is_server_live() and await grpc.is_server_ready() and await grpc.is_model_ready("xgb_binary")
    for model, arrays, name, expected in (
        ("xgb_categorical", named, "probability", categorical["expected"]["probability"]),
        ("xgb_binary", matrix, "probability", binary["expected"]["probability"]),
        ("torch_two_ts", pair, "score", two["expected"]["score"]),
    ):
        for as_bytes in (True, False):
            what = f"{model}, {'binary' if as_bytes else 'typed'}"
            if not as_bytes and model == "xgb_categorical":
                # As numbers in JSON, NaN does not exist; the client itself fails on it.
                keep = ~np.isnan(arrays["age"][1][:, 0])
                arrays = {column: (kind, values[keep]) for column, (kind, values) in arrays.items()}
                expected = np.array(expected)[keep].tolist()
            request = InferRequest(model_name=model, request_id="ours", infer_inputs=inputs_of(arrays, as_bytes))
            check(await rest.infer(url, request, model_name=model), model, name, expected, f"REST {what}")
            request = InferRequest(model_name=model, request_id="ours", infer_inputs=inputs_of(arrays, as_bytes))
            check(await grpc.infer(request), model, name, expected, f"gRPC {what}")
    # The first protocol: instances by row.
    first = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    assert await first.is_model_ready(url, "xgb_binary")
    answer = await first.infer(url, {"instances": binary["inputs"]["rows"]}, model_name="xgb_binary")
    got = np.array(answer["predictions"]).reshape(-1)
    assert np.abs(got - np.array(binary["expected"]["probability"])).max() < 1e-6, answer
    print("all as it should be")


asyncio.run(main())
