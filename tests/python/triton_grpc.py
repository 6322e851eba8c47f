"""The published tritonclient.grpc against a running gateway.

Arguments: address of the data port, of the admin port, and a JSON document with the flights to ask for, the bits of the scores
that the native protocol gives for them by each version, and those of one row to the tiny model `m`.
"""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

KINDS = {"INT32": np.int32, "FP64": np.float64, "BYTES": np.object_, "INT64": np.int64, "FP32": np.float32}


def tensor(name, datatype, values):
    array = np.array(values, dtype=KINDS[datatype])
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def bits(result, output):
    scores = result.as_numpy(output)
    assert scores.dtype == np.float32 and scores.shape[1] == 1, scores
    return scores.reshape(-1).view(np.uint32).tolist()


def refused(status, text, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except InferenceServerException as error:
        assert error.status() == "StatusCode." + status, error
        assert text in error.message(), error
        return
    raise AssertionError(f"{text}: not refused")


def tiny_inputs():
    return [
        tensor("x", "FP64", [1.0]),
        tensor("n", "INT64", [3]),
        tensor("color", "BYTES", ["green"]),
        tensor("pair", "FP32", [[0.5, -0.5]]),
    ]


def about(client):
    assert client.is_server_live() and client.is_server_ready()
    server = client.get_server_metadata(as_json=True)
    assert server["name"] == "taper" and "statistics" in server["extensions"], server
    assert client.is_model_ready("m") and client.is_model_ready("m", "1")
    assert not client.is_model_ready("m", "9") and not client.is_model_ready("nobody")
    metadata = client.get_model_metadata("m", as_json=True)
    assert metadata["versions"] == ["1", "2"], metadata
    assert metadata["inputs"][3] == {"name": "pair", "datatype": "FP32", "shape": ["-1", "2"]}, metadata
    config = client.get_model_config("m").config
    assert config.max_batch_size == 64 and config.backend == "taper", config
    assert not config.model_transaction_policy.decoupled
    index = {(one.name, one.version): one.state for one in client.get_model_repository_index().models}
    assert index == {
        ("flight-delay", "1"): "READY",
        ("flight-delay", "2"): "READY",
        ("flight-delay", "3"): "READY",
        ("m", "1"): "READY",
        ("m", "2"): "READY",
    }, index


def answers(client, expected):
    metadata = client.get_model_metadata("flight-delay")
    inputs = [tensor(one.name, one.datatype, expected["flights"][one.name]) for one in metadata.inputs]
    for version, want in enumerate(expected["answers"], start=1):
        result = client.infer("flight-delay", inputs, model_version=str(version), request_id="ours")
        response = result.get_response()
        assert bits(result, "probability") == want, version
        assert response.model_version == str(version) and response.id == "ours", response
    outputs = [triton.InferRequestedOutput("value")]
    result = client.infer(
        "m",
        tiny_inputs(),
        outputs=outputs,
        parameters={"routing_key": "ann", "response_id": "py-1"},
        headers={"taper-routing-key": "somebody else"},
        timeout=60_000_000,
        priority=1,
    )
    assert bits(result, "value") == expected["tiny"]
    parameters = result.get_response().parameters
    assert parameters["role"].string_param == "primary", parameters
    assert parameters["response_id"].string_param == "py-1", parameters
    classes = [triton.InferRequestedOutput("probability", class_count=2)]
    result = client.infer("flight-delay", inputs, outputs=classes)
    ranked = result.as_numpy("probability")
    assert ranked.shape == (16, 2), ranked
    for row in ranked:
        scores = [float(text.split(b":")[0]) for text in row]
        assert scores == sorted(scores, reverse=True) and abs(sum(scores) - 1) < 1e-6, row
        assert {text.split(b":", 1)[1] for text in row} == {b"0:on time", b"1:late"}, row
    return inputs


def at_once(client, inputs, expected):
    done = queue.Queue()
    calls = [
        client.async_infer("flight-delay", inputs, lambda result, error: done.put((result, error)), model_version="2")
        for _ in range(8)
    ]
    for _ in calls:
        result, error = done.get(timeout=60)
        assert error is None, error
        assert bits(result, "probability") == expected["answers"][1]


def streamed(client, expected):
    done = queue.Queue()
    client.start_stream(lambda result, error: done.put((result, error)))
    for at in range(9):
        version = "9" if at % 3 == 2 else "2"
        client.async_stream_infer(
            "m", tiny_inputs(), model_version=version, request_id=str(at), enable_empty_final_response=True
        )
    for at in range(9):
        result, error = done.get(timeout=60)
        if at % 3 == 2:
            assert "has no version 9" in error.message(), error
            continue
        assert error is None, error
        response = result.get_response()
        assert response.id == str(at) and bits(result, "value") == expected["tiny"], response
        assert response.parameters["triton_final_response"].bool_param, response
    client.stop_stream()


def refusals(client):
    refused("NOT_FOUND", "no model named `nobody`", client.infer, "nobody", tiny_inputs())
    refused("NOT_FOUND", "has no version 9", client.get_model_metadata, "m", "9")
    refused("INVALID_ARGUMENT", "inputs[x].datatype", client.infer, "m", [tensor("x", "BYTES", ["a"])] + tiny_inputs()[1:])
    wanted = [triton.InferRequestedOutput("nothing")]
    refused("INVALID_ARGUMENT", "outputs[0].name: got `nothing`", client.infer, "m", tiny_inputs(), outputs=wanted)
    refused("UNAVAILABLE", "on the admin port", client.load_model, "m")
    refused("UNAVAILABLE", "on the admin port", client.unload_model, "m")


def counted(client):
    before = client.get_inference_statistics("m", "2").model_stats[0]
    for _ in range(3):
        client.infer("m", tiny_inputs(), model_version="2")
    after = client.get_inference_statistics("m", "2").model_stats[0]
    assert after.inference_count == before.inference_count + 3, after
    assert after.execution_count == before.execution_count + 3, after
    assert after.inference_stats.success.count == before.inference_stats.success.count + 3, after
    assert after.inference_stats.success.ns > before.inference_stats.success.ns, after
    everything = client.get_inference_statistics().model_stats
    assert all(int(one.version) > 0 for one in everything) and len(everything) == 5, everything


def operated(services, operators):
    assert operators.is_server_live()
    operators.unload_model("m")
    assert not services.is_model_ready("m", "1") and services.is_model_ready("m", "2")
    operators.load_model("m")
    assert services.is_model_ready("m", "1")
    assert bits(services.infer("m", tiny_inputs(), model_version="1"), "value") == [np.float32(1).view(np.uint32)]
    refused("INVALID_ARGUMENT", "parameters[config]", operators.load_model, "m", config="{}")


def main():
    data, admin, expected = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    services, operators = triton.InferenceServerClient(data), triton.InferenceServerClient(admin)
    about(services)
    inputs = answers(services, expected)
    at_once(services, inputs, expected)
    streamed(services, expected)
    refusals(services)
    counted(services)
    operated(services, operators)
    refused("UNIMPLEMENTED", "on the data port", operators.infer, "m", tiny_inputs())
    print("all as it should be")


main()
