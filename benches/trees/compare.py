"""Trains two XGBoost models on seeded random data, writes them as JSON, and times other libraries on them.

    python3 -m venv venv
    venv/bin/pip install numpy xgboost-cpu lightgbm onnx onnxmltools onnxruntime
    venv/bin/python benches/trees/compare.py FOLDER

FOLDER receives, per model, `NAME.json` (the XGBoost file), `NAME.rows.f32` (10,000 distinct rows, row-major, little-endian) and
`NAME.sums.f32` (XGBoost's prediction of each). Models that exist are not trained again. `TREES=FOLDER cargo bench --bench trees` times
taper on the same files and compares its sums with XGBoost's.

Each library runs with one thread. A pass scores all 10,000 rows in calls of 1, 8 or 64 rows, so no row repeats within a pass. The table
shows microseconds per row: the median of the passes, which take turns between the libraries. Calls come from Python; the column
`stump, 1 row` shows how much of a call of one row that is: the same call with the smallest model, one tree with two leaves. LightGBM and
lleaves score a LightGBM model of the same size that is trained on the same data; `--lleaves` is an option because lleaves compiles the
larger model for longer than ten minutes, and because it needs `llvmlite<0.45`.
"""

import argparse
import pathlib
import statistics
import sys
import time

import numpy
import xgboost

SHAPES = {
    "trees_100x6": {"trees": 100, "depth": 6, "features": 30, "train": 40_000},
    "trees_500x8": {"trees": 500, "depth": 8, "features": 100, "train": 60_000},
}
ROWS = 10_000
BATCHES = (1, 8, 64)


def data(shape, seed):
    """Returns training rows, their targets, and the rows to score."""
    random = numpy.random.default_rng(seed)
    features = shape["features"]
    rows = random.normal(size=(shape["train"], features)).astype(numpy.float32)
    weights = random.normal(size=features)
    targets = rows @ weights + numpy.sin(3 * rows[:, 0]) * rows[:, 1] + random.normal(size=len(rows))
    return rows, targets, random.normal(size=(ROWS, features)).astype(numpy.float32)


def train(shape, rows, targets, **changes):
    """Trains an XGBoost model of squared error, whose predictions are its sums."""
    options = {"max_depth": shape["depth"], "eta": 0.1, "min_child_weight": 0, "nthread": 2, "seed": 1}
    options.update(objective="reg:squarederror", tree_method="hist")
    rounds = changes.pop("trees", shape["trees"])
    return xgboost.train(options | changes, xgboost.DMatrix(rows, targets), rounds)


def onnx_scorer(booster, features):
    """Returns a function that scores rows with ONNX Runtime."""
    import onnxmltools
    import onnxruntime
    from onnxmltools.convert.common.data_types import FloatTensorType

    inputs = [("rows", FloatTensorType([None, features]))]
    model = onnxmltools.convert_xgboost(booster, initial_types=inputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    output = [session.get_outputs()[0].name]
    return lambda rows: session.run(output, {"rows": rows})[0]


def xgboost_scorer(booster):
    """Returns a function that scores rows with XGBoost."""
    booster.set_param({"nthread": 1})
    return booster.inplace_predict


def lightgbm_file(shape, rows, targets, folder):
    """Returns the file of a LightGBM model of the same size."""
    import lightgbm

    path = folder / f"lightgbm_{shape['trees']}x{shape['depth']}.txt"
    if not path.exists():
        options = {"objective": "regression", "num_leaves": 2 ** shape["depth"], "max_depth": shape["depth"]}
        options.update(min_data_in_leaf=1, num_threads=2, seed=1, verbose=-1)
        lightgbm.train(options, lightgbm.Dataset(rows, targets), shape["trees"]).save_model(path)
    return path


def lightgbm_scorer(path):
    """Returns a function that scores rows with LightGBM."""
    import lightgbm

    booster = lightgbm.Booster(model_file=path)
    return lambda rows: booster.predict(rows, num_threads=1)


def lleaves_scorer(path):
    """Returns a function that scores rows with lleaves."""
    import lleaves

    model = lleaves.Model(model_file=path)
    model.compile(cache=path.with_suffix(".o"))
    return lambda rows: model.predict(rows, n_jobs=1)


def scorers(shape, booster, rows, targets, arguments):
    """Returns a function per library that is installed."""
    makers = {
        "ONNX Runtime": lambda: onnx_scorer(booster, shape["features"]),
        "XGBoost": lambda: xgboost_scorer(booster),
        "LightGBM": lambda: lightgbm_scorer(lightgbm_file(shape, rows, targets, arguments.folder)),
    }
    if arguments.lleaves:
        makers["lleaves"] = lambda: lleaves_scorer(lightgbm_file(shape, rows, targets, arguments.folder))
    found = {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def seconds(score, rows, batch):
    """Returns the seconds of one pass over all rows."""
    blocks = [rows[at : at + batch] for at in range(0, len(rows), batch)]
    start = time.perf_counter()
    for block in blocks:
        score(block)
    return time.perf_counter() - start


def measure(name, shape, seed, arguments):
    """Writes the files of a model and prints its rows of the table."""
    rows, targets, scored = data(shape, seed)
    path = arguments.folder / f"{name}.json"
    if not path.exists():
        train(shape, rows, targets).save_model(path)
    booster = xgboost.Booster(model_file=path)
    sums = booster.inplace_predict(scored).astype(numpy.float32)
    scored.tofile(arguments.folder / f"{name}.rows.f32")
    sums.tofile(arguments.folder / f"{name}.sums.f32")

    found = scorers(shape, booster, rows, targets, arguments)
    if "ONNX Runtime" in found:
        numpy.testing.assert_allclose(found["ONNX Runtime"](scored).ravel(), sums, rtol=1e-3, atol=1e-4)
    stump = train(shape, rows[:100], targets[:100], trees=1, max_depth=1)
    stumps = {"XGBoost": xgboost_scorer(stump)}
    if "ONNX Runtime" in found:
        stumps["ONNX Runtime"] = onnx_scorer(stump, shape["features"])
    times = {}
    for _ in range(arguments.rounds):
        for batch in BATCHES:
            for library, score in found.items():
                times.setdefault((library, batch), []).append(seconds(score, scored, batch))
        for library, score in stumps.items():
            times.setdefault((library, "stump"), []).append(seconds(score, scored, 1))
    for library in found:
        cells = [times.get((library, column)) for column in (*BATCHES, "stump")]
        shown = [f"{statistics.median(cell) / ROWS * 1e6:.2f}" if cell else "" for cell in cells]
        print(f"| {name} | {library} | " + " | ".join(shown) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where to write the models and the rows")
    parser.add_argument("--rounds", type=int, default=5, help="passes per library and batch size")
    parser.add_argument("--lleaves", action="store_true", help="also compile and time lleaves")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    columns = ["model", "library", *(f"{batch} rows" for batch in BATCHES), "stump, 1 row"]
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for seed, (name, shape) in enumerate(SHAPES.items(), start=1):
        measure(name, shape, seed, arguments)


if __name__ == "__main__":
    main()
