"""Trains two models with scikit-learn, and writes each as ONNX with rows and their answers into a folder.

    pip install scikit-learn skl2onnx pandas
    python train_sklearn.py FOLDER

pipeline: numbers with gaps and a column of texts, through a ColumnTransformer to a LogisticRegression; one input per column.
forest: a RandomForestClassifier of three classes; one input of all columns.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def write(folder, model, onnx, rows, inputs):
    """Writes the model, its rows, and the answers of scikit-learn by the names of the outputs of the ONNX file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    rows.to_csv(folder / "rows.csv", index=False)
    probabilities = model.predict_proba(inputs).astype(np.float32)
    np.savez(folder / "expected.npz", label=model.predict(inputs).astype(np.int64), probabilities=probabilities)
    for name in ("model.onnx", "rows.csv", "expected.npz"):
        print(folder / name)


def pipeline(folder):
    rows, target = load_breast_cancer(return_X_y=True, as_frame=True)
    numbers = ["mean_radius", "mean_smoothness", "mean_concavity"]
    # Values that a 32-bit float holds exactly are the same numbers in the CSV file, to the library and to the server.
    data = rows[[name.replace("_", " ") for name in numbers]].astype(np.float32).set_axis(numbers, axis=1)
    data = data.mask(np.random.RandomState(1).rand(*data.shape) < 0.05)
    data["texture"] = pd.cut(rows["mean texture"], [0, 17, 21, 100], labels=["fine", "medium", "coarse"]).astype(str)
    train_rows, test_rows, train_target, _ = train_test_split(data, target, random_state=1)
    columns = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        ("texts", OneHotEncoder(handle_unknown="ignore"), ["texture"]),
    ])
    model = make_pipeline(columns, LogisticRegression()).fit(train_rows, train_target)
    types = [(name, FloatTensorType([None, 1])) for name in numbers] + [("texture", StringTensorType([None, 1]))]
    onnx = to_onnx(model, initial_types=types, options={"zipmap": False})
    write(folder, model, onnx, test_rows.astype({name: float for name in numbers}), test_rows)


def forest(folder):
    rows, target = load_wine(return_X_y=True, as_frame=True)
    train_rows, test_rows, train_target, _ = train_test_split(rows.astype(np.float32), target, random_state=1)
    model = RandomForestClassifier(n_estimators=30, max_depth=6, random_state=1).fit(train_rows.to_numpy(), train_target)
    onnx = to_onnx(model, train_rows.to_numpy()[:1], options={"zipmap": False})
    write(folder, model, onnx, test_rows.astype(float), test_rows.to_numpy())


pipeline(Path(sys.argv[1]) / "pipeline")
forest(Path(sys.argv[1]) / "forest")
