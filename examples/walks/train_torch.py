"""Trains two networks of handwritten digits with PyTorch, and writes each as ONNX with rows and their answers into a folder.

    pip install torch onnx onnxscript scikit-learn
    python train_torch.py FOLDER

mlp: a multilayer perceptron of 64 pixels. cnn: a convolutional network of images [1, 8, 8].
Each is exported twice: by the exporter that follows the program (dynamo, the default of PyTorch 2.9 and newer), which keeps the
weights in a file beside the graph, and by the older one (TorchScript).
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

warnings.filterwarnings("ignore")  # The older exporter says that it is the older one.
torch.manual_seed(1)
torch.set_num_threads(1)

pixels, digits = load_digits(return_X_y=True)
pixels = (pixels / 16).astype(np.float32)
train_rows, test_rows, train_digits, test_digits = train_test_split(pixels, digits, random_state=1)

mlp = nn.Sequential(
    nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(), nn.Dropout(0.1), nn.Linear(64, 10), nn.Softmax(dim=1),
)
cnn = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
    nn.Flatten(), nn.Linear(32, 10), nn.Softmax(dim=1),
)


def train(network, rows):
    """Trains with Adam for some epochs and returns the network as it predicts."""
    rows, wanted = torch.from_numpy(rows), torch.from_numpy(train_digits)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(15):
        for part in torch.randperm(len(rows)).split(64):
            loss = nn.functional.nll_loss(torch.log(network(rows[part]) + 1e-9), wanted[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def write(folder, network, name, rows, **how):
    """Exports a network with one input `name` and one output `probabilities`, and writes the answers of PyTorch."""
    folder.mkdir(parents=True, exist_ok=True)
    example = torch.from_numpy(rows[:2])
    torch.onnx.export(
        network, (example,), str(folder / "model.onnx"), input_names=[name], output_names=["probabilities"], verbose=False, **how
    )
    with torch.no_grad():
        answers = network(torch.from_numpy(rows)).numpy()
    np.savez(folder / "rows.npz", **{name: rows})
    np.savez(folder / "expected.npz", probabilities=answers)
    for file in sorted(folder.iterdir()):
        print(file)
    print(f"accuracy {np.mean(answers.argmax(axis=1) == test_digits):.3f}")


for kind, network, name, shape in [("mlp", mlp, "pixels", (-1, 64)), ("cnn", cnn, "image", (-1, 1, 8, 8))]:
    train(network, train_rows.reshape(shape))
    rows = test_rows.reshape(shape)
    folder = Path(sys.argv[1])
    write(folder / f"{kind}-dynamo", network, name, rows, dynamo=True, dynamic_shapes=({0: torch.export.Dim("rows")},))
    write(folder / f"{kind}-torchscript", network, name, rows, dynamo=False, dynamic_axes={name: {0: "rows"}})
