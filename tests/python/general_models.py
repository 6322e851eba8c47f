"""Writes ONNX models with general tensors. Argument: the folder. Everything is seeded, and ONNX Runtime gives the answers to compare with.

two.onnx     `x1 [-1,8] FP32` and `ids [-1] INT64` to `score [-1] FP32` and `label [-1] INT64`
image.onnx   `image [-1,3,32,32] FP32` to `probabilities [-1,5] FP32` and `features [-1,8] FP32`
kinds.onnx   one input `[-1,4]` of each type of number, and BOOL, to `total [-1] FP32`; some inputs are also outputs
halves.onnx  `x [-1,4] FP16` to `y [-1,3] FP16` and `wide [-1,3] FP32`
exact.onnx   `id [-1] INT64` to `value [-1,1] FP32`: 1 for 9007199254740993, 0 for every other id
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KINDS = {
    "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64, "i8": np.int8, "i16": np.int16, "i32": np.int32,
    "i64": np.int64, "f64": np.float64, "f32": np.float32, "flag": np.bool_,
}  # fmt: skip
ECHOED = ["u8", "i8", "flag", "u16", "i32", "f64"]


def write(path, nodes, inputs, outputs, weights):
    infos = [
        [helper.make_tensor_value_info(name, kind, ["rows", *axes]) for name, kind, axes in each] for each in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "graph", *infos, [numpy_helper.from_array(array, name) for name, array in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(20261130)
    node = helper.make_node

    def weights(*shape):
        return random.normal(scale=0.4, size=shape).astype(np.float32)

    nodes = [
        node("MatMul", ["x1", "w"], ["scores"]),
        node("Gather", ["emb", "ids"], ["of_id"]),
        node("Add", ["scores", "of_id"], ["sums"]),
        node("Sigmoid", ["sums"], ["score"]),
        node("Greater", ["score", "half"], ["above"]),
        node("Cast", ["above"], ["label"], to=TensorProto.INT64),
    ]
    write(
        folder / "two.onnx",
        nodes,
        [("x1", TensorProto.FLOAT, [8]), ("ids", TensorProto.INT64, [])],
        [("score", TensorProto.FLOAT, []), ("label", TensorProto.INT64, [])],
        {"w": weights(8), "emb": weights(10), "half": np.array(0.5, np.float32)},
    )

    nodes = [
        node("Conv", ["image", "w1", "b1"], ["conv"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", ["conv"], ["active"]),
        node("GlobalAveragePool", ["active"], ["pooled"]),
        node("Flatten", ["pooled"], ["features"]),
        node("Gemm", ["features", "w2", "b2"], ["logits"], transB=1),
        node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    write(
        folder / "image.onnx",
        nodes,
        [("image", TensorProto.FLOAT, [3, 32, 32])],
        [("probabilities", TensorProto.FLOAT, [5]), ("features", TensorProto.FLOAT, [8])],
        {"w1": weights(8, 3, 3, 3), "b1": weights(8), "w2": weights(5, 8) * 4, "b2": weights(5)},
    )

    nodes = [node("Cast", [name], [f"{name}_as_float"], to=TensorProto.FLOAT) for name in KINDS]
    nodes.append(node("Sum", [f"{name}_as_float" for name in KINDS], ["sums"]))
    nodes.append(node("ReduceSum", ["sums", "last"], ["total"], keepdims=0))
    nodes.extend(node("Identity", [name], [f"{name}_out"]) for name in ECHOED)
    types = {name: helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for name, kind in KINDS.items()}
    write(
        folder / "kinds.onnx",
        nodes,
        [(name, kind, [4]) for name, kind in types.items()],
        [("total", TensorProto.FLOAT, []), *[(f"{name}_out", types[name], [4]) for name in ECHOED]],
        {"last": np.array([1], np.int64)},
    )

    nodes = [
        node("MatMul", ["x", "w"], ["y"]),
        node("Cast", ["y"], ["wide"], to=TensorProto.FLOAT),
    ]
    write(
        folder / "halves.onnx",
        nodes,
        [("x", TensorProto.FLOAT16, [4])],
        [("y", TensorProto.FLOAT16, [3]), ("wide", TensorProto.FLOAT, [3])],
        {"w": weights(4, 3).astype(np.float16)},
    )

    nodes = [
        node("Equal", ["id", "wanted"], ["is_it"]),
        node("Cast", ["is_it"], ["as_float"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["as_float", "last"], ["value"]),
    ]
    write(
        folder / "exact.onnx",
        nodes,
        [("id", TensorProto.INT64, [])],
        [("value", TensorProto.FLOAT, [1])],
        {"wanted": np.array(9007199254740993, np.int64), "last": np.array([1], np.int64)},
    )


if __name__ == "__main__":
    main(sys.argv[1])
