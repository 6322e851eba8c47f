"""Trains a model with XGBoost, and writes it with rows and their answers into a folder.

    pip install xgboost-cpu scikit-learn pandas
    python train_xgboost.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)

rows, target = load_breast_cancer(return_X_y=True, as_frame=True)
rows.columns = [name.replace(" ", "_") for name in rows.columns]
# Values that a 32-bit float holds exactly are the same numbers in the CSV file, to the library and to the server.
rows = rows.astype(np.float32)
train_rows, test_rows, train_target, _ = train_test_split(rows, target, random_state=1)
# Some values are missing, as in real data. The CSV file has empty cells for them.
gaps = np.random.RandomState(1).rand(*test_rows.shape) < 0.02
test_rows = test_rows.mask(gaps)

model = xgboost.XGBClassifier(n_estimators=60, max_depth=4, learning_rate=0.2, random_state=1)
model.fit(train_rows, train_target)

model.get_booster().save_model(folder / "model.ubj")
test_rows.astype(float).to_csv(folder / "rows.csv", index=False)
probability = model.predict_proba(test_rows)[:, 1]
pd.DataFrame({"probability": probability.astype(float)}).to_csv(folder / "expected.csv", index=False)

for name in ("model.ubj", "rows.csv", "expected.csv"):
    print(folder / name)
