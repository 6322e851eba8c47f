"""Trains a model with LightGBM that has columns of categories, and writes it with rows and their answers into a folder.

    pip install lightgbm scikit-learn pandas
    python train_lightgbm.py FOLDER
"""

import sys
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)

rows, target = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
# Values that a 32-bit float holds exactly are the same numbers in the CSV file, to the library and to the server.
rows = rows.astype(np.float32).astype(float)
rows["sex"] = rows["sex"].map({1.0: "female", 2.0: "male"}).astype("category")
rows["age"] = pd.cut(rows["age"], [0, 30, 45, 60, 120], labels=["young", "middle", "older", "old"]).astype(str).astype("category")
train_rows, test_rows, train_target, _ = train_test_split(rows, target, random_state=1)

model = lightgbm.LGBMRegressor(n_estimators=60, num_leaves=15, learning_rate=0.1, random_state=1, verbose=-1)
model.fit(train_rows, train_target)

model.booster_.save_model(folder / "model.txt")
test_rows.to_csv(folder / "rows.csv", index=False)
pd.DataFrame({"value": model.predict(test_rows)}).to_csv(folder / "expected.csv", index=False)

for name in ("model.txt", "rows.csv", "expected.csv"):
    print(folder / name)
