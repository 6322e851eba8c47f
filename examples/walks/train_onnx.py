"""Trains a network of handwritten digits, and writes it as plain ONNX operators with rows and their answers into a folder.

    pip install onnx scikit-learn
    python train_onnx.py FOLDER

The operators are those that an exporter of PyTorch would write: Gemm, Relu, Softmax.
"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)

pixels, digits = load_digits(return_X_y=True)
pixels = (pixels / 16).astype(np.float32)
train_rows, test_rows, train_digits, _ = train_test_split(pixels, digits, random_state=1)
network = MLPClassifier((64, 32), max_iter=300, tol=1e-3, random_state=1).fit(train_rows, train_digits)

nodes, weights, last = [], [], "pixels"
for layer, (matrix, bias) in enumerate(zip(network.coefs_, network.intercepts_)):
    for name, values in (("weight", matrix), ("bias", bias)):
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"{name}_{layer}"))
    nodes.append(helper.make_node("Gemm", [last, f"weight_{layer}", f"bias_{layer}"], [f"sum_{layer}"]))
    is_last = layer == len(network.coefs_) - 1
    last = "probabilities" if is_last else f"hidden_{layer}"
    nodes.append(helper.make_node("Softmax" if is_last else "Relu", [f"sum_{layer}"], [last], **({"axis": 1} if is_last else {})))

graph = helper.make_graph(
    nodes,
    "digits",
    [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 64])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 10])],
    weights,
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
checker.check_model(model)

save(model, folder / "model.onnx")
np.savez(folder / "rows.npz", pixels=test_rows)
np.savez(folder / "expected.npz", probabilities=network.predict_proba(test_rows).astype(np.float32))

for name in ("model.onnx", "rows.npz", "expected.npz"):
    print(folder / name)
