"""What a network must beat: logistic regression on the counts of a window summed over time, and guessing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

F32 = NDArray[np.float32]
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


class Logistic(NamedTuple):
    """`weight` float32 [K, 2HW] and `bias` float32 [K] on the features of `features_of`."""

    weight: F32
    bias: F32

    def predict(self, features: F32) -> NDArray[np.int64]:
        """Features [N, 2HW] -> classes int64 [N]."""
        best: NDArray[np.int64] = (features @ self.weight.T + self.bias).argmax(1)
        return best


def features_of(window: F32) -> F32:
    """A window [T, 2, H, W] -> log(1 + counts summed over time), [2HW]: the log tames bright spots."""
    logs: F32 = np.log1p(window.sum(0)).reshape(-1)
    return logs


def fit(train: tuple[F32, NDArray[np.int64]], validation: tuple[F32, NDArray[np.int64]], classes: int) -> Logistic:
    """Multinomial regression with a squared penalty, its strength chosen by accuracy on the validation data.

    Both are features [N, 2HW] with classes [N].
    """
    fits = [_fit(*train, classes, penalty) for penalty in PENALTIES]
    accuracies = [float((fitted.predict(validation[0]) == validation[1]).mean()) for fitted in fits]
    return fits[int(np.argmax(accuracies))]


def _fit(features: F32, labels: NDArray[np.int64], classes: int, penalty: float) -> Logistic:
    """Least mean cross entropy + penalty * |weight|^2 / 2 over centred features, by L-BFGS."""
    mean, spread = features.mean(0), features.std() + 1e-9
    x = torch.from_numpy((features - mean) / spread)
    y = torch.from_numpy(labels)
    weight = torch.zeros(classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=200, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weight.T + bias, y) + penalty / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    scaled = (weight.detach().numpy() / spread).astype(np.float32)
    return Logistic(scaled, (bias.detach().numpy() - scaled @ mean).astype(np.float32))
