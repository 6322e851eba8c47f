"""Writes model files of LightGBM, and the answers of LightGBM itself, into a folder.

    python lightgbm_answers.py FOLDER

Needs lightgbm, numpy and pandas. For each case it writes NAME.model.txt and NAME.json, which has the form of the fixtures: 40 rows of
`inputs`, either a matrix `rows` or one list per column, and the `expected` answers, `probability` or `value`, and `raw` (the sums) where
they are comparable. null is a missing value. Everything is seeded. Releases before 4 lack parameters; cases that fail there are skipped.
"""

import json
import os
import re
import sys
import warnings

import lightgbm as lgb
import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")

COUNT = 600
SHOWN = 40
RELEASE = int(lgb.__version__.split(".")[0])
BASE = {"verbose": -1, "verbosity": -1, "num_threads": 1, "seed": 7, "num_leaves": 12, "min_data_in_leaf": 5, "learning_rate": 0.2,
        "min_data_per_group": 2, "cat_smooth": 1, "deterministic": True}
PROBABILITIES = ("binary", "multiclass", "multiclassova")
BAGGED = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}


def matrix(rng, count, missing=True):
    """Six columns: normal, small whole numbers, mostly zero, skewed, categories with gaps, many categories."""
    columns = [
        rng.normal(size=count),
        rng.randint(0, 5, count),
        np.where(rng.rand(count) < 0.7, 0, rng.normal(size=count)),
        np.exp(2 * rng.normal(size=count)),
        rng.choice([0, 1, 3, 31, 32, 63, 64, 700], count),
        rng.randint(0, 90, count),
    ]
    rows = np.stack(columns, axis=1).astype(float)
    if missing:
        for column in (0, 2, 4):
            rows[rng.rand(count) < 0.15, column] = np.nan
    return rows


def target(rng, rows):
    """A number that depends on every column."""
    x = np.nan_to_num(rows, nan=0.7)
    group = np.isin(x[:, 4], [1, 32, 700])
    many = np.isin(x[:, 5] % 7, [2, 5])
    signal = x[:, 0] + 0.5 * x[:, 1] + 2 * np.sign(x[:, 2]) + 0.3 * np.log(x[:, 3] + 1) + 1.5 * group + many
    return signal + 0.3 * rng.normal(size=len(rows))


def frame(rng, count):
    """A data frame with columns of type category."""
    sizes = pd.Categorical(rng.choice(["S", "M", "L", "XL"], count), categories=["S", "M", "L", "XL", "XXL"], ordered=True)
    shops = pd.Categorical(rng.choice([3, 10, 20, 77, 500], count))
    data = {
        "amount": np.round(rng.normal(size=count) * 10, 2),
        "size": sizes,
        "colour": pd.Categorical(rng.choice(["red", "green", "blü", "a \"quoted\" \\ one", "日本"], count)),
        "shop": shops,
        "grade": pd.Categorical(np.where(rng.rand(count) < 0.2, np.nan, rng.choice([1.0, 2.0, 4.0], count))),
        "member": pd.Categorical(rng.rand(count) < 0.4),
        "days": rng.randint(0, 400, count) - 30,
    }
    result = pd.DataFrame(data)
    for column in ("amount", "size", "colour"):
        result.loc[rng.rand(count) < 0.1, column] = None
    return result


def frame_target(rng, data):
    signal = data["amount"].fillna(3) / 10 + 2 * data["colour"].isin(["red", "日本"]) + data["shop"].isin([10, 77])
    signal = signal + data["size"].isin(["L", "XL"]) - data["grade"].isin([2.0]) + data["member"].astype(float)
    return (signal + 0.2 * rng.normal(size=len(data))).to_numpy(dtype=float)


def at_thresholds(rng, booster, rows):
    """Moves some values of rows to thresholds of the model, and beside them: `<=` is tested where it matters."""
    text = model_text(booster)
    inputs = " ".join(re.findall(r"^split_feature=(.*)$", text, re.M)).split()
    thresholds = " ".join(re.findall(r"^threshold=(.*)$", text, re.M)).split()
    types = " ".join(re.findall(r"^decision_type=(.*)$", text, re.M)).split()
    numeric = [(int(i), float(t)) for i, t, d in zip(inputs, thresholds, types) if int(d) % 2 == 0]
    for row in rows[: SHOWN // 2]:
        for at in rng.permutation(len(numeric))[:3]:
            column, threshold = numeric[at]
            row[column] = [threshold, np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf)][rng.randint(3)]
    return rows


def special_rows(rows):
    """Overwrites the last rows with values at which the rules of missing values and categories change."""
    values = [0.0, -0.0, 1e-36, -1e-36, 1.0000000180025095e-35, 1.1e-35, -0.5, -1.0, 0.9999, 64.7, 5000.0, np.nan]
    for index, value in enumerate(values):
        rows[-1 - index, :] = value
    return rows


def model_text(booster):
    return booster.model_to_string() if hasattr(booster, "model_to_string") else booster._save_model_to_string()


def listed(values):
    """Returns values as lists for JSON, with null for missing ones."""
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return [listed(row) for row in values]
    return [None if value is None or value != value else value for value in np.asarray(values).tolist()]


class Answers:
    """Writes the cases."""

    def __init__(self, folder):
        self.folder = folder
        self.names = []
        os.makedirs(folder, exist_ok=True)

    def add(self, name, booster, rows, note="", raw=True, save=None, predict=None):
        name = "lgb_" + name
        file = name + ".model.txt"
        booster.save_model(os.path.join(self.folder, file), **(save or {}))
        predict = predict or {}
        answers = booster.predict(rows, **predict)
        text = model_text(booster)
        objective = re.findall(r"^objective=(\S+)", text, re.M)
        kind = "probability" if objective and objective[0] in PROBABILITIES else "value"
        expected = {kind: answers.tolist()}
        if raw:
            expected["raw"] = booster.predict(rows, raw_score=True, **predict).tolist()
        if isinstance(rows, pd.DataFrame):
            inputs = {column: listed(rows[column].astype(object).where(rows[column].notna(), None)) for column in rows.columns}
        else:
            inputs = {"rows": listed(rows)}
        document = {"name": name, "files": [file], "note": "lightgbm %s: %s" % (lgb.__version__, note or name), "inputs": inputs,
                    "expected": expected}
        written = json.dumps(document, allow_nan=False)
        with open(os.path.join(self.folder, name + ".json"), "w") as out:
            out.write(written)
        self.names.append(name)


def train(params, rows, labels, rounds=8, categorical=None, fit=None, **dataset):
    params = dict(BASE, **params)
    data = lgb.Dataset(rows, labels, params=params, categorical_feature=categorical if categorical else "auto", **dataset)
    return lgb.train(params, data, rounds, **(fit or {}))


def labels_for(objective, signal):
    """Labels that suit an objective."""
    order = signal.argsort().argsort() / len(signal)
    if objective in ("poisson", "gamma", "tweedie"):
        return np.exp(signal / 4)
    if objective in ("cross_entropy", "cross_entropy_lambda", "xentropy", "xentlambda"):
        return order
    if objective == "binary":
        return (order > 0.6).astype(float)
    if objective in ("multiclass", "multiclassova"):
        return np.minimum((order * 3).astype(int), 2).astype(float)
    if objective in ("lambdarank", "rank_xendcg"):
        return np.minimum((order * 4).astype(int), 3).astype(float)
    return signal


def matrix_cases(answers):
    """Objectives, ways of boosting, missing values and categories given as codes."""
    objectives = [
        ("regression", {}), ("regression_sqrt", {"objective": "regression", "reg_sqrt": True}), ("regression_l1", {}),
        ("regression_l1_sqrt", {"objective": "regression_l1", "reg_sqrt": True}), ("huber", {}), ("fair", {}),
        ("fair_sqrt", {"objective": "fair", "reg_sqrt": True}), ("quantile", {"alpha": 0.3}),
        ("quantile_sqrt", {"objective": "quantile", "reg_sqrt": True}), ("mape", {}), ("poisson", {}), ("gamma", {}), ("tweedie", {}),
        ("binary", {}), ("binary_sigmoid", {"objective": "binary", "sigmoid": 0.7}),
        ("binary_unbalanced", {"objective": "binary", "is_unbalance": True}), ("multiclass", {"num_class": 3}),
        ("multiclass_absent", {"objective": "multiclass", "num_class": 5}), ("multiclassova", {"num_class": 3, "sigmoid": 2.5}),
        ("cross_entropy", {}), ("cross_entropy_lambda", {}), ("lambdarank", {}), ("rank_xendcg", {}),
    ]
    variants = [
        ("dart", {"objective": "regression", "boosting": "dart", "drop_rate": 0.5}),
        ("dart_binary", {"objective": "binary", "boosting": "dart", "xgboost_dart_mode": True}),
        ("rf", dict(BAGGED, objective="regression")), ("rf_binary", dict(BAGGED, objective="binary")),
        ("rf_multiclass", dict(BAGGED, objective="multiclass", num_class=3)), ("rf_sqrt", dict(BAGGED, objective="regression", reg_sqrt=True)),
        ("rf_poisson", dict(BAGGED, objective="poisson")),
        ("goss", {"objective": "binary", "data_sample_strategy": "goss"} if RELEASE >= 4 else {"objective": "binary", "boosting": "goss"}),
        ("no_missing", {"objective": "regression", "use_missing": False}),
        ("zero_as_missing", {"objective": "binary", "zero_as_missing": True}),
        ("monotone", {"objective": "regression", "monotone_constraints": [1, 0, 0, -1, 0, 0]}),
        ("few_bins", {"objective": "regression", "max_bin": 4}), ("extra_trees", {"objective": "regression", "extra_trees": True}),
        ("stumps", {"objective": "binary", "num_leaves": 2}), ("deep", {"objective": "regression", "num_leaves": 200, "min_data_in_leaf": 1}),
        ("smooth", {"objective": "regression", "path_smooth": 3.0, "lambda_l1": 0.1, "max_delta_step": 0.5}),
        ("interactions", {"objective": "regression", "interaction_constraints": "[0,1,4],[2,3,5]"}),
        ("quantized", {"objective": "regression", "use_quantized_grad": True}),
        ("unsplit", {"objective": "regression", "min_data_in_leaf": 10000}),
        ("unsplit_classes", {"objective": "multiclass", "num_class": 3, "min_data_in_leaf": 10000}),
        ("no_average", {"objective": "binary", "boost_from_average": False}),
        ("one_hot", {"objective": "regression", "max_cat_to_onehot": 200}),
        ("linear", {"objective": "regression", "linear_tree": True}),
        ("linear_binary", {"objective": "binary", "linear_tree": True, "linear_lambda": 0.1}),
        ("linear_multiclass", {"objective": "multiclass", "num_class": 3, "linear_tree": True}),
        ("linear_no_missing", {"objective": "regression", "linear_tree": True, "use_missing": False}),
        ("linear_dart", {"objective": "regression", "linear_tree": True, "boosting": "dart", "drop_rate": 0.4}),
        ("linear_unsplit", {"objective": "regression", "linear_tree": True, "min_data_in_leaf": 10000}),
    ]
    for index, (name, params) in enumerate(objectives + variants):
        rng = np.random.RandomState(100 + index)
        rows = matrix(rng, COUNT, missing=name != "goss")
        params = dict({"objective": name}, **params)
        labels = labels_for(params["objective"], target(rng, rows))
        extra = {"group": [60] * 10} if params["objective"] in ("lambdarank", "rank_xendcg") else {}
        for suffix, categorical in [("", None), ("_codes", [4, 5])]:
            add_matrix_case(answers, rng, name + suffix, params, rows, labels, categorical, extra)


def add_matrix_case(answers, rng, name, params, rows, labels, categorical, extra):
    try:
        booster = train(params, rows, labels, categorical=categorical, **extra)
    except Exception:
        if RELEASE >= 4:
            raise
        return
    shown = special_rows(at_thresholds(rng, booster, matrix(rng, SHOWN)))
    answers.add(name, booster, shown, raw=params.get("boosting") != "rf")


def lifecycle_cases(answers):
    """What happens to a model between training and saving."""
    rng = np.random.RandomState(5)
    rows = matrix(rng, COUNT)
    labels = target(rng, rows)
    shown = special_rows(matrix(rng, SHOWN))
    base = {"objective": "regression"}
    booster = train(base, rows, labels, rounds=12)
    answers.add("first_iterations", booster, shown, save={"num_iteration": 5}, predict={"num_iteration": 5})
    more = train(base, rows, labels, rounds=4, fit={"init_model": booster})
    answers.add("continued", more, shown)
    classes = train({"objective": "multiclass", "num_class": 3}, rows, labels_for("multiclass", labels), rounds=12)
    answers.add("first_iterations_classes", classes, shown, save={"num_iteration": 7}, predict={"num_iteration": 7})

    def squared(scores, data):
        return scores - data.get_label(), np.ones_like(scores)

    if RELEASE < 4:
        return
    answers.add("last_iterations", booster, shown, save={"num_iteration": 4, "start_iteration": 6},
                predict={"num_iteration": 4, "start_iteration": 6})
    answers.add("custom", train({"objective": squared}, rows, labels), shown)

    def by_class(scores, data):
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        wanted = np.eye(3)[data.get_label().astype(int)]
        return shares - wanted, 2 * shares * (1 - shares)

    answers.add("custom_classes", train({"objective": by_class, "num_class": 3}, rows, labels_for("multiclass", labels)), shown)
    answers.add("refitted", booster.refit(rows[:300], labels[:300]), shown)
    answers.add("reloaded", lgb.Booster(model_str=model_text(train(dict(base, linear_tree=True), rows, labels))), shown)
    early = lgb.train(dict(BASE, **base, learning_rate=0.9), lgb.Dataset(rows[:300], labels[:300]), 60,
                      valid_sets=[lgb.Dataset(rows[300:], labels[300:])], callbacks=[lgb.early_stopping(3, verbose=False)])
    answers.add("early", early, shown)
    answers.add("large_numbers", train(base, np.where(np.isnan(rows), np.nan, rows * 1e200), labels), shown * 1e200)
    answers.add("small_numbers", train(base, rows * 1e-33, labels), shown * 1e-33)
    names = ["plain", "with=equals", "größe", "100%", "a.b(c)", "x|y"]
    answers.add("names", train(base, rows, labels, feature_name=names), shown)


def frame_cases(answers):
    """Data frames with columns of type category."""
    for index, (name, params, categorical) in enumerate([
        ("frame", {"objective": "binary"}, None),
        ("frame_regression", {"objective": "regression"}, None),
        ("frame_multiclass", {"objective": "multiclass", "num_class": 3}, None),
        ("frame_no_missing", {"objective": "regression", "use_missing": False}, None),
        ("frame_zero", {"objective": "regression", "zero_as_missing": True}, None),
        ("frame_linear", {"objective": "regression", "linear_tree": True}, None),
        ("frame_named", {"objective": "regression"}, ["colour", "shop", "grade", "member"]),
    ]):
        rng = np.random.RandomState(300 + index)
        data = frame(rng, COUNT)
        labels = labels_for(params["objective"], frame_target(rng, data))
        try:
            booster = train(params, data, labels, categorical=categorical)
        except Exception:
            if RELEASE >= 4:
                raise
            continue
        shown = frame(rng, SHOWN)
        if RELEASE >= 3:
            # Categories that the training data did not have.
            shown["colour"] = pd.Categorical(shown["colour"].astype(object).where(rng.rand(SHOWN) > 0.2, "purple"))
            shown["shop"] = pd.Categorical(shown["shop"].astype(object).where(rng.rand(SHOWN) > 0.2, 11))
        answers.add(name, booster, shown, note=name)


def main():
    answers = Answers(sys.argv[1])
    matrix_cases(answers)
    lifecycle_cases(answers)
    frame_cases(answers)
    print("wrote %d cases with lightgbm %s" % (len(answers.names), lgb.__version__))


if __name__ == "__main__":
    main()
