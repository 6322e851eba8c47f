"""Writes models of many kinds with XGBoost, and the answers that XGBoost gives.

Usage: python xgboost_answers.py FOLDER

For each case the folder gets NAME.model.json, NAME.model.ubj and NAME.json:
  files     the model files, all of the same model
  note      what the case is about
  inputs    `rows`, a matrix; or a list per input by name. null is a missing value
  expected  the answers by output: `probability`, `class` or `value`, one number or one list per row; for models that stopped
            early also `..._wrapper`, the answer of the scikit-learn wrapper
index.json lists the names. Everything is seeded, so that each run with the same XGBoost writes the same models.
"""

import json
import os
import pathlib
import sys

# Threads that wait for each other on a busy machine would take longer than one thread, and would add in different orders.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import xgboost as xgb

ROWS, COLUMNS, ASKED = 300, 8, 40
VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])


class Writer:
    """Trains models and writes them with their answers."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.names = []

    def write(self, name, booster, inputs, expected, note):
        files = []
        for ending in ("json", "ubj"):
            files.append(f"{name}.model.{ending}")
            booster.save_model(self.folder / files[-1])
        case = {"name": name, "files": files, "note": note, "inputs": inputs, "expected": expected}
        (self.folder / f"{name}.json").write_text(json.dumps(case))
        self.names.append(name)

    def train(self, name, parameters, data, labels, rounds=8, asked=None, output="value", **options):
        """Trains a booster on a matrix, asks it for `asked` rows or the first rows of `data`, and writes both."""
        parameters = {"max_depth": 4, "eta": 0.3, "seed": 7, "nthread": 1, **parameters}
        keys = ("feature_names", "feature_types", "enable_categorical")
        frame = {key: options.pop(key) for key in keys if key in options}
        custom = {key: options.pop(key) for key in ("weight", "group") if key in options}
        matrix = xgb.DMatrix(data, None if labels is None else labels, **frame)
        if "group" in custom:
            matrix.set_group(custom["group"])
        if "bounds" in options:
            lower, upper = options.pop("bounds")
            matrix.set_float_info("label_lower_bound", lower)
            matrix.set_float_info("label_upper_bound", upper)
        booster = xgb.train(parameters, matrix, rounds, verbose_eval=False, **options)
        asked = (data if asked is None else asked)[:ASKED]
        answers = booster.predict(xgb.DMatrix(asked, **frame))
        note = f"xgboost {xgb.__version__}: {json.dumps(parameters)}"
        self.write(name, booster, as_inputs(asked), {output: numbers(answers)}, note)
        return booster


def numbers(values):
    """Returns an array as nested lists, with None for NaN."""
    if isinstance(values, np.ndarray):
        return [numbers(value) for value in values]
    return None if np.isnan(values) else float(values)


def cell(value):
    """Returns a value of a frame as JSON."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (np.integer, int)):
        return int(value)
    return value if isinstance(value, str) else float(np.float32(value))


def as_inputs(data):
    """Returns rows in the form of the field `inputs`."""
    if isinstance(data, pd.DataFrame):
        columns = {str(name): data[name] for name in data.columns}
        if VERSION < (3, 1):
            # The files do not have the categories.
            codes = {name: values.cat.codes for name, values in columns.items() if values.dtype == "category"}
            columns.update({name: values.replace(-1, np.nan) for name, values in codes.items()})
        return {name: [cell(value) for value in values] for name, values in columns.items()}
    return {"rows": numbers(np.asarray(data, dtype=np.float32))}


def matrix(rng, missing=0.0):
    data = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    # Values that repeat put rows exactly onto thresholds.
    data[:, 1] = np.round(data[:, 1] * 4) / 4
    data[:, 2] = rng.integers(0, 5, ROWS)
    if missing:
        data[rng.random(data.shape) < missing] = np.nan
    return data


def signal(data, rng):
    filled = np.nan_to_num(data, nan=-0.7)
    return (
        filled[:, 0] * 1.5 + np.sin(filled[:, 1] * 2) + (filled[:, 2] > 2) * filled[:, 3] + rng.normal(size=ROWS) * 0.2
    ).astype(np.float32)


def objectives(writer, rng):
    """One model for each objective."""
    data = matrix(rng)
    target = signal(data, rng)
    positive = np.exp(target / 3).astype(np.float32)
    binary = (target > 0).astype(np.float32)
    squashed = (1 / (1 + np.exp(-target))).astype(np.float32)
    for name, labels in [
        ("reg:squarederror", target),
        ("reg:squaredlogerror", positive),
        ("reg:absoluteerror", target),
        ("reg:pseudohubererror", target / 3),
        ("reg:logistic", squashed),
        ("reg:gamma", positive),
        ("reg:tweedie", np.floor(positive)),
        ("count:poisson", np.floor(positive)),
        ("survival:cox", np.where(binary > 0, positive, -positive)),
    ]:
        writer.train(name.replace(":", "_"), {"objective": name}, data, labels)
    writer.train("binary_logistic", {"objective": "binary:logistic"}, data, binary, output="probability")
    writer.train("binary_hinge", {"objective": "binary:hinge"}, data, binary, output="class")
    bounds = positive, np.where(binary > 0, positive, np.inf).astype(np.float32)
    writer.train("survival_aft", {"objective": "survival:aft"}, data, None, bounds=bounds)
    relevance = np.clip(np.round(target + 2), 0, 4)
    for name in ("pairwise", "ndcg", "map"):
        labels = binary if name == "map" else relevance
        writer.train(f"rank_{name}", {"objective": f"rank:{name}"}, data, labels, group=[50] * (ROWS // 50))
    classes = np.digitize(target, [-1.5, 0, 1.5])
    for name, output in (("softprob", "probability"), ("softmax", "class")):
        parameters = {"objective": f"multi:{name}", "num_class": 4}
        writer.train(f"multi_{name}", parameters, data, classes, output=output)
    writer.train("two_classes", {"objective": "multi:softprob", "num_class": 2}, data, binary, output="probability")
    for alpha in ([0.5], [0.1, 0.5, 0.9]):
        parameters = {"objective": "reg:quantileerror", "quantile_alpha": alpha}
        writer.train(f"quantiles_{len(alpha)}", parameters, data, target)


def base_scores(writer, rng):
    """Base scores that are given, up to the limits of what XGBoost accepts."""
    data = matrix(rng)
    target = signal(data, rng)
    binary = (target > 0).astype(np.float32)
    for score in (0.25, 0.999, 1e-7):
        parameters = {"objective": "binary:logistic", "base_score": score}
        writer.train(f"base_logistic_{score}", parameters, data, binary, output="probability")
    parameters = {"objective": "reg:squarederror", "base_score": -12.5}
    writer.train("base_squarederror", parameters, data, target)
    parameters = {"objective": "count:poisson", "base_score": 3}
    writer.train("base_poisson", parameters, data, np.floor(np.exp(target / 3)))
    ones = np.ones(ROWS, dtype=np.float32)
    if VERSION >= (3, 2):
        writer.train("only_one_class", {"objective": "binary:logistic"}, data, ones, output="probability")
    parameters = {"objective": "multi:softprob", "num_class": 3, "base_score": 0.5}
    writer.train("base_softprob", parameters, data, np.digitize(target, [-1, 1]), output="probability")


def growth(writer, rng):
    """Ways to grow trees."""
    data = matrix(rng, missing=0.15)
    target = signal(data, rng)
    binary = (target > 0).astype(np.float32)
    for method in ("exact", "approx", "hist"):
        writer.train(f"method_{method}", {"tree_method": method, "max_depth": 6}, data, target)
    # The pruner leaves deleted nodes behind.
    parameters = {"tree_method": "exact", "gamma": 3.0, "max_depth": 7, "min_child_weight": 0}
    writer.train("pruned_exact", parameters, data, target)
    parameters = {"tree_method": "hist", "gamma": 2.0, "updater": "grow_quantile_histmaker,prune", "max_depth": 7}
    writer.train("pruned_hist", parameters, data, target)
    parameters = {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0, "tree_method": "hist"}
    writer.train("lossguide", parameters, data, target)
    parameters = {"monotone_constraints": "(1,-1,0,0,0,0,0,0)", "max_bin": 16}
    writer.train("monotone", parameters, data, target)
    parameters = {"interaction_constraints": "[[0,1],[2,3,4]]", "subsample": 0.6, "colsample_bynode": 0.7}
    writer.train("sampled", parameters, data, target)
    writer.train("stump", {"max_depth": 1, "objective": "binary:logistic"}, data, binary, output="probability")
    writer.train("roots_only", {"gamma": 1e9}, data, target, rounds=3)
    writer.train("deep", {"max_depth": 14, "min_child_weight": 0, "lambda": 0.0}, data, target, rounds=3)
    large = data * np.float32(1e37)
    writer.train("large_values", {}, large, target)
    tiny = data * np.float32(1e-40)
    writer.train("tiny_values", {"tree_method": "exact"}, tiny, target)


def forests(writer, rng):
    """Several trees per iteration."""
    data = matrix(rng)
    target = signal(data, rng)
    forest = {"num_parallel_tree": 6, "subsample": 0.7, "colsample_bynode": 0.7, "eta": 1.0}
    writer.train("forest", forest, data, target, rounds=1)
    writer.train("forest_boosted", {**forest, "eta": 0.4}, data, target, rounds=3)
    parameters = {**forest, "objective": "multi:softprob", "num_class": 3}
    classes = np.digitize(target, [-1, 1])
    writer.train("forest_classes", parameters, data, classes, rounds=2, output="probability")
    parameters = {**forest, "objective": "binary:logistic"}
    writer.train("forest_binary", parameters, data, (target > 0) * 1.0, rounds=1, output="probability")


def dart(writer, rng):
    """Trees with weights."""
    data = matrix(rng, missing=0.1)
    target = signal(data, rng)
    drop = {"booster": "dart", "rate_drop": 0.4, "one_drop": 1}
    for kind in ("tree", "forest"):
        writer.train(f"dart_{kind}", {**drop, "normalize_type": kind}, data, target, rounds=12)
    parameters = {**drop, "objective": "multi:softprob", "num_class": 3, "sample_type": "weighted"}
    writer.train("dart_classes", parameters, data, np.digitize(target, [-1, 1]), output="probability")
    parameters = {**drop, "objective": "binary:logistic", "num_parallel_tree": 3}
    writer.train("dart_forest_binary", parameters, data, (target > 0) * 1.0, output="probability")


def targets(writer, rng):
    """Several outputs per row."""
    data = matrix(rng)
    target = signal(data, rng)
    several = np.stack([target, -2 * target + 50, np.abs(target)], axis=1)
    binary = (several > np.median(several, axis=0)).astype(np.float32)
    for strategy in ("one_output_per_tree", "multi_output_tree"):
        parameters = {"multi_strategy": strategy, "tree_method": "hist"}
        writer.train(f"targets_{strategy}", parameters, data, several)
        parameters = {**parameters, "objective": "binary:logistic"}
        writer.train(f"labels_{strategy}", parameters, data, binary)
        parameters = {**parameters, "objective": "multi:softprob", "num_class": 3}
        classes = np.digitize(target, [-1, 1])
        writer.train(f"classes_{strategy}", parameters, data, classes, output="probability")
    parameters = {"multi_strategy": "multi_output_tree", "num_parallel_tree": 3, "subsample": 0.6}
    writer.train("targets_forest", parameters, data, several, rounds=3)
    parameters = {"multi_strategy": "multi_output_tree", "gamma": 1e9}
    writer.train("targets_roots_only", parameters, data, several, rounds=2)


def frame(rng, kinds):
    """A frame with categories of each of `kinds`, two numbers, and a target that depends on all."""
    columns, target = {}, rng.normal(size=ROWS) * 0.3
    for name, categories in kinds.items():
        codes = rng.integers(0, len(categories), ROWS)
        effect = rng.normal(size=len(categories)) * 2
        target += effect[codes]
        if isinstance(categories, list):
            categories = pd.Index(categories, dtype=object)
        values = pd.Categorical.from_codes(codes, categories=categories)
        values[rng.random(ROWS) < 0.05] = None
        columns[name] = values
    columns["age"] = rng.normal(40, 12, ROWS).astype(np.float32)
    columns["age"][rng.random(ROWS) < 0.2] = np.nan
    columns["visits"] = rng.integers(0, 9, ROWS)
    target += np.nan_to_num(columns["age"], nan=30) / 20
    return pd.DataFrame(columns), target.astype(np.float32)


def categories(writer, rng):
    """Categorical splits: partitions and one category against the rest, of texts and integers in any order."""
    kinds = {
        "color": ["red", "green", "blue", "größe" if VERSION >= (3, 4) else "size", "", "a longer name"],
        "unsorted": [f"shop {at * 7 % 40}" for at in range(40)],
        "number": pd.Index([10, -3, 7, 100000, 0], dtype="int64"),
        "small": pd.Index([5, 1, 200], dtype="int32"),
    }
    data, target = frame(rng, kinds)
    options = {"enable_categorical": True, "output": "value"}
    for one_hot in (1, 8, 100):
        for method in ("hist", "approx"):
            parameters = {"max_cat_to_onehot": one_hot, "tree_method": method, "max_depth": 5}
            writer.train(f"categories_{method}_{one_hot}", parameters, data, target, **options)
    parameters = {"objective": "binary:logistic", "grow_policy": "lossguide", "max_leaves": 12}
    binary = (target > 2) * 1.0
    writer.train("categories_binary", parameters, data, binary, enable_categorical=True, output="probability")
    parameters = {"booster": "dart", "rate_drop": 0.3, "one_drop": 1}
    writer.train("categories_dart", parameters, data, target, **options)
    parameters = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
    if VERSION >= (3, 3):
        several = np.stack([target, target * -0.5 + 3], axis=1)
        writer.train("categories_targets", parameters, data, several, **options)
    if (3, 1) <= VERSION <= (3, 3):
        # These versions damage texts that are not ASCII, so that the codes are asked.
        data, target = frame(rng, {"color": ["röd", "grün", "blau"]})
        booster = writer.train("categories_damaged", {}, data, target, **options)
        answers = {"value": numbers(booster.predict(xgb.DMatrix(data[:ASKED], enable_categorical=True)))}
        data["color"] = data["color"].cat.codes.replace(-1, np.nan)
        writer.write("categories_damaged", booster, as_inputs(data[:ASKED]), answers, "texts that are lost")
        writer.names.pop()
    codes = matrix(rng)[:, :3].copy()
    codes[:, 2] = rng.integers(0, 70, ROWS)
    labels = (codes[:, 0] + (codes[:, 2] % 7)).astype(np.float32)
    asked = codes.copy()
    # Codes that are unknown, negative, fractions or beyond the range of categories.
    asked[:8, 2] = [70, 31, 32, 95, 96, 1000, 16777215, 16777217]
    asked[8:12, 2] = [2.75, 6.999, np.nan, 69.5]
    types = {"feature_types": ["q", "float", "c"]}
    writer.train("codes", {"max_cat_to_onehot": 4}, codes, labels, asked=asked, **types)


def names(writer, rng):
    """Names and types of inputs, and missing values by another number."""
    data = matrix(rng)
    target = signal(data, rng)
    labels = {"feature_names": ["a b", 'quote"', "tab\t", "ü", "back\\slash", "C:\\users", "{}", "x/y"]}
    writer.train("names", {}, data, target, **labels)
    table = pd.DataFrame(
        {
            "whole": rng.integers(-5, 5, ROWS),
            "flag": rng.random(ROWS) < 0.5,
            "float": data[:, 0],
            "half": data[:, 3].astype(np.float32),
        }
    )
    writer.train("types", {}, table, table["whole"] + table["flag"] * 2.0 + table["float"])


def stopped(writer, rng):
    """Training that stopped early: the wrapper uses fewer iterations than the booster."""
    data = matrix(rng)
    target = signal(data, rng) + rng.normal(size=ROWS).astype(np.float32)
    binary = (target > 0).astype(np.float32)
    classes = np.digitize(target, [-1, 1])
    for name, labels, parameters, output in [
        ("stopped", target, {"objective": "reg:squarederror"}, "value"),
        ("stopped_binary", binary, {"objective": "binary:logistic"}, "probability"),
        ("stopped_forest", target, {"num_parallel_tree": 3, "subsample": 0.7}, "value"),
        ("stopped_classes", classes, {"objective": "multi:softprob", "num_class": 3}, "probability"),
    ]:
        parameters = {"max_depth": 5, "eta": 0.5, "seed": 7, "nthread": 1, **parameters}
        halves = [xgb.DMatrix(data[part], labels[part]) for part in (slice(0, 150), slice(150, None))]
        booster = xgb.train(
            parameters, halves[0], 60, evals=[(halves[1], "valid")], early_stopping_rounds=4, verbose_eval=False
        )
        asked = xgb.DMatrix(data[:ASKED])
        expected = {
            output: numbers(booster.predict(asked)),
            f"{output}_wrapper": numbers(booster.predict(asked, iteration_range=(0, booster.best_iteration + 1))),
        }
        note = f"xgboost {xgb.__version__}: stopped early, best_iteration {booster.best_iteration}"
        writer.write(name, booster, as_inputs(data[:ASKED]), expected, note)


def continued(writer, rng):
    """Models that were changed after training: continued, sliced, refreshed."""
    data = matrix(rng)
    target = signal(data, rng)
    booster = writer.train("short", {}, data, target, rounds=3)
    writer.train("continued", {"max_depth": 2}, data, target, rounds=3, xgb_model=booster)
    longer = writer.train("long", {"objective": "reg:absoluteerror"}, data, target, rounds=10)
    part = longer[2:8:2]
    answers = {"value": numbers(part.predict(xgb.DMatrix(data[:ASKED])))}
    writer.write("sliced", part, as_inputs(data[:ASKED]), answers, "every second tree of a longer model")
    update = {"process_type": "update", "updater": "refresh", "refresh_leaf": 1}
    writer.train("refreshed", update, data[:100], target[:100] + 1, rounds=3, xgb_model=booster)


def main(folder):
    writer = Writer(folder)
    groups = [objectives, base_scores, growth, forests, dart, targets, categories, names, stopped, continued]
    for seed, group in enumerate(groups):
        group(writer, np.random.default_rng(seed))
    (writer.folder / "index.json").write_text(json.dumps(writer.names))


if __name__ == "__main__":
    main(sys.argv[1])
