"""What users of TensorFlow Serving and KServe send with `requests`. Arguments: HOST:PORT of a gateway with the models `one` (a matrix in,
a probability out) and `two` (two inputs, two outputs), and the folder of the cases with rows and answers."""

import json
import pathlib
import sys

import numpy as np
import requests

BASE = f"http://{sys.argv[1]}/v1/models"


def case(name):
    content = json.loads((pathlib.Path(sys.argv[2]) / f"{name}.json").read_text())
    return content["inputs"], content["expected"]


def predict(target, body):
    answer = requests.post(f"{BASE}/{target}:predict", data=json.dumps(body), timeout=60)
    answer.raise_for_status()
    return answer.json()


def main():
    inputs, expected = case("xgb_binary")
    rows = np.array(inputs["rows"], dtype=np.float32)
    # KServe: a list of rows for a model of one input. `json` writes NaN as a word.
    assert requests.get(f"{BASE}/one", timeout=60).json()["ready"] is True
    assert requests.get(BASE, timeout=60).json() == {"models": ["one", "two"]}
    predictions = predict("one", {"instances": rows.tolist()})["predictions"]
    np.testing.assert_allclose(np.array(predictions).ravel(), expected["probability"], atol=1e-6)
    rows[0, 0] = np.nan
    assert "NaN" in json.dumps(rows[0].tolist())
    assert len(predict("one", {"instances": rows.tolist()})["predictions"]) == len(rows)

    # TensorFlow Serving: the state of the model, its signature, and both forms of requests.
    states = requests.get(f"{BASE}/two", timeout=60).json()["model_version_status"]
    assert [state["state"] for state in states] == ["AVAILABLE"], states
    metadata = requests.get(f"{BASE}/two/metadata", timeout=60).json()
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: info["dtype"] for name, info in signature["inputs"].items()} == {"ids": "DT_INT64", "x": "DT_FLOAT"}
    assert [int(dim["size"]) for dim in signature["inputs"]["x"]["tensor_shape"]["dim"]] == [-1, 4]
    inputs, expected = case("torch_two_ts")
    instances = [{"ids": ids, "x": x} for ids, x in zip(inputs["ids"], inputs["x"])]
    predictions = predict("two", {"signature_name": "serving_default", "instances": instances})["predictions"]
    assert [one["kind"] for one in predictions] == expected["kind"]
    np.testing.assert_allclose([one["score"] for one in predictions], expected["score"], atol=1e-5)
    outputs = predict("two/labels/latest", {"inputs": inputs})["outputs"]
    assert outputs["kind"] == expected["kind"]
    np.testing.assert_allclose(outputs["score"], expected["score"], atol=1e-5)

    answer = requests.post(f"{BASE}/nobody:predict", json={"instances": [1]}, timeout=60)
    assert answer.status_code == 404 and "nobody" in answer.json()["error"], answer.text
    print("every call went well")


main()
