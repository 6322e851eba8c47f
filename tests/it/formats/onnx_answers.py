"""Writes models of one operator each, and small graphs, with the answers of ONNX Runtime.

Usage: onnx_answers.py FOLDER [EVERY]. Needs numpy, onnx and onnxruntime. With EVERY, only one of so many models of one operator is
written. Writes FOLDER/NUMBER.onnx for each case, and FOLDER/answers.json: a list of objects with `name`, `file`, `tolerance` (relative to
the largest value), `inputs` and `outputs`, each of which is a list of objects with `name`, `datatype` (as in the Open Inference
Protocol), `shape` and `data`. Numbers that JSON does not have are strings. The same every time.
"""

import json
import math
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

NEWEST = 25
rng = np.random.default_rng(20261130)
cases = []

FLOATS = ["float32", "float64"]
INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "object": "BYTES",
    **{kind: kind.upper() for kind in INTS},
}


def numbers(shape, kind="float32", low=-3.0, high=3.0):
    """Returns random numbers of a type; integers are in a wider range."""
    if kind == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if kind in INTS:
        info = np.iinfo(kind)
        low, high = (max(info.min, -20), min(info.max, 21)) if (low, high) == (-3.0, 3.0) else (int(low), int(high))
        return rng.integers(low, high, shape).astype(kind)
    return rng.uniform(low, high, shape).astype(kind)


def nonzero(shape, kind="float32"):
    """Returns random numbers that are not zero."""
    x = numbers(shape, kind)
    x[x == 0] = 3
    return x


def versions(op, first=7):
    """Returns versions of the domain from which on an operator differs, and the last one that is read."""
    history = [s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.name == op and s.domain == ""]
    since = min(history)
    found = {max(v, first) for v in history if v <= NEWEST} | {NEWEST}
    return sorted(v for v in found if v >= since)


def version_of(op, opset):
    """Returns since when an operator is as it is in a version of the domain."""
    return onnx.defs.get_schema(op, opset, "").since_version


def case(op, inputs, opset, constants=(), outputs=1, tolerance=1e-5, fixed=False, name="", **attributes):
    """Adds a model of one node. `inputs` are arrays; None is an input that is left out. Those at `constants` are initializers."""
    names = ["" if x is None else f"x{at}" for at, x in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{at}" for at in range(outputs)], **attributes)
    given = {names[at]: x for at, x in enumerate(inputs) if x is not None and at not in constants}
    weights = {names[at]: x for at, x in enumerate(inputs) if x is not None and at in constants}
    label = f"{op} {opset} {name} " + " ".join(f"{k}={v}" for k, v in attributes.items())
    graph(label, [node], given, weights, [f"y{at}" for at in range(outputs)], opset, tolerance, fixed)


def tensor(name, array):
    if array.dtype == object:
        return helper.make_tensor(name, TensorProto.STRING, array.shape, [s.encode() for s in array.flatten()])
    return numpy_helper.from_array(array, name)


def graph(label, nodes, inputs, weights, outputs, opset, tolerance=1e-5, fixed=False):
    """Adds a model."""
    infos = []
    for name, x in inputs.items():
        kind = TensorProto.STRING if x.dtype == object else helper.np_dtype_to_tensor_dtype(x.dtype)
        shape = list(x.shape)
        if not fixed and shape:
            shape[0] = "rows"
        infos.append(helper.make_tensor_value_info(name, kind, shape))
    made = helper.make_graph(
        nodes, "g", infos, [onnx.ValueInfoProto(name=name) for name in outputs],
        [tensor(name, x) for name, x in weights.items()],
    )
    ir = 8 if opset < 21 else 10
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    cases.append((label.strip(), model, inputs, tolerance))


def unary():
    everything = ["Neg", "Abs", "Sign"]
    ranges = {
        "Sqrt": (0.0, 9.0), "Log": (0.1, 9.0), "Asin": (-0.99, 0.99), "Acos": (-0.99, 0.99), "Acosh": (1.1, 9.0),
        "Atanh": (-0.9, 0.9), "Reciprocal": (0.3, 4.0), "Tan": (-1.2, 1.2), "Round": (-9.0, 9.0), "Gelu": (-6.0, 6.0),
        "Sigmoid": (-20.0, 20.0), "Tanh": (-12.0, 12.0), "Softplus": (-30.0, 30.0), "Mish": (-20.0, 30.0),
        "Exp": (-20.0, 20.0), "HardSwish": (-5.0, 5.0), "Erf": (-4.5, 4.5), "Selu": (-8.0, 4.0), "Elu": (-8.0, 4.0),
    }
    for op in """Abs Neg Sign Floor Ceil Round Sqrt Reciprocal Exp Log Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh
            Atanh Erf Relu LeakyRelu ThresholdedRelu Elu Celu Selu Sigmoid Tanh Gelu HardSigmoid HardSwish Softplus
            Softsign Mish""".split():
        low, high = ranges.get(op, (-3.0, 3.0))
        for opset in versions(op):
            for kind in FLOATS + (INTS if op in everything else []):
                case(op, [numbers((4, 5), kind, low, high)], opset, name=kind)
    for op, attributes in [
        ("LeakyRelu", {"alpha": 0.3}), ("ThresholdedRelu", {"alpha": 0.7}), ("Elu", {"alpha": 1.7}), ("Celu", {"alpha": 0.6}),
        ("Selu", {"alpha": 1.2, "gamma": 1.9}), ("HardSigmoid", {"alpha": 0.4, "beta": 0.3}), ("Gelu", {"approximate": "tanh"}),
    ]:
        for kind in FLOATS:
            case(op, [numbers((3, 4, 5), kind)], NEWEST, name=kind, **attributes)
    case("Relu", [numbers((4, 5), "int32")], 14)
    case("Relu", [numbers((4, 5), "int64")], 14)
    case("Round", [np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], "float32")], 11)
    case("Exp", [np.array([-100.0, -88.0, -87.4, 87.5, 88.5, 0.0, 1e-9, -1e-9], "float32")], 13)
    case("Sigmoid", [np.array([-100.0, 100.0, 0.0], "float32")], 13)
    specials = np.array([np.nan, np.inf, -np.inf, 1.0, -0.0], "float32")
    for op in ["IsNaN", "Abs", "Neg", "Sqrt", "Reciprocal", "Floor", "Tanh", "Erf"]:
        case(op, [specials], 13, name="specials")
    for opset in versions("IsInf"):
        for positive, negative in [(1, 1), (1, 0), (0, 1), (0, 0)]:
            case("IsInf", [specials], opset, detect_positive=positive, detect_negative=negative)
    case("IsNaN", [specials.astype("float64")], 13)
    for opset in versions("Not"):
        case("Not", [numbers((7,), "bool")], opset)


def clip():
    for kind in FLOATS:
        case("Clip", [numbers((4, 5), kind)], 7, min=-1.0, max=0.5, name=kind)
        case("Clip", [numbers((4, 5), kind)], 10, max=0.5, name=kind)
        case("Clip", [numbers((4, 5), kind)], 7, name=kind)
    for opset in [11, 12, 13, NEWEST]:
        for kind in FLOATS + (["int32", "int64", "uint8", "int8", "uint64", "uint32"] if opset > 11 else []):
            low, high = np.array(2, kind), np.array(9, kind)
            for constants in [(1, 2), ()]:
                case("Clip", [numbers((4, 5), kind), low, high], opset, constants, name=kind, fixed=True)
                case("Clip", [numbers((4, 5), kind), None, high], opset, constants, name=kind, fixed=True)
                case("Clip", [numbers((4, 5), kind), low], opset, constants, name=kind, fixed=True)
            case("Clip", [numbers((4, 5), kind)], opset, name=kind)


SHAPES = [
    ((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 4), ()), ((3, 4), (1,)), ((3, 4), (3, 1)), ((4,), (3, 4)), ((), (3, 4)), ((3, 1), (1, 4)),
    ((2, 3, 4), (3, 1)), ((2, 3, 4, 5), (3, 1, 1)), ((2, 1, 4), (5, 1)), ((1, 1), (3,)), ((2, 3, 4), (2, 1, 4)), ((3, 4), (1, 1)),
]


def binary():
    for op in ["Add", "Sub", "Mul", "Div"]:
        for opset in versions(op):
            for kind in FLOATS + ["int32", "int64", "uint32", "uint64"] + (INTS[:2] + INTS[4:6] if opset >= 14 else []):
                case(op, [numbers((3, 4), kind), nonzero((3, 4), kind)], opset, name=kind)
        for a, b in SHAPES:
            for constants in [(), (0,), (1,)]:
                for kind in FLOATS + ["int64"]:
                    case(op, [numbers(a, kind), nonzero(b, kind)], 14, constants, name=f"{kind} {a} {b} {constants}", fixed=True)
    case("Add", [np.array([127, -128], "int8"), np.array([1, -1], "int8")], 14, name="wraps")
    case("Mul", [np.array([2**31 - 1, -(2**31)], "int32"), np.array([2, 2], "int32")], 14, name="wraps")
    case("Div", [np.array([-7, 7, -7, 7], "int32"), np.array([2, -2, -2, 2], "int32")], 14, name="toward zero")
    for kind in FLOATS + ["int32", "int64", "int8", "uint8", "int16", "uint16", "uint32", "uint64"]:
        for opset in versions("Mod"):
            if kind in INTS:
                case("Mod", [numbers((3, 4), kind), nonzero((3, 4), kind)], opset, name=kind)
            case("Mod", [numbers((3, 4), kind), nonzero((3, 4), kind)], opset, fmod=1, name=kind)
    for opset in versions("Pow"):
        for kind in FLOATS:
            case("Pow", [numbers((3, 4), kind, 0.1, 3.0), numbers((3, 4), kind)], opset, name=kind)
            for exponent in [2.0, 3.0, 0.5, 1.0, -1.0]:
                case("Pow", [numbers((3, 4), kind, 0.1, 3.0), np.array(exponent, kind)], opset, (1,), name=f"{kind} {exponent}")
        if opset >= 12:
            case("Pow", [numbers((3, 4), "int32", -5, 6), np.array(3, "int64")], opset, (1,))
            case("Pow", [numbers((3, 4), "int64", -5, 6), numbers((4,), "int64", 0, 4)], opset)
            case("Pow", [numbers((3, 4), "float32", 0.0, 6.0), numbers((4,), "int32", 0, 4)], opset)
            case("Pow", [numbers((3, 4), "int32", 0, 6), numbers((4,), "float32", 0.0, 3.0)], opset)
            case("Pow", [numbers((3, 4), "float32", -6.0, 6.0), np.array([2], "int64")], opset, (1,))
    for op in ["Max", "Min", "Sum", "Mean"]:
        for opset in versions(op):
            kinds = FLOATS if op in ["Sum", "Mean"] or opset < 12 else FLOATS + ["int32", "int64", "uint32", "uint64", "int8", "uint8"]
            for kind in kinds:
                case(op, [numbers((3, 4), kind)], opset, name=kind)
                case(op, [numbers((3, 4), kind) for _ in range(3)], opset, name=kind)
                if opset >= 8:
                    case(op, [numbers((3, 1), kind), numbers((1, 4), kind), numbers((), kind)], opset, name=kind, fixed=True)
                    case(op, [numbers((3, 4), kind), np.array(1, kind)], opset, (1,), name=kind, fixed=True)
    for opset in versions("PRelu"):
        for kind in FLOATS:
            for slope in [(), (1,), (5,), (4, 1, 1), (1, 4, 1, 1), (2, 4, 3, 5)]:
                for constants in [(), (1,)]:
                    x = [numbers((2, 4, 3, 5), kind), numbers(slope, kind)]
                    case("PRelu", x, opset, constants, name=f"{kind} {slope}", fixed=True)


def compare():
    for op in ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"]:
        for opset in versions(op):
            kinds = ["int32", "int64"] if op == "Equal" else FLOATS
            kinds = kinds if opset < 9 else FLOATS + ["int32", "int64", "int8", "uint8"]
            for kind in kinds:
                a, b = numbers((6, 5), kind, 0, 3), numbers((5,), kind, 0, 3)
                case(op, [np.round(a).astype(kind), np.round(b).astype(kind)], opset, name=kind)
        case(op, [numbers((3, 1), "int32"), numbers((1, 4), "int32")], NEWEST, fixed=True)
        case(op, [numbers((3, 4)), np.array(0.5, "float32")], NEWEST, (1,))
    case("Equal", [np.array([["a"], ["b"], ["é"]], object), np.array(["a", "é"], object)], 19, (1,))
    case("Equal", [numbers((3, 4), "bool"), numbers((4,), "bool")], 13)
    for op in ["And", "Or", "Xor"]:
        case(op, [numbers((3, 4), "bool"), numbers((4,), "bool")], 7)
        case(op, [numbers((3, 4), "bool"), numbers((3, 4), "bool")], NEWEST)
    for op in ["BitwiseAnd", "BitwiseOr", "BitwiseXor"]:
        for kind in ["int32", "int64", "uint8"]:
            case(op, [numbers((3, 4), kind), numbers((4,), kind)], 18, name=kind)
    for opset in versions("Where"):
        for kind in ["float32", "float64", "int64", "int32", "uint8"]:
            case("Where", [numbers((3, 4), "bool"), numbers((3, 4), kind), numbers((3, 4), kind)], opset, name=kind)
            case("Where", [numbers((3, 1), "bool"), numbers((4,), kind), numbers((), kind)], opset, name=kind, fixed=True)
    x = np.array(["a", "b", "c"], object)
    case("Where", [numbers((3,), "bool"), x, np.array(["z"], object)], 9, (2,), fixed=True)


def cast():
    kinds = FLOATS + ["float16", "bool"] + INTS
    for source in kinds:
        for to in kinds:
            x = numbers((3, 5), source, 0.0, 100.0) if source not in INTS else numbers((3, 5), source, 0, 100)
            for opset in [9, NEWEST]:
                case("Cast", [x], opset, to=helper.np_dtype_to_tensor_dtype(np.dtype(to)), name=f"{source} {to}")
    signed = np.array([-2.7, -1.0, -0.3, 0.3, 0.5, 1.9], "float32")
    for to in ["int8", "int16", "int32", "int64", "bool", "float64"]:
        case("Cast", [signed], 13, to=helper.np_dtype_to_tensor_dtype(np.dtype(to)), name=to)
    case("Cast", [np.array([300, -1, 70000, 5], "int32")], 13, to=TensorProto.UINT8)
    case("Cast", [np.array([300, -1, 70000, 5], "int64")], 13, to=TensorProto.INT16)
    case("Cast", [np.array([1.5, 1e-7, 123456789.0, 1e20, -0.5, 3.0, 0.1], "float32")], 13, to=TensorProto.STRING)
    case("Cast", [np.array([1.5, 1e-7, 123456789.0, 1e20, -0.5, 3.0, 0.1], "float64")], 13, to=TensorProto.STRING)
    for kind in ["int32", "int64", "uint8"]:
        case("Cast", [numbers((5,), kind)], 13, to=TensorProto.STRING, name=kind)
    for to in [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32]:
        case("Cast", [np.array(["1", "-22", "303"], object)], 13, to=to)
    case("Cast", [np.array(["1.5", "-2e3", "NaN"], object)], 13, to=TensorProto.FLOAT)
    for opset in versions("CastLike"):
        case("CastLike", [numbers((3, 4)), np.array([1], "int64")], opset, (1,))
        case("CastLike", [numbers((3, 4), "int32"), numbers((2,), "float64")], opset, fixed=True)


def shapes():
    for kind in ["float32", "int64", "bool"]:
        x = numbers((4, 6), kind)
        for opset in versions("Reshape"):
            for shape in [[-1], [6, 4], [2, -1], [0, 2, 3], [0, -1], [4, 3, 2]]:
                case("Reshape", [x, np.array(shape, "int64")], opset, (1,), name=f"{kind} {shape}")
    case("Reshape", [numbers((4, 6)), np.array([3, 8], "int64")], 14)
    case("Reshape", [numbers((4, 6)), np.array([4, 6], "int64")], 14, (1,), allowzero=1)
    case("Reshape", [numbers((4, 6), "int64"), np.array([0, 3, 2], "int64")], 5 + 2, (1,))
    for opset in versions("Flatten"):
        for axis in [0, 1, 2, 3] + ([-1, -2] if opset >= 11 else []):
            case("Flatten", [numbers((2, 3, 4))], opset, axis=axis)
        case("Flatten", [numbers((2, 3, 4))], opset)
    x = numbers((2, 1, 3, 1))
    case("Squeeze", [x], 7, axes=[1, 3])
    case("Squeeze", [x], 11, axes=[-1])
    case("Squeeze", [x], 7, fixed=True)
    for opset in [13, 21, NEWEST]:
        case("Squeeze", [x, np.array([1, -1], "int64")], opset, (1,))
        case("Squeeze", [x], opset, fixed=True)
    case("Unsqueeze", [numbers((2, 3))], 7, axes=[1])
    case("Unsqueeze", [numbers((2, 3))], 11, axes=[0, -1])
    for opset in [13, 21, NEWEST]:
        case("Unsqueeze", [numbers((2, 3)), np.array([0, 3], "int64")], opset, (1,))
        case("Unsqueeze", [numbers((), "float32"), np.array([0], "int64")], opset, (1,))
    for opset in versions("Transpose"):
        case("Transpose", [numbers((2, 3, 4))], opset)
        for perm in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1], [1, 2, 0], [2, 0, 1]]:
            case("Transpose", [numbers((2, 3, 4))], opset, perm=perm)
        for perm in [[0, 2, 3, 1], [0, 3, 1, 2], [0, 2, 1, 3], [3, 0, 1, 2]]:
            case("Transpose", [numbers((2, 3, 4, 5), "int64")], opset, perm=perm)
    case("Transpose", [np.array([["a", "b"], ["c", "d"]], object)], 13, perm=[1, 0])
    for opset in versions("Identity"):
        case("Identity", [numbers((2, 3))], opset)
    case("Dropout", [numbers((2, 3))], 7, ratio=0.4)
    case("Dropout", [numbers((2, 3)), np.array(0.4, "float32")], 12, (1,))
    case("Dropout", [numbers((2, 3)), np.array(0.4, "float32"), np.array(False)], 13, (1, 2))
    for opset in versions("Shape"):
        case("Shape", [numbers((2, 3, 4))], opset)
    for start, end in [(1, 3), (-2, 3), (0, -1), (2, 1), (-9, 9)]:
        case("Shape", [numbers((2, 3, 4))], 15, start=start, end=end)
    for opset in versions("Size"):
        case("Size", [numbers((2, 3, 4))], opset)
    for mode in ["DCR", "CRD"]:
        case("DepthToSpace", [numbers((2, 12, 3, 2))], 11, blocksize=2, mode=mode)
    case("DepthToSpace", [numbers((2, 12, 3, 2))], 7, blocksize=2)
    case("SpaceToDepth", [numbers((2, 3, 4, 6))], 13, blocksize=2)


def join():
    for opset in versions("Concat"):
        for axis in [0, 1, 2] + ([-1] if opset >= 11 else []):
            a = [numbers((2, 3, 4)), numbers((2, 3, 4)), numbers((2, 3, 4))]
            case("Concat", a, opset, axis=axis)
    case("Concat", [numbers((2, 3)), numbers((2, 1)), numbers((2, 5))], 13, axis=1)
    case("Concat", [numbers((2, 3), "int64"), numbers((2, 2), "int64")], 13, (1,), axis=1, fixed=True)
    case("Concat", [numbers((2, 3))], 13, axis=1)
    case("Concat", [np.array([["a"]], object), np.array([["b"]], object)], 13, axis=1)
    x = numbers((6, 4))
    case("Split", [x], 7, outputs=2, axis=1)
    case("Split", [x], 7, outputs=3, axis=0, split=[1, 2, 3])
    case("Split", [x], 11, outputs=2, axis=-1, split=[1, 3])
    case("Split", [x, np.array([1, 3], "int64")], 13, (1,), outputs=2, axis=1)
    case("Split", [x, np.array([1, 3], "int64")], 13, outputs=2, axis=1, fixed=True)
    case("Split", [x], 13, outputs=4, axis=1)
    for opset in [18, NEWEST]:
        case("Split", [x], opset, outputs=3, axis=1, num_outputs=3, fixed=True)
        case("Split", [x], opset, outputs=4, axis=0, num_outputs=4, fixed=True)
        case("Split", [x, np.array([1, 3], "int64")], opset, (1,), outputs=2, axis=1)


def slices():
    x = numbers((5, 6, 4))
    case("Slice", [x], 7, starts=[1, 0], ends=[3, -1], axes=[0, 2])
    case("Slice", [x], 7, starts=[1, -3], ends=[1000, 5])
    for opset in versions("Slice", 10):
        if opset < 10:
            continue
        for kind in ["int64", "int32"]:
            for starts, ends, axes, steps in [
                ([1], [3], None, None), ([1, 2], [4, 5], [0, 1], None), ([-3], [-1], [2], None), ([0], [2**31 - 1], [1], [2]),
                ([-1], [-1000], [1], [-1]), ([4], [0], [0], [-2]), ([3], [1], [0], None), ([0, 1], [5, 100], [2, 0], [3, 2]),
                ([10], [20], [0], None), ([-1], [-2**31], [0], [-1]),
            ]:
                given = [None if v is None else np.array(v, kind) for v in (starts, ends, axes, steps)]
                while given[-1] is None:
                    given.pop()
                for constants in [(1, 2, 3, 4), ()]:
                    case("Slice", [x, *given], opset, constants, name=f"{starts} {ends} {axes} {steps} {constants}", fixed=True)
    case("Slice", [numbers((5, 6), "bool"), np.array([1]), np.array([4])], 13, (1, 2))
    for upper in [0, 1]:
        for k in [None, -1, 0, 2]:
            given = [numbers((2, 4, 5))] + ([] if k is None else [np.array(k, "int64")])
            case("Trilu", given, 14, (1,), upper=upper)
        case("Trilu", [numbers((4, 5), "int64")], 14, upper=upper)


def gathers():
    x = numbers((5, 6, 4))
    for opset in versions("Gather"):
        for axis in [0, 1, 2] + ([-1] if opset >= 11 else []):
            for indices in [np.array([3, 0, 1], "int64"), np.array([[1, 2], [3, 0]], "int32"), np.array(2, "int64")]:
                for constants in [(), (1,), (0,)]:
                    case("Gather", [x, indices], opset, constants, axis=axis, fixed=True)
    case("Gather", [x, np.array([-1, -4], "int64")], 13, axis=1)
    case("Gather", [np.array(["a", "b"], object), np.array([1, 0, 1], "int64")], 13, (0,))
    for opset in versions("GatherElements"):
        for axis in [0, 1, 2, -1]:
            indices = rng.integers(-4, 4, (5, 6, 4)).astype("int64")
            case("GatherElements", [x, indices], opset, axis=axis)
        case("GatherElements", [x, rng.integers(0, 4, (2, 3, 4)).astype("int32")], opset, axis=1, fixed=True)
    for opset in versions("GatherND"):
        case("GatherND", [x, np.array([[0, 1], [4, 5]], "int64")], opset, fixed=True)
        case("GatherND", [x, np.array([[[0, 1, 2]], [[-1, 5, 0]]], "int64")], opset, (1,), fixed=True)
        case("GatherND", [x, np.array([[1], [2]], "int64")], opset, fixed=True)
        if opset >= 12:
            case("GatherND", [x, rng.integers(0, 6, (5, 3, 1)).astype("int64")], opset, batch_dims=1)
            case("GatherND", [x, rng.integers(0, 4, (5, 6, 1)).astype("int64")], opset, batch_dims=2)
    for opset in versions("ScatterElements"):
        case("ScatterElements", [numbers((4, 5)), np.array([[1, 0, 2, 3, 0]], "int64"), numbers((1, 5))], opset, axis=0, fixed=True)
        case("ScatterElements", [numbers((4, 5)), rng.permuted(np.tile(np.arange(5), (4, 1)), axis=1)[:, :2], numbers((4, 2))], opset, axis=1, fixed=True)
    for reduction in ["add", "mul"]:
        case("ScatterElements", [numbers((4, 5)), np.array([[1, 1, 2, 3, 0]], "int64"), numbers((1, 5))], 18, axis=0, reduction=reduction, fixed=True)
    for reduction in ["max", "min"]:
        case("ScatterElements", [numbers((4, 5)), np.array([[1, 1, 2, 3, 0]], "int64"), numbers((1, 5))], 18, axis=0, reduction=reduction, fixed=True)
    for opset in versions("ScatterND"):
        case("ScatterND", [numbers((4, 5)), np.array([[1], [3]], "int64"), numbers((2, 5))], opset, fixed=True)
        case("ScatterND", [numbers((4, 5)), np.array([[1, 0], [3, 4]], "int64"), numbers((2,))], opset, fixed=True)


def repeats():
    for opset in versions("Expand"):
        for shape in [[3, 4], [2, 3, 4], [3, 1], [1], [2, 1, 1]]:
            for constants in [(), (1,)]:
                case("Expand", [numbers((3, 1)), np.array(shape, "int64")], opset, constants, name=f"{shape}", fixed=True)
        case("Expand", [numbers((), "int64"), np.array([2, 3], "int64")], opset, (1,))
    for opset in versions("Tile"):
        for repeats in [[1, 2], [3, 1], [2, 3], [0, 1]]:
            for constants in [(), (1,)]:
                case("Tile", [numbers((2, 3)), np.array(repeats, "int64")], opset, constants, name=f"{repeats}")
    for mode in ["constant", "edge", "reflect"]:
        case("Pad", [numbers((3, 4))], 7, mode=mode, pads=[1, 2, 0, 1])
        for opset in versions("Pad", 11):
            if opset < 11:
                continue
            for pads in [[0, 1, 0, 2], [1, 2, 2, 0], [0, 0, 0, 0]]:
                for constants in [(), (1,)]:
                    case("Pad", [numbers((3, 4)), np.array(pads, "int64")], opset, constants, mode=mode, name=f"{pads}")
    case("Pad", [numbers((3, 4))], 7, mode="constant", pads=[0, 1, 0, 1], value=2.5)
    case("Pad", [numbers((3, 4)), np.array([0, -1, 1, -1], "int64")], 13, (1,))
    case("Pad", [numbers((3, 4)), np.array([0, 1, 1, 1], "int64"), np.array(7.5, "float32")], 13, (1, 2))
    case("Pad", [numbers((3, 4), "int64"), np.array([0, 1, 1, 1], "int64"), np.array(7, "int64")], 13, (1,))
    for opset in [18, NEWEST]:
        case("Pad", [numbers((3, 4, 2)), np.array([1, 2], "int64"), None, np.array([1], "int64")], opset, (1, 3), mode="edge")
        case("Pad", [numbers((3, 4, 2)), np.array([1, 2], "int64"), np.array(3.0, "float32"), np.array([-1], "int64")], opset, (1, 2, 3))
    case("Pad", [numbers((3, 4)), np.array([0, 3, 0, 2], "int64")], 19, (1,), mode="wrap")


def generators():
    for value in [np.array([2.5], "float32"), np.array([3], "int64"), np.array([True]), np.array([1.5], "float64"), None]:
        for opset in versions("ConstantOfShape"):
            attributes = {} if value is None else {"value": numpy_helper.from_array(value)}
            case("ConstantOfShape", [np.array([2, 3], "int64")], opset, (0,), name=str(value), **attributes)
            case("ConstantOfShape", [np.array([2, 3], "int64")], opset, name=str(value), fixed=True, **attributes)
    for kind in ["float32", "float64", "int32", "int64", "int16"]:
        for start, limit, delta in [(1, 10, 2), (5, -3, -2), (3, 3, 1), (4, 1, 1)]:
            given = [np.array(v, kind) for v in (start, limit, delta)]
            for constants in [(), (0, 1, 2)]:
                case("Range", given, 11, constants, name=f"{kind} {start} {limit} {delta}")
    case("Range", [np.array(0.1, "float32"), np.array(1.2, "float32"), np.array(0.25, "float32")], 11)
    for axis in [-1, 0, 1]:
        for indices, depth, values in [
            (np.array([[1, 3], [0, -1]], "int64"), np.array(4, "int64"), np.array([0.5, 2.5], "float32")),
            (np.array([[1, 3], [7, -9]], "int64"), np.array([5], "int64"), np.array([0, 1], "int64")),
            (np.array([[1, 3], [0, 2]], "int32"), np.array(4, "int32"), np.array([0.0, 1.0], "float32")),
            (np.array([[1.0, 3.0], [0.0, 2.0]], "float32"), np.array(4.0, "float32"), np.array([0.0, 1.0], "float32")),
        ]:
            for constants in [(1, 2), ()]:
                case("OneHot", [indices, depth, values], 11, constants, axis=axis, name=f"{indices.dtype}", fixed=True)
    case("OneHot", [np.array([1, 0], "int64"), np.array(3, "int64"), np.array([0.0, 1.0], "float32")], 9, (1, 2))
    for attributes in [
        {"value_float": 1.5}, {"value_floats": [1.0, 2.0]}, {"value_int": 3}, {"value_ints": [1, 2]}, {"value_string": "é"},
        {"value_strings": ["a", "b"]}, {"value": numpy_helper.from_array(np.eye(2, dtype="float32"))},
    ]:
        case("Constant", [], 13, name="", **attributes)


def reductions():
    for op in ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
               "ReduceLogSum", "ReduceLogSumExp"]:
        by_input = 13 if op == "ReduceSum" else 18
        for opset in versions(op):
            low = 0.1 if op == "ReduceLogSum" else -2.0
            for kind in ["float32", "float64", "int32", "int64"]:
                if kind.startswith("int") and "Log" in op:
                    continue
                x = numbers((2, 3, 4, 2), kind, low, 2.0) if kind in FLOATS else numbers((2, 3, 4, 2), kind, 1, 3)
                for axes in [None, [1], [0], [-1], [1, 2], [0, 2], [1, 3], [0, 1, 2, 3]]:
                    if axes and min(axes) < 0 and opset < 11:
                        continue
                    if kind != "float32" and axes not in (None, [1], [1, 3]):
                        continue
                    for keepdims in [0, 1]:
                        if opset >= by_input:
                            given = [x] + ([] if axes is None else [np.array(axes, "int64")])
                            case(op, given, opset, (1,), keepdims=keepdims, name=f"{kind} {axes}")
                        else:
                            attributes = {} if axes is None else {"axes": axes}
                            case(op, [x], opset, keepdims=keepdims, name=kind, **attributes)
        if op in ["ReduceSum", "ReduceMean", "ReduceMax"]:
            case(op, [numbers((2, 3))], 18, noop_with_empty_axes=1)
    case("ReduceMean", [numbers((3, 1000)), np.array([1], "int64")], 18, (1,))
    case("ReduceMax", [numbers((3, 4), "bool"), np.array([1], "int64")], 20, (1,))
    case("ReduceMin", [numbers((3, 4), "bool"), np.array([1], "int64")], 20, (1,))
    for op in ["ArgMax", "ArgMin"]:
        for opset in versions(op):
            for kind in ["float32", "int32"] + (["float64", "int64"] if opset >= 12 else []):
                x = np.round(numbers((3, 4, 5), kind)).astype(kind)
                for axis in [0, 1, 2] + ([-1] if opset >= 11 else []):
                    for keepdims in [0, 1]:
                        case(op, [x], opset, axis=axis, keepdims=keepdims, name=kind)
                        if opset >= 12:
                            case(op, [x], opset, axis=axis, keepdims=keepdims, select_last_index=1, name=kind)
        case(op, [numbers((3, 4))], 13)
    for opset in versions("CumSum"):
        for kind in ["float32", "float64", "int32", "int64"]:
            for axis in [0, 1, -1]:
                for exclusive, reverse in [(0, 0), (1, 0), (0, 1), (1, 1)]:
                    case("CumSum", [numbers((3, 4, 2), kind), np.array(axis, "int32")], opset, (1,), exclusive=exclusive, reverse=reverse, name=f"{kind} {axis}")
    x = np.round(numbers((3, 6)))
    case("TopK", [x], 7, k=2, outputs=2)
    case("TopK", [x, np.array([3], "int64")], 10, (1,), outputs=2, axis=1)
    for opset in [11, NEWEST]:
        for kind in ["float32", "float64", "int64", "int32"]:
            for axis, largest in [(-1, 1), (0, 1), (1, 0), (0, 0)]:
                given = [np.round(numbers((4, 6, 2), kind)).astype(kind), np.array([2], "int64")]
                case("TopK", given, opset, (1,), outputs=2, axis=axis, largest=largest, name=kind)
                case("TopK", given, opset, outputs=2, axis=axis, largest=largest, name=kind)


def softmaxes():
    for op in ["Softmax", "LogSoftmax"]:
        for opset in versions(op):
            for kind in FLOATS:
                x = numbers((3, 4, 5), kind, -8.0, 8.0)
                case(op, [x], opset, name=kind)
                for axis in [0, 1, 2] + ([-1, -2] if opset >= 11 else []):
                    case(op, [x], opset, axis=axis, name=kind)
                case(op, [numbers((3, 17), kind, -90.0, 90.0)], opset, axis=1, name=kind)
    case("Softmax", [np.array([[1000.0, 999.0, -np.inf]], "float32")], 13)


def matrices():
    for opset in versions("MatMul"):
        for kind in FLOATS + (["int32", "int64", "uint32"] if opset >= 9 else []):
            for a, b in [
                ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)),
                ((2, 1, 3, 4), (3, 4, 5)), ((3, 4), (2, 4, 5)), ((1, 4), (4, 33)), ((7, 40), (40, 37)), ((2, 3, 4), (4,)),
            ]:
                for constants in [(), (1,), (0,)]:
                    if kind != "float32" and constants:
                        continue
                    case("MatMul", [numbers(a, kind), numbers(b, kind)], opset, constants, name=f"{kind} {a} {b} {constants}", fixed=constants != (1,))
    for opset in versions("Gemm"):
        for kind in FLOATS:
            for trans_a, trans_b in [(0, 0), (0, 1), (1, 0), (1, 1)]:
                a = numbers((4, 3) if trans_a else (3, 4), kind)
                b = numbers((5, 4) if trans_b else (4, 5), kind)
                for c in [(5,), (1, 5), (3, 5), (3, 1), (1,), ()] + ([None] if opset >= 11 else []):
                    given = [a, b] + ([] if c is None else [numbers(c, kind)])
                    for constants in [(), (1, 2), (1,)]:
                        case("Gemm", given, opset, constants, transA=trans_a, transB=trans_b, alpha=0.7, beta=1.3, name=f"{kind} {c} {constants}", fixed=True)
    for rows in [1, 2, 3, 5, 17, 100]:
        for outs in [1, 2, 7, 8, 9, 16, 31, 64]:
            case("Gemm", [numbers((rows, 20)), numbers((20, outs)), numbers((outs,))], 13, (1, 2))
            case("MatMul", [numbers((rows, 20)), numbers((20, outs))], 13)


def convolutions():
    for opset in versions("Conv"):
        for x, w, attributes in [
            ((2, 3, 8, 9), (4, 3, 3, 3), {}), ((2, 3, 8, 9), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}), ((2, 3, 8, 9), (4, 3, 1, 1), {}),
            ((2, 3, 8, 9), (5, 3, 3, 2), {"strides": [2, 3], "pads": [0, 1, 2, 1]}), ((2, 4, 8, 9), (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
            ((2, 4, 8, 9), (4, 1, 3, 3), {"group": 4}), ((2, 4, 8, 9), (8, 1, 3, 3), {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
            ((2, 3, 12, 9), (4, 3, 3, 3), {"dilations": [2, 3]}), ((2, 3, 8, 9), (4, 3, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
            ((2, 3, 8, 9), (4, 3, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}), ((2, 3, 8, 9), (4, 3, 3, 3), {"auto_pad": "VALID"}),
            ((2, 3, 8, 9), (4, 3, 3, 3), {"kernel_shape": [3, 3]}), ((2, 3, 11), (4, 3, 3), {"pads": [1, 2], "strides": [2]}), ((2, 3, 11), (3, 1, 3), {"group": 3}),
            ((2, 3, 11), (4, 3, 4), {"auto_pad": "SAME_UPPER"}), ((5, 16, 1, 1), (33, 16, 1, 1), {}), ((3, 2, 2, 2), (7, 2, 2, 2), {}), ((1, 8, 30, 31), (20, 8, 3, 3), {"pads": [1, 1, 1, 1]}),
            ((2, 3, 9, 9), (4, 3, 2, 2), {"strides": [3, 3]}), ((1, 1, 5, 5), (1, 1, 5, 5), {}), ((3, 2, 1, 70), (9, 2, 1, 3), {"strides": [1, 2]}), ((70, 2, 1, 1), (9, 2, 1, 1), {}),
        ]:
            for bias in [True, False]:
                for kind, constants in [("float32", (1, 2)), ("float32", ()), ("float64", (1, 2))]:
                    if opset != NEWEST and kind == "float64":
                        continue
                    given = [numbers(x, kind), numbers(w, kind)] + ([numbers(w[:1], kind)] if bias else [])
                    case("Conv", given, opset, constants, name=f"{kind} {x} {w} {constants}", fixed=not constants, **attributes)
    for x, w, attributes in [
        ((2, 3, 4, 5), (3, 4, 3, 3), {}), ((2, 3, 4, 5), (3, 4, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
        ((2, 4, 4, 5), (4, 3, 2, 2), {"group": 2, "strides": [2, 2]}), ((2, 3, 5), (3, 4, 3), {"dilations": [2]}),
    ]:
        for bias in [True, False]:
            given = [numbers(x), numbers(w)] + ([numbers((w[1] * attributes.get("group", 1),))] if bias else [])
            case("ConvTranspose", given, 11, (1, 2), name=f"{x} {w}", **attributes)
    for op in ["MaxPool", "AveragePool"]:
        for opset in versions(op):
            for kind in FLOATS:
                for x, attributes in [
                    ((2, 3, 8, 9), {"kernel_shape": [2, 2]}), ((2, 3, 8, 9), {"kernel_shape": [2, 2], "strides": [2, 2]}),
                    ((2, 3, 8, 9), {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
                    ((2, 3, 8, 9), {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
                    ((2, 3, 8, 9), {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
                    ((2, 3, 8, 9), {"kernel_shape": [3, 3], "auto_pad": "VALID", "strides": [2, 2]}), ((2, 3, 11), {"kernel_shape": [3], "strides": [2]}),
                ]:
                    case(op, [numbers(x, kind)], opset, name=f"{kind} {x}", **attributes)
                    if op == "AveragePool" and "auto_pad" not in attributes:
                        case(op, [numbers(x, kind)], opset, name=f"{kind} {x}", count_include_pad=1, **attributes)
                    if opset >= 10 and "auto_pad" not in attributes:
                        case(op, [numbers(x, kind)], opset, name=f"{kind} {x}", ceil_mode=1, **attributes)
                        if op == "AveragePool" and opset >= 19:
                            case(op, [numbers(x, kind)], opset, name=f"{kind} {x}", ceil_mode=1, count_include_pad=1, **attributes)
        case(op, [numbers((2, 3, 9, 9))], NEWEST, kernel_shape=[2, 3], dilations=[2, 2])
    case("MaxPool", [numbers((2, 3, 8, 8), "uint8")], 12, kernel_shape=[2, 2])
    case("MaxPool", [numbers((2, 3, 8, 8), "int8")], 12, kernel_shape=[2, 2])
    for op in ["GlobalAveragePool", "GlobalMaxPool"]:
        for opset in versions(op):
            for shape in [(2, 3, 5, 7), (2, 3, 11), (2, 3, 1, 1)]:
                for kind in FLOATS:
                    case(op, [numbers(shape, kind)], opset, name=f"{kind} {shape}")


def norms():
    for opset in versions("BatchNormalization"):
        for shape in [(3, 4), (2, 4, 5, 6), (2, 4, 7)]:
            for kind in FLOATS:
                given = [numbers(shape, kind)] + [numbers((4,), kind) for _ in range(3)] + [numbers((4,), kind, 0.2, 3.0)]
                for constants in [(1, 2, 3, 4), ()]:
                    case("BatchNormalization", given, opset, constants, epsilon=0.01, name=f"{kind} {shape} {constants}", fixed=not constants)
    for opset in versions("InstanceNormalization"):
        for shape in [(2, 4, 5, 6), (2, 4, 7)]:
            case("InstanceNormalization", [numbers(shape), numbers((4,)), numbers((4,))], opset, (1, 2), name=f"{shape}")
    for kind in FLOATS:
        for shape, axis in [((3, 4), -1), ((2, 3, 4), -1), ((2, 3, 4), 1), ((2, 3, 4), 2), ((2, 3, 40), -1)]:
            inner = shape[axis:] if axis >= 0 else shape[-1:]
            for bias in [True, False]:
                for constants in [(1, 2), ()]:
                    given = [numbers(shape, kind), numbers(inner, kind)] + ([numbers(inner, kind)] if bias else [])
                    case("LayerNormalization", given, 17, constants, axis=axis, name=f"{kind} {shape} {constants}", fixed=not constants)
    case("LayerNormalization", [numbers((3, 4)), numbers((4,)), numbers((4,))], NEWEST, (1, 2), epsilon=0.3)
    for groups in [1, 2, 4]:
        case("GroupNormalization", [numbers((2, 4, 5, 3)), numbers((4,)), numbers((4,))], 21, (1, 2), num_groups=groups)
    for axis in [-1, 0, 1]:
        for p in [1, 2]:
            for kind in FLOATS:
                case("LpNormalization", [numbers((3, 4, 2), kind)], 7, axis=axis, p=p, name=kind)


def half():
    """Models of 16-bit floats, which are computed in 32 bits."""
    h = "float16"
    case("Gemm", [numbers((3, 8), h), numbers((8, 5), h), numbers((5,), h)], 13, (1, 2), tolerance=4e-3)
    case("Conv", [numbers((2, 3, 6, 6), h), numbers((4, 3, 3, 3), h)], 11, (1,), tolerance=4e-3)
    case("Add", [numbers((3, 8), h), numbers((8,), h)], 13, tolerance=2e-3)
    case("Softmax", [numbers((3, 8), h)], 13, tolerance=2e-3)


class Nodes:
    """Nodes of a small graph; each call adds one and returns the name of its output."""

    def __init__(self):
        self.list = []

    def __call__(self, op, *inputs, outputs=1, **attributes):
        names = [f"{op.lower()}{len(self.list)}_{at}" for at in range(outputs)]
        self.list.append(helper.make_node(op, list(inputs), names, name=f"{op}_{len(self.list)}", **attributes))
        return names[0] if outputs == 1 else names


def scalar(value, kind="float32"):
    return np.array(value, kind)


def graphs():
    for opset in [13, 17, 20]:
        n = Nodes()
        h = n("Gemm", "x", "w1", "b1", transB=1)
        e = n("Erf", n("Div", h, "root"))
        h = n("Mul", n("Mul", h, n("Add", e, "one")), "half")
        h = n("Gemm", h, "w2", "b2", transB=1)
        h = n("Mul", h, n("Sigmoid", h))
        h = n("Mul", n("Mul", h, "half"), n("Add", n("Erf", n("Mul", h, "unroot")), "one"))
        h = n("Mul", h, n("Tanh", n("Softplus", h)))
        y = n("Softmax", n("Gemm", h, "w3", "b3", transB=1), axis=-1)
        weights = {
            "w1": numbers((16, 6), low=-1, high=1), "b1": numbers((16,)), "w2": numbers((11, 16), low=-1, high=1), "b2": numbers((11,)),
            "w3": numbers((3, 11), low=-1, high=1), "b3": numbers((3,)), "one": scalar(1.0), "half": scalar(0.5),
            "root": scalar(math.sqrt(2)), "unroot": scalar(1 / math.sqrt(2)),
        }
        graph(f"GELU, SiLU, Mish by parts {opset}", n.list, {"x": numbers((5, 6))}, weights, [y], opset)
    for opset in [9, 13, 18]:
        n = Nodes()
        axes = {"axes": [-1]} if opset < 18 else {}
        given = ["axes"] if opset >= 18 else []
        if opset < 11:
            axes = {"axes": [1]}
        d = n("Sub", "x", n("ReduceMean", "x", *given, **axes))
        v = n("ReduceMean", n("Pow", d, "two"), *given, **axes)
        y = n("Add", n("Mul", n("Div", d, n("Sqrt", n("Add", v, "eps"))), "g"), "b")
        weights = {"two": scalar(2.0), "eps": scalar(1e-5), "g": numbers((6,)), "b": numbers((6,))}
        if opset >= 18:
            weights["axes"] = np.array([-1], "int64")
        graph(f"LayerNorm by parts {opset}", n.list, {"x": numbers((5, 6))}, weights, [y], opset)
    n = Nodes()
    c = n("Relu", n("Conv", "x", "w1", "b1", pads=[1, 1, 1, 1]))
    d = n("BatchNormalization", n("Conv", c, "w2", pads=[1, 1, 1, 1]), "s", "t", "m", "v")
    h = n("MaxPool", n("Relu", n("Add", c, d)), kernel_shape=[2, 2], strides=[2, 2])
    h = n("Clip", n("Conv", h, "w3", group=8, pads=[1, 1, 1, 1]), "zero", "six")
    rows = n("Gather", n("Shape", h), "i0", axis=0)
    h = n("Reshape", h, n("Concat", n("Unsqueeze", rows, "a0"), "minus", axis=0))
    y = n("Gemm", h, "w4", "b4")
    weights = {
        "w1": numbers((8, 3, 3, 3), low=-1, high=1), "b1": numbers((8,)), "w2": numbers((8, 8, 3, 3), low=-1, high=1), "s": numbers((8,)),
        "t": numbers((8,)), "m": numbers((8,)), "v": numbers((8,), low=0.3, high=2), "w3": numbers((8, 1, 3, 3)), "zero": scalar(0.0),
        "six": scalar(6.0), "i0": scalar(0, "int64"), "a0": np.array([0], "int64"), "minus": np.array([-1], "int64"),
        "w4": numbers((72, 4)), "b4": numbers((4,)),
    }
    graph("residual network", n.list, {"x": numbers((3, 3, 6, 6))}, weights, [y], 13)
    n = Nodes()
    parts = [n("Add", n("MatMul", "x", f"w{at}"), f"b{at}") for at in range(3)]
    shape = n("Concat", n("Slice", n("Shape", "x"), "i0", "i2"), "heads", axis=0)
    q, k, v = [n("Transpose", n("Reshape", part, shape), perm=[0, 2, 1, 3]) for part in parts]
    scores = n("Div", n("MatMul", q, n("Transpose", k, perm=[0, 1, 3, 2])), "scale")
    mixed = n("MatMul", n("Softmax", n("Add", scores, "mask"), axis=-1), v)
    y = n("Add", "x", n("Reshape", n("Transpose", mixed, perm=[0, 2, 1, 3]), "back"))
    weights = {
        **{f"w{at}": numbers((8, 8), low=-1, high=1) for at in range(3)}, **{f"b{at}": numbers((8,)) for at in range(3)},
        "i0": np.array([0], "int64"), "i2": np.array([2], "int64"), "heads": np.array([2, 4], "int64"), "scale": scalar(2.0),
        "mask": np.triu(np.full((5, 5), -np.inf, "float32"), 1), "back": np.array([0, 0, 8], "int64"),
    }
    graph("attention", n.list, {"x": numbers((3, 5, 8))}, weights, [y], 13)
    n = Nodes()
    shape = n("Shape", "x")
    filled = n("ConstantOfShape", n("Shape", shape), value=numpy_helper.from_array(np.array([1], "int64")))
    wanted = n("Where", n("Equal", "target", n("Mul", filled, "minus")), filled, "target")
    y = n("Add", "x", n("Expand", "row", wanted))
    weights = {"target": np.array([-1, 4], "int64"), "minus": scalar(-1, "int64"), "row": numbers((1, 4))}
    graph("expand as torch writes it", n.list, {"x": numbers((3, 4))}, weights, [y], 13)
    n = Nodes()
    a = n("Mul", "x", "x")
    b, c = n("Split", n("Concat", a, "x", axis=1), "parts", outputs=2, axis=1)
    y = n("Sub", n("Mul", b, b), n("Mul", c, n("Tanh", c)))
    graph("one value twice", n.list, {"x": numbers((3, 4))}, {"parts": np.array([4, 4], "int64")}, [y, a, y], 13)
    n = Nodes()
    h = n("Conv", "x", "w1")
    y = n("Softmax", n("Flatten", h))
    graph("softmax of version 11", n.list, {"x": numbers((3, 2, 4, 4))}, {"w1": numbers((3, 2, 2, 2))}, [y, h], 11)


def shown(array):
    """Returns the elements of an array for JSON."""
    result = []
    for x in array.flatten().tolist():
        if isinstance(x, bytes):
            x = x.decode()
        if isinstance(x, float) and not math.isfinite(x):
            x = "NaN" if math.isnan(x) else "inf" if x > 0 else "-inf"
        result.append(x)
    return result


def described(name, array):
    kind = "object" if array.dtype.kind in "OSU" else str(array.dtype)
    return {"name": name, "datatype": DATATYPES[kind], "shape": list(array.shape), "data": shown(array)}


def main(folder, every="1"):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part in [unary, clip, binary, compare, cast, shapes, join, slices, gathers, repeats, generators, reductions, softmaxes,
                 matrices, convolutions, norms]:
        part()
    cases[:] = cases[:: int(every)]
    half()
    graphs()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    answers, refused = [], []
    for at, (label, model, inputs, tolerance) in enumerate(cases):
        data = model.SerializeToString()
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            outputs = session.run(None, inputs)
        except Exception as error:  # ONNX Runtime has no kernel for some types and versions.
            refused.append(f"{label}: {str(error)[:150]}")
            continue
        for info, x in zip(model.graph.output, outputs):
            x = np.asarray(x)
            kind = TensorProto.STRING if x.dtype.kind in "OSU" else helper.np_dtype_to_tensor_dtype(x.dtype)
            info.type.tensor_type.elem_type = kind
        file = f"{at}.onnx"
        (folder / file).write_bytes(model.SerializeToString())
        names = [output.name for output in session.get_outputs()]
        answers.append({
            "name": label, "file": file, "tolerance": tolerance,
            "inputs": [described(name, x) for name, x in inputs.items()],
            "outputs": [described(name, np.asarray(x)) for name, x in zip(names, outputs)],
        })
    (folder / "answers.json").write_text(json.dumps(answers))
    (folder / "refused.txt").write_text("\n".join(refused))
    print(f"{len(answers)} cases, {len(refused)} that ONNX Runtime cannot answer")


main(*sys.argv[1:])
