"""One labeler beside all others who ranked the same pairs: `vs_others` alone.

The report works out everything for everybody; a labeler's own page asks for this one
number, and for the prompts that this labeler ranked.
"""

from collections.abc import Sequence

from ranking.bootstrap import bootstrap_totals, prompt_counts
from ranking.estimates import Document, Estimates, Question
from ranking.evidence import gather
from ranking.labeler_detail import NOBODY_ELSE
from ranking.rank_table import RankTable

OWN: Question = ("vs_others", "")


def vs_others(tables: Sequence[RankTable], *, labelers: int, own: int) -> Document:
    """`{"agree", "comparable", "value", "ci", "prompts", "why"}` of one labeler.

    `tables` hold their rankings and those of the others, one table per K;
    `RankTable.labeler` is from 0 to `labelers` - 1, and `own` is theirs. `prompts` is
    how many prompts have a pair that both sides ordered strictly. Where `value` or
    `ci` is None, `why` says it in words. Definition: `agreement.md`, section 2.
    """
    names = [f"{code:09}" for code in range(labelers)]  # sorted as their codes are
    evidence = gather(tables, labelers=names, tags={})
    rows = evidence.between
    mine = rows.only((rows.first == own) | (rows.second == own))
    counts = {OWN: prompt_counts(mine.prompt, mine.agree, mine.differ)}
    draws = bootstrap_totals(counts, n_prompts=evidence.n_prompts)
    estimates = Estimates(counts, draws)
    return {
        **estimates.strict("own", OWN, missing=NOBODY_ELSE),
        "prompts": estimates.prompts(OWN),
        "why": next(iter(estimates.undefined.values()), ""),
    }
