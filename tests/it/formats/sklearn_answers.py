"""Writes models of scikit-learn, XGBoost and LightGBM as ONNX files, each with rows and the answers of the library that trained it.

Usage: sklearn_answers.py FOLDER [PART OF A NAME]...

Each model NAME becomes NAME.onnx and NAME.json. The JSON has the form of the fixtures: `inputs` by name of the graph's input (`rows` is
the matrix of a single input), `expected` by meaning, and `outputs`, which names the output of the graph for each key of `expected`.
`tolerance` is relative to the larger of 1 and the expected value. `null` is NaN. All is seeded. The file REFUSED.json lists what the
exporters refuse, with their reasons.

Needs scikit-learn, skl2onnx, onnxmltools, xgboost and lightgbm.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

# One thread: the same answers on every machine, and faster for models of this size. The libraries read it when they are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import lightgbm
import numpy as np
import pandas
import skl2onnx
import xgboost
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common import tree_ensemble
from skl2onnx.common.data_types import BooleanTensorType, DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes
from sklearn import calibration, cluster, compose, decomposition, discriminant_analysis, ensemble, feature_selection, gaussian_process
from sklearn import impute, linear_model, mixture, multiclass, multioutput, naive_bayes, neighbors, neural_network, pipeline
from sklearn import preprocessing, svm, tree
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

ROWS = 30
OPSET = {"": 21, "ai.onnx.ml": 3}
PLAIN = {"zipmap": False}


def register():
    """Teaches skl2onnx the converters of onnxmltools."""
    choices = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    classifier, regressor = calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes
    for model, name, shape, convert, options in [
        (lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", classifier, convert_lightgbm, choices),
        (lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", regressor, convert_lightgbm, {"split": None}),
        (xgboost.XGBClassifier, "XGBoostXGBClassifier", classifier, convert_xgboost, choices),
        (xgboost.XGBRFClassifier, "XGBoostXGBRFClassifier", classifier, convert_xgboost, choices),
        (xgboost.XGBRegressor, "XGBoostXGBRegressor", regressor, convert_xgboost, None),
    ]:
        update_registered_converter(model, name, shape, convert, options=options)


    # Node numbers of histogram trees are numpy integers, which skl2onnx does not accept.
    add_node = tree_ensemble.add_node

    def with_integers(*values, **named):
        def plain(value):
            return int(value) if isinstance(value, (np.integer, np.bool_, bool)) else value

        return add_node(*map(plain, values), **{name: plain(value) for name, value in named.items()})

    tree_ensemble.add_node = with_integers


def numbers(values):
    """Returns an array as nested lists, with None for NaN."""
    array = np.asarray(values)
    if array.dtype.kind == "f":
        listed = array.astype(object)
        listed[np.isnan(array)] = None
        return listed.tolist()
    return array.tolist()


class Cases:
    """The data, and the list of cases that it grows."""

    def __init__(self):
        self.all = []
        self.names = set()
        random = np.random.default_rng(20261130)
        for name, load in [("wine", load_wine), ("cancer", load_breast_cancer), ("diabetes", load_diabetes)]:
            data = load()
            order = random.permutation(len(data.data))
            setattr(self, name, (data.data[order].astype(np.float32), data.target[order]))
        count = 300
        self.frame = pandas.DataFrame({
            "color": random.choice(["black", "blue", "green", "red", "wei\u00df"], count),
            "size": random.choice(["S", "M", "L", "XL"], count, p=[0.3, 0.4, 0.2, 0.1]),
            "shop": random.integers(0, 9, count),
            "age": random.normal(40, 12, count).round(1).astype(np.float32),
            "income": random.gamma(4, 6000, count).astype(np.float32),
        })
        self.bought = ((self.frame.color == "red") * 1.5 + self.frame.shop * 0.2 + random.normal(0, 0.5, count) > 1).to_numpy().astype(int)
        self.holes = self.frame.age.to_numpy(copy=True).reshape(-1, 1)
        self.holes = np.hstack([self.holes, self.frame.income.to_numpy().reshape(-1, 1)])
        self.holes[random.random(self.holes.shape) < 0.2] = np.nan
        self.counts = random.integers(0, 5, (count, 6)).astype(np.float32)
        self.random = random

    def add(self, name, model, data, target=None, *, asks=None, rows=None, options=None, opset=None, tolerance=1e-5, kind=FloatTensorType):
        """Adds a model that is fitted to `data`. `asks` maps meanings to methods of the model."""
        if name in self.names:
            raise ValueError(f"two cases are named {name}")
        self.names.add(name)
        self.all.append((name, model, data, target, asks, rows, options, opset, tolerance, kind))

    def classifier(self, name, model, data, **more):
        """Adds a classifier: its class and its probabilities."""
        asks = {"class": "predict", "probability": "predict_proba"}
        self.add(name, model, *data, asks=more.pop("asks", asks), options=more.pop("options", PLAIN), **more)

    def regressor(self, name, model, data, **more):
        """Adds a regressor."""
        self.add(name, model, *data, asks={"value": "predict"}, **more)

    def transformer(self, name, model, data, **more):
        """Adds a transformer."""
        self.add(name, model, data, more.pop("target", None), asks={"transformed": "transform"}, **more)


def texts(target, names):
    """Returns classes as texts."""
    return np.array(names)[target]


def scaled(model):
    """Returns a model behind a scaler."""
    return pipeline.make_pipeline(preprocessing.StandardScaler(), model)


def linear(cases):
    """Linear models."""
    wine, cancer, diabetes = cases.wine, cases.cancer, cases.diabetes
    words = (wine[0], texts(wine[1], ["alto", "bajo", "medio"]))
    pair = (cancer[0], texts(cancer[1], ["no", "yes"]))
    decide = {"class": "predict", "scores": "decision_function"}
    raw = {"zipmap": False, "raw_scores": True}
    logistic = linear_model.LogisticRegression
    cases.classifier("logistic_binary", scaled(logistic(max_iter=500)), cancer)
    cases.classifier("logistic_texts", scaled(logistic(max_iter=500)), pair)
    cases.classifier("logistic_zipmap", scaled(logistic(max_iter=500)), pair, options={"zipmap": True})
    cases.classifier("logistic_columns", scaled(logistic(max_iter=500)), words, options={"zipmap": "columns"})
    cases.classifier("logistic_multinomial", scaled(logistic(max_iter=500)), words)
    cases.classifier("logistic_negative_ids", scaled(logistic(max_iter=500)), (cancer[0], cancer[1] * 8 - 5))
    cases.classifier("logistic_one_vs_rest", scaled(multiclass.OneVsRestClassifier(logistic(max_iter=500))), wine)
    cases.classifier("logistic_liblinear", scaled(logistic(solver="liblinear", fit_intercept=False)), cancer)
    cases.classifier("logistic_cv", scaled(linear_model.LogisticRegressionCV(Cs=2, cv=2, max_iter=500, l1_ratios=(0,), use_legacy_attributes=False)), wine)
    cases.classifier("logistic_raw", scaled(logistic(max_iter=500)), (cancer[0][:, :5], cancer[1]), asks=decide, options=raw)
    cases.classifier("logistic_raw_3", scaled(logistic(max_iter=500)), (wine[0][:, :5], wine[1]), asks=decide, options=raw)
    cases.classifier("logistic_double", scaled(logistic(max_iter=500)), cancer, kind=DoubleTensorType)
    cases.classifier("sgd_log", scaled(linear_model.SGDClassifier(loss="log_loss", random_state=1)), wine)
    cases.classifier("sgd_log_binary", scaled(linear_model.SGDClassifier(loss="log_loss", random_state=1)), pair)
    cases.classifier("sgd_huber", scaled(linear_model.SGDClassifier(loss="modified_huber", random_state=1)), wine)
    cases.classifier("sgd_hinge", scaled(linear_model.SGDClassifier(random_state=1)), cancer, asks=decide, options=raw)
    cases.classifier("perceptron", scaled(linear_model.Perceptron(random_state=1)), wine, asks=decide, options=raw)
    cases.classifier("passive", scaled(linear_model.SGDClassifier(loss="squared_hinge", random_state=1)), wine, asks=decide, options=raw)
    cases.classifier("linear_svc", scaled(svm.LinearSVC(random_state=1)), cancer, asks=decide, options={"raw_scores": True})
    cases.classifier("linear_svc_3", scaled(svm.LinearSVC(random_state=1)), words, asks=decide, options={"raw_scores": True})
    cases.classifier("ridge_classifier", scaled(linear_model.RidgeClassifier()), wine, asks=decide)
    cases.classifier("lda", discriminant_analysis.LinearDiscriminantAnalysis(), wine, tolerance=1e-4)
    cases.classifier("qda", discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1), (wine[0][:, :4], wine[1]), tolerance=1e-3)
    two = (diabetes[0], np.stack([diabetes[1], diabetes[1] ** 0.5], axis=1))
    for name, model in [
        ("linear", linear_model.LinearRegression()), ("linear_no_intercept", linear_model.LinearRegression(fit_intercept=False)),
        ("ridge", linear_model.Ridge()), ("lasso", linear_model.Lasso(0.1)), ("elastic", linear_model.ElasticNet(0.01)),
        ("ridge_cv", linear_model.RidgeCV()), ("lars", linear_model.LassoLars(0.1)), ("bayes_ridge", linear_model.BayesianRidge()),
        ("huber", scaled(linear_model.HuberRegressor())), ("theil_sen", linear_model.TheilSenRegressor(random_state=1, max_subpopulation=200)),
        ("sgd", linear_model.SGDRegressor(random_state=1)), ("linear_svr", svm.LinearSVR(random_state=1, max_iter=5000)),
        ("quantile", linear_model.QuantileRegressor(alpha=0.01)), ("ransac", linear_model.RANSACRegressor(random_state=1)),
    ]:
        cases.regressor(f"regressor_{name}", model, diabetes)
    cases.regressor("regressor_two_targets", linear_model.LinearRegression(), two)
    cases.regressor("regressor_lasso_two", linear_model.MultiTaskLasso(0.1), two)
    cases.regressor("regressor_double", scaled(linear_model.Ridge()), diabetes, kind=DoubleTensorType)
    cases.regressor("regressor_poisson", linear_model.PoissonRegressor(), diabetes, tolerance=1e-4)
    cases.regressor("regressor_gamma", linear_model.GammaRegressor(), diabetes, tolerance=1e-4)
    cases.regressor("regressor_tweedie", linear_model.TweedieRegressor(power=1.5), diabetes, tolerance=1e-4)
    cases.regressor("regressor_multi_output", multioutput.MultiOutputRegressor(linear_model.Ridge()), two)


def trees(cases):
    """Models of trees of scikit-learn."""
    wine, cancer, diabetes = cases.wine, cases.cancer, cases.diabetes
    words = (wine[0], texts(wine[1], ["alto", "bajo", "medio"]))
    pair = (cancer[0], texts(cancer[1], ["no", "yes"]))
    two = (diabetes[0], np.stack([diabetes[1], diabetes[1] ** 0.5], axis=1))
    rare = (cancer[0], np.where(cases.random.random(len(cancer[1])) < 0.9, 1, cancer[1]))
    fine = 1e-6
    for ends, data in [("binary", cancer), ("texts", words), ("pair", pair)]:
        cases.classifier(f"tree_{ends}", tree.DecisionTreeClassifier(max_depth=4, random_state=1), data, tolerance=fine)
        cases.classifier(f"forest_{ends}", ensemble.RandomForestClassifier(8, max_depth=5, random_state=1), data, tolerance=fine)
        cases.classifier(f"extra_{ends}", ensemble.ExtraTreesClassifier(10, max_depth=5, random_state=1), data, tolerance=fine)
        cases.classifier(f"boosting_{ends}", ensemble.GradientBoostingClassifier(n_estimators=10, random_state=1), data, tolerance=fine)
    forest = ensemble.RandomForestClassifier
    cases.classifier("tree_deep", tree.DecisionTreeClassifier(random_state=2), wine, tolerance=fine)
    cases.classifier("tree_extra", tree.ExtraTreeClassifier(random_state=2), wine, tolerance=fine)
    cases.classifier("tree_root_only", tree.DecisionTreeClassifier(max_depth=1, min_samples_split=10000), wine, tolerance=fine)
    cases.classifier("tree_entropy", tree.DecisionTreeClassifier(criterion="entropy", max_leaf_nodes=6), wine, tolerance=fine)
    cases.classifier("tree_weighted", tree.DecisionTreeClassifier(max_depth=3, class_weight="balanced"), wine, tolerance=fine)
    cases.classifier("forest_ties", forest(2, random_state=3), cancer, tolerance=fine)
    cases.classifier("forest_ties_3", forest(4, max_depth=2, max_features=1, random_state=3), wine, tolerance=fine)
    cases.classifier("forest_ints", forest(6, random_state=3), (cases.counts, (cases.counts.sum(axis=1) > 11).astype(int)), tolerance=fine, kind=Int64TensorType)
    cases.classifier("forest_double", forest(6, random_state=3), cancer, tolerance=fine, kind=DoubleTensorType)
    cases.classifier("forest_zipmap", forest(4, max_depth=3, random_state=3), words, tolerance=fine, options={"zipmap": True})
    cases.classifier("forest_columns", forest(4, max_depth=3, random_state=3), pair, tolerance=fine, options={"zipmap": "columns"})
    cases.classifier("forest_opset_1", forest(4, max_depth=3, random_state=3), words, tolerance=fine, opset={"": 12, "ai.onnx.ml": 1})
    cases.classifier("forest_names_of_ids", forest(4, max_depth=3, random_state=3), (cancer[0], cancer[1] * 100 - 7), tolerance=fine)
    cases.classifier("forest_booleans", forest(4, max_depth=3, random_state=3), (cancer[0], cancer[1] == 1), tolerance=fine)
    cases.classifier("boosting_zero", ensemble.GradientBoostingClassifier(n_estimators=6, init="zero", random_state=1), cancer, tolerance=fine)
    cases.classifier("boosting_rare", ensemble.GradientBoostingClassifier(n_estimators=1, init="zero", max_depth=1, learning_rate=0.1, random_state=1), rare, tolerance=fine)
    cases.classifier("boosting_exponential", ensemble.GradientBoostingClassifier(n_estimators=6, loss="exponential", random_state=1), cancer, tolerance=fine)
    decide = {"class": "predict", "scores": "decision_function"}
    cases.classifier("boosting_raw_3", ensemble.GradientBoostingClassifier(n_estimators=6, random_state=1), wine, asks=decide, options={"zipmap": False, "raw_scores": True})
    cases.classifier("forest_leaves", forest(3, max_depth=3, random_state=3), cancer, tolerance=fine, options={"zipmap": False, "decision_leaf": True})
    cases.classifier("tree_paths", tree.DecisionTreeClassifier(max_depth=3, random_state=3), cancer, tolerance=fine, options={"zipmap": False, "decision_path": True})
    several = (wine[0], np.stack([wine[1], wine[1] == 1], axis=1).astype(int))
    cases.classifier("forest_several", forest(4, max_depth=3, random_state=3), several, tolerance=fine, asks={"class": "predict"})
    for name, model, data in [
        ("tree", tree.DecisionTreeRegressor(max_depth=5, random_state=1), diabetes),
        ("tree_two", tree.DecisionTreeRegressor(max_depth=5, random_state=1), two),
        ("extra_tree", tree.ExtraTreeRegressor(max_depth=5, random_state=1), diabetes),
        ("forest", ensemble.RandomForestRegressor(7, max_depth=5, random_state=1), diabetes),
        ("forest_two", ensemble.RandomForestRegressor(7, max_depth=5, random_state=1), two),
        ("extra", ensemble.ExtraTreesRegressor(7, max_depth=5, random_state=1), diabetes),
        ("boosting", ensemble.GradientBoostingRegressor(n_estimators=9, random_state=1), diabetes),
        ("boosting_zero", ensemble.GradientBoostingRegressor(n_estimators=9, init="zero", random_state=1), diabetes),
        ("boosting_quantile", ensemble.GradientBoostingRegressor(n_estimators=9, loss="quantile", random_state=1), diabetes),
        ("bagging", ensemble.BaggingRegressor(n_estimators=5, random_state=1), diabetes),
        ("ada", ensemble.AdaBoostRegressor(n_estimators=5, random_state=1), diabetes),
        ("histogram", ensemble.HistGradientBoostingRegressor(max_iter=5, random_state=1), diabetes),
    ]:
        cases.regressor(f"regressor_{name}", model, data, tolerance=fine)
    holes = cancer[0].copy()
    holes[cases.random.random(holes.shape) < 0.1] = np.nan
    cases.classifier("histogram_missing", ensemble.HistGradientBoostingClassifier(max_iter=3, random_state=1), (holes, cancer[1]), tolerance=fine)
    cases.classifier("histogram_3", ensemble.HistGradientBoostingClassifier(max_iter=3, random_state=1), words, tolerance=fine)
    cases.classifier("histogram", ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=1), cancer, tolerance=fine)
    cases.add("isolation_forest", ensemble.IsolationForest(n_estimators=8, random_state=1), wine[0], asks={"class": "predict", "scores": "decision_function"})


def ensembles(cases):
    """Models made of models."""
    wine, cancer, diabetes = cases.wine, cases.cancer, cases.diabetes
    words = (wine[0], texts(wine[1], ["alto", "bajo", "medio"]))
    logistic = scaled(linear_model.LogisticRegression(max_iter=500))
    stump = tree.DecisionTreeClassifier(max_depth=2, random_state=1)
    bayes = naive_bayes.GaussianNB()
    ridge, leafs = linear_model.Ridge(), tree.DecisionTreeRegressor(max_depth=3, random_state=1)
    cases.classifier("ada_boost", ensemble.AdaBoostClassifier(stump, n_estimators=5, random_state=1), wine)
    cases.classifier("ada_boost_binary", ensemble.AdaBoostClassifier(stump, n_estimators=5, random_state=1), cancer)
    cases.classifier("bagging", ensemble.BaggingClassifier(stump, n_estimators=5, random_state=1), words)
    cases.classifier("bagging_logistic", ensemble.BaggingClassifier(logistic, n_estimators=3, random_state=1), cancer)
    cases.classifier("voting_soft", ensemble.VotingClassifier([("a", logistic), ("b", stump)], voting="soft", flatten_transform=False), words)
    cases.classifier("voting_weights", ensemble.VotingClassifier([("a", logistic), ("b", stump)], voting="soft", flatten_transform=False, weights=np.array([3.0, 1.0])), cancer)
    cases.classifier("voting_hard", ensemble.VotingClassifier([("a", logistic), ("b", stump), ("c", bayes)], flatten_transform=False), wine, asks={"class": "predict"})
    cases.classifier("stacking", ensemble.StackingClassifier([("a", logistic), ("b", stump)], linear_model.LogisticRegression(), cv=3), wine)
    cases.classifier("stacking_binary", ensemble.StackingClassifier([("a", logistic), ("b", stump)], linear_model.LogisticRegression(), cv=3), cancer)
    cases.regressor("regressor_voting", ensemble.VotingRegressor([("a", ridge), ("b", leafs)], weights=np.array([1.0, 2.0])), diabetes)
    cases.regressor("regressor_stacking", ensemble.StackingRegressor([("a", ridge), ("b", leafs)], linear_model.Ridge(), cv=3), diabetes)
    for method, ends, data in [("sigmoid", "binary", cancer), ("sigmoid", "3", wine), ("isotonic", "binary", cancer)]:
        cases.classifier(f"calibrated_{method}_{ends}", calibration.CalibratedClassifierCV(bayes, method=method, cv=2), data, tolerance=1e-3)
    cases.classifier("calibrated_forest", calibration.CalibratedClassifierCV(ensemble.RandomForestClassifier(5, random_state=1), cv=2), wine)
    cases.classifier("one_vs_rest_trees", multiclass.OneVsRestClassifier(stump), words)
    cases.classifier("one_vs_one", multiclass.OneVsOneClassifier(linear_model.LogisticRegression(max_iter=60)), wine, asks={"class": "predict"})
    several = (wine[0], np.stack([wine[1], wine[1] == 1], axis=1).astype(int))
    cases.classifier("multi_output", multioutput.MultiOutputClassifier(stump), several, asks={"class": "predict"})


def others(cases):
    """Neighbours, networks, naive Bayes, support vectors, clusters, mixtures."""
    wine, cancer, diabetes = cases.wine, cases.cancer, cases.diabetes
    words = (wine[0], texts(wine[1], ["alto", "bajo", "medio"]))
    small, narrow = (wine[0][:, :4], wine[1]), (diabetes[0][:, :4], diabetes[1])
    two = (narrow[0], np.stack([narrow[1], narrow[1] ** 0.5], axis=1))
    for activation in ["relu", "tanh", "logistic", "identity"]:
        network = neural_network.MLPClassifier((8, 5), activation=activation, random_state=1, max_iter=100)
        cases.classifier(f"network_{activation}", scaled(network), wine)
        regressor = neural_network.MLPRegressor(hidden_layer_sizes=(6,), activation=activation, random_state=1, max_iter=500)
        cases.regressor(f"regressor_network_{activation}", scaled(regressor), narrow)
    network = neural_network.MLPClassifier((8,), random_state=1, max_iter=100)
    cases.classifier("network_binary", scaled(network), (cancer[0], texts(cancer[1], ["no", "yes"])))
    cases.classifier("network_texts", scaled(network), words)
    labels = (wine[0], np.stack([wine[1] == 0, wine[1] == 1], axis=1).astype(int))
    cases.classifier("network_several", scaled(network), labels, asks={"class": "predict"})
    cases.regressor("regressor_network_two", scaled(neural_network.MLPRegressor(hidden_layer_sizes=(6,), random_state=1, max_iter=60)), two)
    cases.classifier("neighbors", scaled(neighbors.KNeighborsClassifier(5)), words)
    cases.regressor("regressor_neighbors", scaled(neighbors.KNeighborsRegressor(4)), narrow, tolerance=1e-4)
    cases.classifier("neighbors_manhattan", scaled(neighbors.KNeighborsClassifier(3, metric="manhattan")), wine)
    cases.transformer("neighbors_components", neighbors.NeighborhoodComponentsAnalysis(2, random_state=1, max_iter=5), small[0], target=small[1], tolerance=1e-3)
    positive = (cases.counts, (cases.counts[:, 0] > 2).astype(int))
    cases.classifier("bayes_gauss", naive_bayes.GaussianNB(), wine, tolerance=1e-3)
    cases.classifier("bayes_gauss_texts", naive_bayes.GaussianNB(), words, tolerance=1e-3)
    cases.classifier("bayes_bernoulli", naive_bayes.BernoulliNB(binarize=1.0), positive)
    cases.classifier("bayes_multinomial", naive_bayes.MultinomialNB(), positive)
    cases.classifier("bayes_complement", naive_bayes.ComplementNB(), positive)
    cases.classifier("bayes_categorical", naive_bayes.CategoricalNB(), positive, kind=Int64TensorType)
    decide = {"class": "predict", "scores": "decision_function"}
    raw = {"zipmap": False, "raw_scores": True}
    for kernel in ["linear", "poly", "rbf", "sigmoid"]:
        cases.classifier(f"svc_{kernel}", scaled(svm.SVC(kernel=kernel)), wine, asks=decide, options=raw)
        cases.classifier(f"svc_{kernel}_binary", scaled(svm.SVC(kernel=kernel)), cancer, asks=decide, options=raw)
        cases.regressor(f"regressor_svr_{kernel}", scaled(svm.SVR(kernel=kernel)), narrow)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases.classifier("svc_probability", scaled(svm.SVC(probability=True, random_state=1)), words, tolerance=1e-3)
        cases.classifier("svc_probability_binary", scaled(svm.SVC(probability=True, random_state=1)), cancer)
    cases.classifier("svc_ovo", scaled(svm.SVC(decision_function_shape="ovo")), wine, asks=decide, options=raw)
    cases.classifier("svc_texts", scaled(svm.SVC()), words, asks=decide, options=raw)
    cases.classifier("svc_degree", scaled(svm.SVC(kernel="poly", degree=2, coef0=1.0)), cancer, asks=decide, options=raw)
    cases.classifier("nu_svc", scaled(svm.NuSVC(nu=0.3)), wine, asks=decide, options=raw)
    cases.regressor("regressor_nu_svr", scaled(svm.NuSVR()), narrow)
    cases.add("one_class_svm", scaled(svm.OneClassSVM(nu=0.2)), wine[0], asks={"class": "predict", "scores": "decision_function"})
    cases.add("k_means", cluster.KMeans(4, n_init=1, random_state=1), wine[0], asks={"class": "predict", "scores": "transform"}, tolerance=5e-4)
    cases.add("k_means_batch", cluster.MiniBatchKMeans(3, n_init=1, random_state=1), wine[0], asks={"class": "predict", "scores": "transform"}, tolerance=2e-3)
    cases.add("k_means_scaled", scaled(cluster.KMeans(3, n_init=1, random_state=1)), wine[0], asks={"class": "predict", "scores": "transform"}, tolerance=5e-4)
    for kind in ["full", "diag", "spherical", "tied"]:
        cases.add(f"mixture_{kind}", mixture.GaussianMixture(2, covariance_type=kind, random_state=1), small[0], asks={"class": "predict", "probability": "predict_proba"}, tolerance=1e-3)
    cases.regressor("regressor_gauss", gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF(0.3), alpha=1.0), (narrow[0][:60], narrow[1][:60]), tolerance=1e-3)


def transformers(cases):
    """Transformers of numbers."""
    wine = cases.wine[0]
    signed = (wine - wine.mean(axis=0)).astype(np.float32)
    pre = preprocessing
    for name, model in [
        ("standard", pre.StandardScaler()), ("standard_mean", pre.StandardScaler(with_std=False)), ("standard_scale", pre.StandardScaler(with_mean=False)),
        ("min_max", pre.MinMaxScaler((-1, 2))), ("min_max_clip", pre.MinMaxScaler(clip=True)), ("max_abs", pre.MaxAbsScaler()),
        ("robust", pre.RobustScaler()), ("robust_center", pre.RobustScaler(with_scaling=False)),
        ("normalizer_l1", pre.Normalizer("l1")), ("normalizer_l2", pre.Normalizer("l2")), ("normalizer_max", pre.Normalizer("max")),
        ("binarizer", pre.Binarizer(threshold=0.3)), ("polynomial", pre.PolynomialFeatures(2)),
        ("polynomial_interaction", pre.PolynomialFeatures(3, interaction_only=True, include_bias=False)),
        ("bins_one_hot", pre.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf")),
        ("bins_ordinal", pre.KBinsDiscretizer(4, encode="ordinal", strategy="uniform")),
        ("power", pre.PowerTransformer()), ("quantile", pre.QuantileTransformer(n_quantiles=8, random_state=1)),
        ("pca", decomposition.PCA(4)), ("pca_whiten", decomposition.PCA(4, whiten=True)), ("incremental_pca", decomposition.IncrementalPCA(3)),
        ("truncated_svd", decomposition.TruncatedSVD(3, random_state=1)), ("kernel_pca", decomposition.KernelPCA(3, kernel="rbf", gamma=0.001)),
        ("variance", feature_selection.VarianceThreshold(0.5)), ("union", pipeline.make_union(pre.StandardScaler(), decomposition.PCA(2))),
        ("function", pre.FunctionTransformer()), ("cast", pipeline.make_pipeline(skl2onnx.sklapi.CastTransformer(), pre.StandardScaler())),
    ]:
        data = signed if name.startswith(("normalizer", "binarizer", "max_abs")) else wine[:, :5] if name.startswith("polynomial") else wine
        # Exponents of a power depend on the processor. Large ones lose digits in f32.
        cases.transformer(f"transform_{name}", model, data, tolerance=1e-3 if name in ("pca_whiten", "kernel_pca", "truncated_svd", "power") else 1e-4 if name in ("pca", "union") else 1e-5)
    cases.transformer("transform_k_best", feature_selection.SelectKBest(k=5), wine, target=cases.wine[1])
    cases.transformer("transform_from_model", feature_selection.SelectFromModel(tree.DecisionTreeClassifier(random_state=1)), wine, target=cases.wine[1])
    cases.transformer("transform_tree_embedding", ensemble.RandomTreesEmbedding(3, max_depth=2, random_state=1, sparse_output=False), wine)
    for strategy in ["mean", "median", "most_frequent", "constant"]:
        cases.transformer(f"imputer_{strategy}", impute.SimpleImputer(strategy=strategy, fill_value=-3 if strategy == "constant" else None), cases.holes)
    counts = cases.counts.astype(np.int64)
    cases.transformer("scaler_integers", pre.StandardScaler(), counts, kind=Int64TensorType)
    cases.transformer("scaler_double", pre.StandardScaler(), wine, kind=DoubleTensorType)
    cases.transformer("one_hot_integers", pre.OneHotEncoder(sparse_output=False), counts, kind=Int64TensorType)
    cases.transformer("one_hot_floats", pre.OneHotEncoder(sparse_output=False), cases.counts)
    cases.transformer("one_hot_sparse", pre.OneHotEncoder(), counts, kind=Int64TensorType)
    cases.transformer("ordinal_integers", pre.OrdinalEncoder(), counts, kind=Int64TensorType)


def columns(cases):
    """Pipelines over columns of several types."""
    frame, bought = cases.frame, cases.bought
    pre = preprocessing
    words = frame[["color", "size"]].to_numpy(dtype=object)
    cases.transformer("one_hot_texts", pre.OneHotEncoder(sparse_output=False), words, kind=StringTensorType)
    cases.transformer("one_hot_first", pre.OneHotEncoder(sparse_output=False, drop="first"), words, kind=StringTensorType)
    cases.transformer("one_hot_binary", pre.OneHotEncoder(sparse_output=False, drop="if_binary"), words, kind=StringTensorType)
    strange = words.copy()
    strange[::3, 0] = "violet"
    cases.transformer("one_hot_ignore", pre.OneHotEncoder(sparse_output=False, handle_unknown="ignore"), words, rows=strange[:ROWS], kind=StringTensorType)
    cases.transformer("ordinal_texts", pre.OrdinalEncoder(), words, kind=StringTensorType)
    cases.transformer("ordinal_unknown", pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), words, rows=strange[:ROWS], kind=StringTensorType)
    cases.transformer("ordinal_order", pre.OrdinalEncoder(categories=[["red", "black", "blue", "green", "wei\u00df"], ["S", "M", "L", "XL"]]), words, kind=StringTensorType)
    cases.transformer("target_encoder", pre.TargetEncoder(random_state=1), words, target=bought, kind=StringTensorType)
    unlabelled = words.copy()
    unlabelled[::4, 0] = ""
    cases.transformer("imputer_texts", impute.SimpleImputer(missing_values="", strategy="most_frequent"), unlabelled, kind=StringTensorType)
    some = frame.sample(ROWS, random_state=1).reset_index(drop=True)
    unknown = some.copy()
    unknown.loc[::4, "color"] = "violet"
    unknown.loc[::5, "age"] = np.nan

    def each(encoder, numeric):
        return compose.ColumnTransformer([("text", encoder, ["color", "size"]), ("shop", pre.OneHotEncoder(handle_unknown="ignore"), ["shop"]), ("number", numeric, ["age", "income"])])

    ignore = pre.OneHotEncoder(handle_unknown="ignore")
    numeric = pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), pre.StandardScaler())
    logistic = linear_model.LogisticRegression(max_iter=500)
    yes_no = texts(bought, ["no", "yes"])
    for name, encoder, model, target in [
        ("logistic", ignore, logistic, bought), ("logistic_texts", ignore, logistic, yes_no),
        ("boosting", ignore, ensemble.GradientBoostingClassifier(n_estimators=8, random_state=1), yes_no),
        ("forest_ordinal", pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ensemble.RandomForestClassifier(6, max_depth=5, random_state=1), bought),
        ("network", ignore, neural_network.MLPClassifier((6,), random_state=1, max_iter=100), bought),
        ("svc", ignore, svm.LinearSVC(random_state=1), bought),
    ]:
        asks = {"class": "predict", "scores": "decision_function"} if name == "svc" else None
        more = {"asks": asks, "options": {"raw_scores": True}} if asks else {}
        cases.classifier(f"columns_{name}", pipeline.make_pipeline(each(encoder, numeric), model), (frame, target), rows=unknown, **more)
    passing = compose.ColumnTransformer([("text", pre.OneHotEncoder(), ["color"]), ("drop", "drop", ["size"])], remainder="passthrough")
    cases.classifier("columns_passthrough", pipeline.make_pipeline(passing, tree.DecisionTreeClassifier(max_depth=4, random_state=1)), (frame, bought), rows=some)
    cases.regressor("columns_regressor", pipeline.make_pipeline(each(ignore, numeric), linear_model.Ridge()), (frame.drop(columns=[]), frame.income * 0.01 + bought), rows=unknown)
    cases.transformer("columns_transformer", each(pre.OneHotEncoder(sparse_output=False), pre.MinMaxScaler()), frame, rows=some)
    cases.transformer("columns_matrix", compose.ColumnTransformer([("a", pre.StandardScaler(), [0, 3]), ("b", pre.Normalizer(), slice(1, 3)), ("c", "passthrough", [5])]), cases.wine[0])


def boosters(cases):
    """XGBoost and LightGBM, by onnxmltools."""
    wine, cancer, diabetes = cases.wine, cases.cancer, cases.diabetes
    holes = cancer[0].copy()
    holes[cases.random.random(holes.shape) < 0.1] = np.nan
    words = texts(wine[1], ["alto", "bajo", "medio"])
    few = {"n_estimators": 7, "random_state": 1, "n_jobs": 1}
    light = {**few, "verbose": -1, "min_child_samples": 5, "num_leaves": 8}
    fine = 1e-6
    cases.classifier("xgb_binary", xgboost.XGBClassifier(max_depth=3, **few), cancer, tolerance=fine)
    cases.classifier("xgb_half", xgboost.XGBClassifier(max_depth=3, base_score=0.5, **few), cancer, tolerance=fine)
    cases.classifier("xgb_missing", xgboost.XGBClassifier(max_depth=3, **few), (holes, cancer[1]), tolerance=fine)
    cases.classifier("xgb_3", xgboost.XGBClassifier(max_depth=3, base_score=0.5, **few), wine, tolerance=fine)
    cases.classifier("xgb_forest", xgboost.XGBRFClassifier(max_depth=3, base_score=0.5, **few), cancer, tolerance=fine)
    cases.regressor("xgb_regressor", xgboost.XGBRegressor(max_depth=3, **few), diabetes, tolerance=fine)
    cases.regressor("xgb_poisson", xgboost.XGBRegressor(max_depth=3, objective="count:poisson", **few), diabetes, tolerance=1e-5)
    cases.regressor("xgb_absolute", xgboost.XGBRegressor(max_depth=3, objective="reg:absoluteerror", **few), diabetes, tolerance=fine)
    categories = np.stack([cases.counts[:, 0], cases.counts[:, 1], cases.frame.age], axis=1).astype(np.float32)
    wanted = (np.isin(categories[:, 0], [1, 3]) ^ (categories[:, 1] == 2)).astype(int)
    typed = xgboost.XGBClassifier(max_depth=4, enable_categorical=True, feature_types=["c", "c", "q"], base_score=0.5, max_cat_to_onehot=1, **few)
    cases.classifier("xgb_categories", typed, (categories, wanted), tolerance=fine)
    cases.classifier("lgb_binary", lightgbm.LGBMClassifier(**light), cancer, tolerance=fine)
    cases.classifier("lgb_missing", lightgbm.LGBMClassifier(**light), (holes, cancer[1]), tolerance=fine)
    cases.classifier("lgb_3", lightgbm.LGBMClassifier(**light), (wine[0], words), tolerance=fine)
    cases.classifier("lgb_zipmap", lightgbm.LGBMClassifier(**light), (wine[0], words), tolerance=fine, options={"zipmap": True})
    cases.classifier("lgb_dart", lightgbm.LGBMClassifier(boosting_type="dart", **light), cancer, tolerance=fine)
    cases.regressor("lgb_regressor", lightgbm.LGBMRegressor(**light), diabetes, tolerance=fine)
    cases.regressor("lgb_split", lightgbm.LGBMRegressor(**light), diabetes, tolerance=fine, options={"split": 3})
    cases.regressor("lgb_poisson", lightgbm.LGBMRegressor(objective="poisson", **light), diabetes, tolerance=1e-5)
    cases.regressor("lgb_huber", lightgbm.LGBMRegressor(objective="huber", **light), diabetes, tolerance=fine)
    cases.add("lgb_categories", lightgbm.LGBMClassifier(**light, min_data_per_group=1, cat_smooth=1.0), categories, wanted, asks={"class": "predict", "probability": "predict_proba"}, options=PLAIN, tolerance=fine)
    cases.classifier("columns_xgb", pipeline.make_pipeline(compose.ColumnTransformer([("text", preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["color"]), ("number", "passthrough", ["age"])]), xgboost.XGBClassifier(max_depth=3, base_score=0.5, **few)), (cases.frame[["color", "age"]], cases.bought), tolerance=fine)


def types_of(data, kind):
    """Returns the types of a graph's inputs for the data of a model."""
    if not isinstance(data, pandas.DataFrame):
        return [("X", kind([None, data.shape[1]]))]
    kinds = {"O": StringTensorType, "T": StringTensorType, "i": Int64TensorType, "f": FloatTensorType, "b": BooleanTensorType}
    return [(name, (StringTensorType if not isinstance(data[name].dtype, np.dtype) else kinds[data[name].dtype.kind])([None, 1])) for name in data.columns]


def choices(model, options):
    """Returns options by the model that has them: a pipeline has that of all classifiers, its last step has the others."""
    if not isinstance(model, pipeline.Pipeline):
        return {id(model): options} if options else None
    outer = {name: value for name, value in options.items() if name == "zipmap"}
    inner = {name: value for name, value in options.items() if name != "zipmap"}
    return {**({id(model): outer} if outer else {}), **({id(model.steps[-1][1]): inner} if inner else {})} or None


def fit(model, data, target, name):
    """Fits a model."""
    if name == "lgb_categories":
        return model.fit(data, target, categorical_feature=[0, 1])
    return model.fit(data) if target is None else model.fit(data, target)


def write(folder, case):
    """Fits a model, exports it and writes both files."""
    name, model, data, target, asks, rows, options, opset, tolerance, kind = case
    train = data.astype(np.float64) if kind is DoubleTensorType else data
    fit(model, train, target, name)
    shown = rows if rows is not None else train[:ROWS] if not isinstance(train, pandas.DataFrame) else train[:ROWS].reset_index(drop=True)
    onnx = to_onnx(model, initial_types=types_of(data, kind), options=choices(model, options or {}), target_opset=opset or OPSET)
    graph_outputs = [value.name for value in onnx.graph.output]
    expected, outputs = {}, {}
    for (meaning, method), output in zip(asks.items(), graph_outputs):
        answer = getattr(model, method)(shown)
        answer = answer.toarray() if hasattr(answer, "toarray") else answer
        if meaning == "scores" and np.ndim(answer) == 1 and asks.get("class") and len(getattr(model, "classes_", [])) == 2:
            answer = np.stack([-answer, answer], axis=1)
        if isinstance(answer, list):
            answer = np.stack(answer)
        expected[meaning] = numbers(answer)
        outputs[meaning] = output
    if options and options.get("zipmap") == "columns":
        outputs["probability"] = graph_outputs[1:]
    if isinstance(shown, pandas.DataFrame):
        inputs = {column: [[cell] for cell in numbers(shown[column].to_numpy())] for column in shown.columns}
    else:
        inputs = {"rows": numbers(shown)}
    operators = sorted({".".join(filter(None, (node.domain, node.op_type))) for node in onnx.graph.node})
    note = f"{type(model).__name__}; operators {' '.join(operators)}"
    fixture = {"name": name, "files": [f"{name}.onnx"], "note": note, "inputs": inputs, "expected": expected, "outputs": outputs, "tolerance": tolerance}
    (folder / f"{name}.onnx").write_bytes(onnx.SerializeToString())
    (folder / f"{name}.json").write_text(json.dumps(fixture, allow_nan=False), encoding="utf-8")


def main():
    """Writes all cases, or those whose names contain one of the further arguments."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    parts = sys.argv[2:] or [""]
    warnings.simplefilter("ignore")
    register()
    cases = Cases()
    for grow in [linear, trees, ensembles, others, transformers, columns, boosters]:
        grow(cases)
    refused, started = {}, time.monotonic()
    for case in cases.all:
        if any(part in case[0] for part in parts):
            try:
                write(folder, case)
            except Exception as error:  # noqa: BLE001: an exporter fails in its own ways, and the reason is recorded
                refused[case[0]] = f"{type(error).__name__}: {str(error)[:200]}"
    (folder / "REFUSED.json").write_text(json.dumps(refused, indent=1), encoding="utf-8")
    print(f"{len(cases.all) - len(refused)} models, {len(refused)} refused by exporters, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
