"""What encoding costs in floating-point operations, forward and backward. PURE.

Per layer, a token passes every weight matrix once (a multiplication and an addition a
weight), and every pair of a query and a key costs 4 · width: the scores, and the sum of
the values. The backward pass costs twice the forward one. Embedding and norms are left
out: they are the same however the responses are encoded.

A pass costs something however short it is: the weights are read, their gradients are
added, kernels are started. It is counted as if the pass were so many tokens longer.
"""

from dataclasses import dataclass
from typing import Final

FORWARD_AND_BACKWARD: Final = 3
PASS_TOKENS_CPU: Final = 32
"""Measured: 25-40 on one core, widths 256 and 576."""
PASS_TOKENS_GPU: Final = 512
"""Estimated from memory bandwidth and launch times, not measured."""


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """The sizes of a transformer's layers."""

    layers: int
    weights: int
    """Of all matrices of one layer."""
    width: int
    """Query heads times their size."""
    pass_tokens: int = PASS_TOKENS_CPU
    """Tokens that a pass costs beside its own."""

    def flops(self, *, tokens: int, pairs: int, passes: int = 1) -> int:
        """Operations for so many tokens, padding among them, in so many passes.

        `pairs` are the queries and keys that a kernel computes: causal attention over
        T tokens skips what lies ahead, T (T + 1) / 2; a mask skips nothing.

        >>> Trunk(layers=2, weights=10, width=4, pass_tokens=1).flops(tokens=5, pairs=3)
        1008
        """
        linear = 2 * self.weights * (tokens + passes * self.pass_tokens)
        return FORWARD_AND_BACKWARD * self.layers * (linear + 4 * self.width * pairs)


def layer_weights(
    *, width: int, keys: int, hidden: int, inner: int, gated: bool
) -> int:
    """Weights of one layer: queries and output, keys and values, feed-forward.

    `keys` is the number of key-value heads times their size, `inner` the width between
    the feed-forward's two matrices, three where it is gated.

    >>> layer_weights(width=4, keys=2, hidden=4, inner=8, gated=True)
    144
    """
    attention = 2 * hidden * width + 2 * hidden * keys
    return attention + (3 if gated else 2) * hidden * inner


def causal_pairs(tokens: int) -> int:
    """Queries and keys of a sequence that sees itself and what lies before.

    >>> causal_pairs(4)
    10
    """
    return tokens * (tokens + 1) // 2
