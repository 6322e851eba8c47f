"""Sends rows to a running gateway, as existing clients do, and compares the answers with those of the library.

    pip install 'tritonclient[grpc]'
    python client.py MODEL FOLDER

The gateway listens on 127.0.0.1:8001 and 127.0.0.1:8000, or where TAPER_DATA_ADDR and TAPER_HTTP_ADDR say. FOLDER has what a
training script of this folder writes: rows.csv or rows.npz, expected.csv or expected.npz. The first row is sent with curl as one
named row, and all rows with tritonclient as tensors. The exit status is 1 if an answer differs.
"""

import argparse
import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import triton_to_np_dtype

# Trees and probabilities agree more closely than this, and other values relative to the largest one.
TOLERANCE = 1e-5


def read(folder, name):
    """Reads arrays by name from NAME.npz, or columns of texts from NAME.csv."""
    archive = folder / f"{name}.npz"
    if archive.exists():
        return dict(np.load(archive))
    with open(folder / f"{name}.csv", newline="") as file:
        header, *rows = csv.reader(file)
    return {column: np.array(values, dtype=object) for column, values in zip(header, zip(*rows))}


def typed(values, datatype):
    """Returns texts of a CSV file as values of an input; an empty cell is NaN."""
    if values.dtype != object or datatype == "BYTES":
        return values
    return np.array([float(text) if text else math.nan for text in values]).astype(triton_to_np_dtype(datatype))


def tensors(metadata, rows):
    """Returns an array for each input: the columns with its name, or all columns if it is the only input."""
    found = {}
    for about in metadata.inputs:
        if about.name in rows:
            values = typed(rows[about.name], about.datatype)
        else:
            values = np.stack([typed(column, about.datatype) for column in rows.values()], axis=1)
        # [rows] for an input [-1, 1].
        shape = [values.shape[0], 1] if list(about.shape) == [-1, 1] else values.shape
        found[about.name] = (about.datatype, values.reshape(shape))
    return found


def by_triton(client, model, inputs, wanted):
    """Returns the outputs named in `wanted`, for all rows in one request."""
    sent = []
    for name, (datatype, values) in inputs.items():
        sent.append(triton.InferInput(name, list(values.shape), datatype))
        sent[-1].set_data_from_numpy(values)
    answer = client.infer(model, sent, outputs=[triton.InferRequestedOutput(name) for name in wanted])
    return {name: answer.as_numpy(name) for name in wanted}


def without_nan(value):
    """Returns a value, or lists of values, as JSON has them: NaN is null."""
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def by_curl(address, model, inputs, wanted):
    """Returns the outputs named in `wanted` for the first row."""
    row = {name: without_nan(values[:1].tolist()[0]) for name, (_, values) in inputs.items()}
    body = json.dumps({"rows": [row]})
    url = f"http://{address}/v2/models/{model}/predict"
    ran = subprocess.run(["curl", "--silent", "--show-error", url, "--data", "@-"], input=body, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"curl: {ran.stderr}")
    answer = json.loads(ran.stdout)
    if "error" in answer:
        sys.exit(f"curl: {answer['error']}")
    return {name: np.array([answer["predictions"][0]["outputs"][name]]) for name in wanted}


def difference(answers, expected):
    """Returns the largest difference: absolute up to 1, relative to the largest value above."""
    largest = 0.0
    for name, wanted in expected.items():
        got = np.asarray(answers[name], dtype=np.float64)
        wanted = np.asarray(wanted, dtype=np.float64)[: len(got)].reshape(got.shape)
        found = float(np.max(np.abs(got - wanted)) / max(1.0, np.max(np.abs(wanted))))
        # NaN compares as neither larger nor smaller.
        largest = max(largest, math.inf if math.isnan(found) else found)
    return largest


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    rows, expected = read(given.folder, "rows"), read(given.folder, "expected")
    with triton.InferenceServerClient(os.environ.get("TAPER_DATA_ADDR", "127.0.0.1:8001")) as client:
        metadata = client.get_model_metadata(given.model)
        inputs = tensors(metadata, rows)
        ways = {
            "curl": by_curl(os.environ.get("TAPER_HTTP_ADDR", "127.0.0.1:8000"), given.model, inputs, expected),
            "tritonclient": by_triton(client, given.model, inputs, expected),
        }
    for way, answers in ways.items():
        count, largest = len(next(iter(answers.values()))), difference(answers, expected)
        agrees = "as expected" if largest <= TOLERANCE else "NOT as expected"
        plural = "row" if count == 1 else "rows"
        print(f"{given.model}: {count} {plural} by {way} answered {agrees}, largest difference {largest:.1e}")
        if largest > TOLERANCE:
            sys.exit(1)


main()
