"""The published tritonclient.http against REST: every call of its users. Argument: HOST:PORT of a gateway with the models `m`, tiny, of
versions 1 and 2 at 50/50, and `breast_cancer_mlp`, whose answers depend on the input."""

import json
import pathlib
import sys

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException


def tensors(binary):
    arrays = {
        "x": np.array([1.0, 2.0], dtype=np.float64),
        "n": np.array([3, 2**62 + 1], dtype=np.int64),
        "color": np.array(["green", "red"], dtype=np.object_),
        "pair": np.array([[0.5, -0.5], [1e-30, 3.4e38]], dtype=np.float32),
    }
    kinds = {"x": "FP64", "n": "INT64", "color": "BYTES", "pair": "FP32"}
    inputs = []
    for name, array in arrays.items():
        tensor = http.InferInput(name, list(array.shape), kinds[name])
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    return inputs


def features(binary, rows):
    tensor = http.InferInput("features", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    return [tensor]


def refused(status, text, call):
    try:
        call()
    except InferenceServerException as error:
        assert text in error.message(), error
        assert error.status() is None or str(status) in error.status(), error
        return
    raise AssertionError(f"refused with {text}")


def main(url):
    client = http.InferenceServerClient(url=url, concurrency=4)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert client.is_model_ready("m", "2")
    assert not client.is_model_ready("nobody")

    server = client.get_server_metadata()
    assert server["name"] == "taper" and "binary_tensor_data" in server["extensions"], server
    metadata = client.get_model_metadata("m")
    assert metadata["versions"] == ["1", "2"], metadata
    kinds = {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]}
    assert kinds == {"x": "FP64", "n": "INT64", "color": "BYTES", "pair": "FP32"}, metadata
    config = client.get_model_config("m", "2")
    assert config["name"] == "m" and config["max_batch_size"] == 64, config

    for binary in (True, False):
        for wanted in (None, [http.InferRequestedOutput("value", binary_data=binary)]):
            result = client.infer("m", tensors(binary), model_version="2", outputs=wanted, request_id="7")
            answer = result.get_response()
            assert answer["id"] == "7" and answer["model_version"] == "2", answer
            assert answer["parameters"]["role"] == "primary", answer
            assert result.as_numpy("value").tolist() == [[2.0], [2.0]], answer

    # Numbers that need all their digits, in every encoding.
    network = pathlib.Path(__file__).parent.parent / "fixtures/dense/breast_cancer_mlp.json"
    rows = np.array(json.loads(network.read_text())["rows"], dtype=np.float32)
    answers = []
    for binary_in in (True, False):
        for binary_out in (True, False):
            output = [http.InferRequestedOutput("probability", binary_data=binary_out)]
            result = client.infer("breast_cancer_mlp", features(binary_in, rows), outputs=output)
            answers.append(result.as_numpy("probability"))
    assert len(set(answers[0].flatten().tolist())) > 8, answers[0]
    for other in answers[1:]:
        assert other.dtype == np.float32 and other.tobytes() == answers[0].tobytes(), answers

    ranked = [http.InferRequestedOutput("probability", class_count=2)]
    texts = client.infer("breast_cancer_mlp", features(True, rows), outputs=ranked).as_numpy("probability")
    assert texts.shape == (len(rows), 2) and texts[0][0].count(b":") == 2, texts

    asked = [client.async_infer("m", tensors(True), model_version="1") for _ in range(8)]
    for one in asked:
        assert one.get_result().as_numpy("value").tolist() == [[1.0], [1.0]]

    keyed = {
        client.infer("m", tensors(True), parameters={"routing_key": "k"}).get_response()["model_version"]
        for _ in range(8)
    }
    assert len(keyed) == 1, keyed

    stats = client.get_inference_statistics("m", "1")["model_stats"]
    assert [stat["version"] for stat in stats] == ["1"], stats
    assert stats[0]["inference_count"] >= 16 and stats[0]["inference_stats"]["success"]["ns"] > 0, stats
    assert len(client.get_inference_statistics()["model_stats"]) == 3

    index = client.get_model_repository_index()
    assert {"name": "m", "version": "2", "state": "READY", "reason": ""} in index, index

    refused(403, "admin port", lambda: client.load_model("m"))
    refused(403, "taper versions load", lambda: client.unload_model("m"))
    refused(404, "nobody", lambda: client.infer("nobody", tensors(True)))
    refused(400, "outputs[0].name", lambda: client.infer("m", tensors(True), outputs=[http.InferRequestedOutput("no")]))
    refused(400, "inputs[x]", lambda: client.infer("m", tensors(True)[:0] + tensors(True)[1:]))
    for answer in (None, "gzip"):
        result = client.infer(
            "m", tensors(True), model_version="2", request_compression_algorithm="gzip", response_compression_algorithm=answer
        )
        assert result.as_numpy("value").tolist() == [[2.0], [2.0]], answer
    refused(415, "compressed", lambda: client.infer("m", tensors(True), request_compression_algorithm="deflate"))
    client.close()
    print("every call went well")


main(sys.argv[1])
