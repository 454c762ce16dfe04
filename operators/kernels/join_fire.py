"""What lies between two convolutions of the detector at one step, in one pass over memory: sum, pool, neurons.

Pictures are channels last, [H, W, C] float32.
"""

from __future__ import annotations

from typing import Any

from numba import njit, types

_P = types.Array(types.float32, 3, "C")
_F = types.float32


@njit(types.void(_P, _F, _F, _P, _P), cache=True, nogil=True)
def fire(currents: Any, threshold: Any, decay: Any, u: Any, spikes: Any) -> None:
    """One step of neurons: potentials `u` (before their reset) are updated in place, `spikes` written."""
    x, h, o = currents.reshape(-1), u.reshape(-1), spikes.reshape(-1)
    zero, one = _F(0.0), _F(1.0)
    for i in range(len(x)):
        before = h[i]
        v = (zero if before > threshold else decay * before) + x[i]
        h[i] = v
        o[i] = one if v > threshold else zero


@njit(types.void(_P, _P, _P, types.intp, _P), cache=True, nogil=True)
def join_pooled(residual: Any, new: Any, carried: Any, side: int, out: Any) -> None:
    """`out` [H, W, C] = residual + the greatest of each side x side pixels of [new, carried], new channels first."""
    H, W, _ = out.shape
    N = new.shape[2]
    for y in range(H):
        for x in range(W):
            to, add = out[y, x], residual[y, x]
            first, second = new[y * side, x * side], carried[y * side, x * side]
            fresh, old = to[:N], to[N:]
            for c in range(len(fresh)):
                fresh[c] = first[c]
            for c in range(len(old)):
                old[c] = second[c]
            for k in range(1, side * side):
                first, second = (
                    new[y * side + k // side, x * side + k % side],
                    carried[y * side + k // side, x * side + k % side],
                )
                for c in range(len(fresh)):
                    fresh[c] = max(fresh[c], first[c])
                for c in range(len(old)):
                    old[c] = max(old[c], second[c])
            for c in range(len(to)):
                to[c] = add[c] + to[c]


@njit(types.void(_P, _P, _P), cache=True, nogil=True)
def upsample_join(small: Any, tap: Any, out: Any) -> None:
    """`out` [2h, 2w, A + B] = each pixel of `small` [h, w, A] four times, then `tap` [2h, 2w, B]."""
    H, W, _ = out.shape
    A = small.shape[2]
    for y in range(H):
        for x in range(W):
            to, a, b = out[y, x], small[y // 2, x // 2], tap[y, x]
            for c in range(A):
                to[c] = a[c]
            for c in range(len(b)):
                to[A + c] = b[c]
