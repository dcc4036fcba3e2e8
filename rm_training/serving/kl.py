"""The reward of RLHF: a reward model's score less a penalty for leaving the policy's
origin. PURE."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rm_training.errors import RunError


class BadLogprobs(RunError):  # noqa: N818  says what it is
    """Log-probabilities that no reward can be computed from; the message says why."""


@dataclass(frozen=True, kw_only=True)
class PenalisedReward:
    """R = r - beta * KL of one response, whole and token by token."""

    reward: float
    kl: float
    """Nats, estimated from the one response that was sampled; may be negative."""
    per_token: tuple[float, ...]
    """(T,) rewards for a policy that learns token by token; they sum to `reward`."""


def penalised(
    r: float, *, policy: Sequence[float], reference: Sequence[float], beta: float
) -> PenalisedReward:
    """R(x, y) = r(x, y) - beta * log(π(y|x) / π_ref(y|x)); InstructGPT, equation 2.

    (arXiv 2203.02155 §3.5; beta is 0.02 in its appendix C.4.) `policy` and `reference`
    are the natural log-probabilities of the T tokens of y under both models, in the
    policy's own tokens:

        kl           = Σ_t (policy[t] - reference[t])
        per_token[t] = -beta * (policy[t] - reference[t]),  and r more at the last t
        reward       = Σ_t per_token[t] = r - beta * kl

    `kl` estimates KL(π ‖ π_ref) without bias where y was sampled from π, and a single
    one may be negative. Send the EOS as the last token, never padding: r stands there.

    >>> found = penalised(1.0, policy=[-1.0, -0.5], reference=[-1.5, -0.25], beta=0.5)
    >>> found.kl, found.per_token, found.reward
    (0.25, (-0.25, 1.125), 0.875)

    Raises BadLogprobs for lists that are empty or of different lengths, for a number
    that is not finite or no log-probability, a negative beta, and a result beyond the
    range of floats.
    """
    _check(policy, reference, beta)
    gaps = [p - q for p, q in zip(policy, reference, strict=True)]
    kl = math.fsum(gaps)
    per_token = [-beta * gap for gap in gaps]
    per_token[-1] += r
    reward = r - beta * kl
    if not all(map(math.isfinite, (reward, kl, *per_token))):
        raise BadLogprobs("the reward is too large for a number: check beta")
    return PenalisedReward(reward=reward, kl=kl, per_token=tuple(per_token))


_ROUNDING = 1e-3
"""What a log-probability in half precision may lie above 0."""


def _check(policy: Sequence[float], reference: Sequence[float], beta: float) -> None:
    if len(policy) != len(reference):
        raise BadLogprobs(
            f"there are {len(policy)} log-probabilities of the policy and "
            f"{len(reference)} of the reference; send one of each for every token"
        )
    if not policy:
        raise BadLogprobs("a response has at least one token: its EOS")
    if not (math.isfinite(beta) and beta >= 0):
        raise BadLogprobs(f"beta is {beta}; it must be a number from 0 up")
    for name, values in (("policy", policy), ("reference", reference)):
        for place, value in enumerate(values, start=1):
            if not math.isfinite(value) or value > _ROUNDING:
                raise BadLogprobs(
                    f"log-probability {place} of the {name} is {value}; it must be a "
                    "number of at most 0"
                )
