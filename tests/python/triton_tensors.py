"""The published tritonclient with general tensors, over gRPC and over HTTP: every program of this file could also call Triton.

Arguments: HOST:PORT of the data port and of the HTTP port, the folder that general_models.py filled, and the case of the fixture
`skl_columns`. The gateway has the models of the folder by their names, and `columns`, of the fixture.
"""

import json
import pathlib
import sys

import ml_dtypes
import numpy as np
import onnxruntime
import tritonclient.grpc
import tritonclient.http
from general_models import ECHOED, KINDS
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

random = np.random.default_rng(7)


class Over:
    """One protocol, with the calls that differ between the two clients."""

    def __init__(self, module, address):
        self.module, self.client = module, module.InferenceServerClient(address)
        self.is_grpc = module is tritonclient.grpc

    def tensor(self, name, array):
        made = self.module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        made.set_data_from_numpy(array)
        return made

    def infer(self, model, arrays, outputs=None, **options):
        inputs = [self.tensor(name, array) for name, array in arrays.items()]
        wanted = None if outputs is None else [self.module.InferRequestedOutput(name) for name in outputs]
        return self.client.infer(model, inputs, outputs=wanted, **options)

    def names(self, result):
        response = result.get_response()
        return [one.name for one in response.outputs] if self.is_grpc else [one["name"] for one in response["outputs"]]

    def metadata(self, model):
        if self.is_grpc:
            metadata = self.client.get_model_metadata(model, as_json=True)
        else:
            metadata = self.client.get_model_metadata(model)
        return {
            key: [(one["name"], one["datatype"], [int(axis) for axis in one["shape"]]) for one in metadata[key]]
            for key in ("inputs", "outputs")
        }

    def config(self, model):
        config = self.client.get_model_config(model, as_json=True)["config"] if self.is_grpc else self.client.get_model_config(model)
        return {
            "max_batch_size": config["max_batch_size"],
            **{
                key: [(one["name"], one["data_type"], [int(axis) for axis in one.get("dims", [])]) for one in config[key]]
                for key in ("input", "output")
            },
        }

    def refused(self, parts, call):
        try:
            call()
        except InferenceServerException as error:
            status = str(error.status())
            assert status in ("StatusCode.INVALID_ARGUMENT", "400", "None"), error
            assert all(part in error.message() for part in parts), error
            return
        raise AssertionError(f"{parts}: not refused")


def expected(folder, model, arrays):
    """Returns the answers of ONNX Runtime by name."""
    session = onnxruntime.InferenceSession(str(folder / f"{model}.onnx"), providers=["CPUExecutionProvider"])
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, arrays)))


def close(result, answers, tolerance=1e-5):
    for name, answer in answers.items():
        got = result.as_numpy(name)
        assert got.dtype == answer.dtype and got.shape == answer.shape, (name, got, answer)
        if np.issubdtype(answer.dtype, np.floating):
            scale = max(1.0, float(np.abs(answer).max()))
            assert np.abs(got.astype(np.float64) - answer).max() <= tolerance * scale, (name, got, answer)
        else:
            assert np.array_equal(got, answer), (name, got, answer)


def two(over, folder):
    for rows in (1, 5, 64):
        arrays = {
            "x1": random.normal(size=(rows, 8)).astype(np.float32),
            "ids": random.integers(0, 10, rows),
        }
        answers = expected(folder, "two", arrays)
        result = over.infer("two", arrays)
        assert over.names(result) == ["score", "label"], over.names(result)
        close(result, answers)
        # Another order, one of the outputs, and inputs in another order.
        result = over.infer("two", arrays, ["label", "score"])
        assert over.names(result) == ["label", "score"], over.names(result)
        close(result, answers)
        result = over.infer("two", dict(reversed(arrays.items())), ["label"])
        assert over.names(result) == ["label"], over.names(result)
        close(result, {"label": answers["label"]})
    metadata = over.metadata("two")
    assert metadata["inputs"] == [("x1", "FP32", [-1, 8]), ("ids", "INT64", [-1])], metadata
    assert metadata["outputs"] == [("score", "FP32", [-1]), ("label", "INT64", [-1])], metadata
    config = over.config("two")
    assert config["max_batch_size"] > 0, config
    assert config["input"] == [("x1", "TYPE_FP32", [8]), ("ids", "TYPE_INT64", [])], config
    assert config["output"] == [("score", "TYPE_FP32", []), ("label", "TYPE_INT64", [])], config
    # Values of other types that are equal, and columns for vectors.
    arrays = {"x1": np.array([[0.5, -1, 2, 0.25, 0, 3, -2, 1]] * 2, np.float32), "ids": np.array([3, 9])}
    answers = expected(folder, "two", arrays)
    for changed in (
        {"x1": arrays["x1"].astype(np.float64)},
        {"x1": arrays["x1"].astype(np.float16)},
        {"x1": arrays["x1"].astype(ml_dtypes.bfloat16)},
        {"ids": arrays["ids"].astype(np.uint8)},
        {"ids": arrays["ids"].astype(np.float32)},
        {"ids": arrays["ids"].reshape(2, 1)},
    ):
        close(over.infer("two", {**arrays, **changed}), answers)

    def call(**changed):
        return lambda: over.infer("two", {**arrays, **changed})

    over.refused(["x1"], call(x1=np.array([["text"] * 8] * 2, np.object_)))
    over.refused(["x1", "8"], call(x1=np.zeros((2, 7), np.float32)))
    over.refused(["x1"], call(x1=np.zeros((2, 2, 4), np.float32)))
    over.refused(["ids", "2.5"], call(ids=np.array([1, 2.5], np.float32)))
    over.refused(["ids"], call(ids=np.array([1, 2, 3])))
    over.refused(["x3"], call(x3=arrays["ids"]))
    over.refused(["ids"], lambda: over.infer("two", {"x1": arrays["x1"]}))
    over.refused(["nothing"], lambda: over.infer("two", arrays, ["score", "nothing"]))
    # An index that the graph does not have fails, and the next request is answered.
    try:
        call(ids=np.array([3, 10]))()
    except InferenceServerException:
        close(over.infer("two", arrays), answers)
        return
    raise AssertionError("an index outside of the table has an answer")


def image(over, folder):
    for rows in (1, 5):
        arrays = {"image": random.normal(size=(rows, 3, 32, 32)).astype(np.float32)}
        answers = expected(folder, "image", arrays)
        close(over.infer("image", arrays), answers)
        inputs = [over.tensor("image", arrays["image"])]
        wanted = [over.module.InferRequestedOutput("probabilities", class_count=3), over.module.InferRequestedOutput("features")]
        result = over.client.infer("image", inputs, outputs=wanted)
        close(result, {"features": answers["features"]})
        ranked = result.as_numpy("probabilities")
        assert ranked.shape == (rows, 3), ranked
        for row, scores in zip(ranked, answers["probabilities"]):
            best = np.argsort(-scores)[:3]
            parts = [text.decode().split(":") for text in row]
            assert [int(part[1]) for part in parts] == best.tolist(), (row, scores)
            assert np.allclose([float(part[0]) for part in parts], scores[best], atol=1e-5), (row, scores)
    assert over.metadata("image")["inputs"] == [("image", "FP32", [-1, 3, 32, 32])]
    config = over.config("image")
    assert config["input"] == [("image", "TYPE_FP32", [3, 32, 32])], config
    over.refused(["image", "32"], lambda: over.infer("image", {"image": np.zeros((1, 3, 32, 31), np.float32)}))
    over.refused(["image"], lambda: over.infer("image", {"image": np.zeros((3, 32, 32), np.float32)}))


def kinds(over, folder):
    rows = 3
    arrays = {}
    for name, kind in KINDS.items():
        if kind is np.bool_:
            arrays[name] = random.integers(0, 2, (rows, 4)).astype(np.bool_)
        elif np.issubdtype(kind, np.floating):
            arrays[name] = random.normal(size=(rows, 4)).astype(kind)
        else:
            limits = np.iinfo(kind)
            arrays[name] = random.integers(max(limits.min, -100), min(limits.max, 200), (rows, 4), dtype=kind)
    arrays["u8"][0] = [0, 1, 254, 255]
    arrays["i8"][0] = [-128, -1, 0, 127]
    result = over.infer("kinds", arrays)
    close(result, expected(folder, "kinds", arrays))
    for name in ECHOED:
        assert np.array_equal(result.as_numpy(f"{name}_out"), arrays[name]), name
    metadata = over.metadata("kinds")
    assert [kind for _, kind, _ in metadata["inputs"]] == [np_to_triton_dtype(np.dtype(kind)) for kind in KINDS.values()], metadata
    over.refused(["u8", "256"], lambda: over.infer("kinds", {**arrays, "u8": np.full((rows, 4), 256)}))
    over.refused(["i8", "-129"], lambda: over.infer("kinds", {**arrays, "i8": np.full((rows, 4), -129)}))
    over.refused(["flag"], lambda: over.infer("kinds", {**arrays, "flag": np.full((rows, 4), b"yes", np.object_)}))


def halves(over, folder):
    arrays = {"x": random.normal(size=(6, 4)).astype(np.float16)}
    answers = expected(folder, "halves", arrays)
    close(over.infer("halves", arrays), answers, tolerance=2e-3)
    # FP32 is rounded; what FP16 has no number for is refused.
    close(over.infer("halves", {"x": arrays["x"].astype(np.float32)}), answers, tolerance=2e-3)
    over.refused(["x", "100000"], lambda: over.infer("halves", {"x": np.full((1, 4), 1e5, np.float32)}))


def columns(over, case):
    """Columns of texts as arrays of objects, as MLServer's and Triton's users send them."""
    kinds = {"color": np.object_, "shop": np.int64, "age": np.float32, "income": np.float32}
    given = {name: np.array(values, np.float64 if name == "age" else None) for name, values in case["inputs"].items()}
    arrays = {name: np.array(values.tolist(), kinds[name]) for name, values in given.items()}
    assert np.isnan(arrays["age"]).any()
    answers = np.array(case["expected"]["probability"])
    for changed in (
        arrays,
        {name: array.reshape(-1) for name, array in arrays.items()},
        {**arrays, "color": np.array([[text.encode()] for text in arrays["color"][:, 0]], np.object_)},
    ):
        result = over.infer("columns", changed)
        got = result.as_numpy("probabilities")
        wanted = answers if answers.ndim == 2 else np.stack([1 - answers, answers], axis=1)
        assert got.shape == wanted.shape and np.abs(got - wanted).max() < 1e-5, (got, wanted)
    over.refused(["color"], lambda: over.infer("columns", {**arrays, "color": np.zeros((40, 1), np.int64)}))


def exact(over, _folder):
    ids = np.array([9007199254740992, 9007199254740993, 9007199254740994, -(2**63), 2**63 - 1])
    assert over.infer("exact", {"id": ids}).as_numpy("value").tolist() == [[0.0], [1.0], [0.0], [0.0], [0.0]]


def main():
    data, rest, folder, case = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), json.loads(pathlib.Path(sys.argv[4]).read_text())
    wrong = []
    for module, address in ((tritonclient.grpc, data), (tritonclient.http, rest)):
        over = Over(module, address)
        for check, argument in ((two, folder), (image, folder), (kinds, folder), (halves, folder), (columns, case), (exact, folder)):
            try:
                check(over, argument)
            except Exception as error:  # noqa: BLE001: all of them are shown at once
                line = error.__traceback__.tb_next.tb_lineno
                wrong.append(f"{module.__name__} {check.__name__}, line {line}: {type(error).__name__}: {error}")
    assert not wrong, "\n" + "\n".join(wrong)
    print("all as it should be")


if __name__ == "__main__":
    main()
