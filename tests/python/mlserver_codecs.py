"""The codecs of MLServer, which encode a data frame as one column of shape `[rows, 1]` each, sent by plain HTTP.

Arguments: HOST:PORT of the HTTP port, and the folder of the fixtures. The gateway has the fixtures `xgb_categorical` and `xgb_binary` as
models of these names.
"""

import json
import pathlib
import sys

import numpy as np
import pandas as pd
import requests
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, RequestOutput

http, folder = sys.argv[1], pathlib.Path(sys.argv[2])
categorical, binary = [json.loads((folder / f"{name}.json").read_text()) for name in ("xgb_categorical", "xgb_binary")]


def infer(model, request, **dumped):
    """Sends a request as the documentation of MLServer does."""
    answer = requests.post(f"http://{http}/v2/models/{model}/infer", json=request.model_dump(**dumped), timeout=60)
    assert answer.status_code == 200, (model, answer.text)
    return InferenceResponse.model_validate_json(answer.text)


def check(response, expected, what):
    got = NumpyCodec.decode_output(response.outputs[0]).reshape(-1)
    assert response.outputs[0].name == "probability", response
    assert got.shape == (len(expected),) and np.abs(got - np.array(expected)).max() < 1e-6, (what, got, expected)


# A data frame with missing ages, which the codec sends as null.
frame = pd.DataFrame(categorical["inputs"])
assert frame["age"].isna().any()
answers = categorical["expected"]["probability"]
request = PandasCodec.encode_request(frame, use_bytes=False)
assert [one.shape for one in request.inputs] == [[len(frame), 1]] * 4, request
for dumped in ({}, {"exclude_none": True}):
    response = infer("xgb_categorical", request, **dumped)
    check(response, answers, f"a data frame {dumped}")
decoded = PandasCodec.decode_response(response)
assert list(decoded.columns) == ["probability"] and len(decoded) == len(frame), decoded

# Each column by a codec of its own, in another order, and one output by name.
request = InferenceRequest(
    id="ours",
    inputs=[
        NumpyCodec.encode_input("income", frame[["income"]].to_numpy(np.float32)),
        StringCodec.encode_input("color", frame["color"].tolist(), use_bytes=False),
        NumpyCodec.encode_input("age", frame[["age"]].to_numpy()),
        NumpyCodec.encode_input("shop", frame["shop"].to_numpy(np.int32)),
    ],
    outputs=[RequestOutput(name="probability")],
)
response = infer("xgb_categorical", request)
assert response.id == "ours", response
check(response, answers, "columns")

# One matrix.
matrix = np.array(binary["inputs"]["rows"], np.float32)
answers = binary["expected"]["probability"]
check(infer("xgb_binary", InferenceRequest(inputs=[NumpyCodec.encode_input("rows", matrix)])), answers, "a matrix")
# This codec always calls the input `input-1`.
request = NumpyRequestCodec.encode_request(matrix)
request.inputs[0].name = "rows"
check(infer("xgb_binary", request), answers, "a request of one matrix")
print("all as it should be")
