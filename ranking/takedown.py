"""A prompt is taken down, or a labeler forgotten: what must go goes, and what held it
says so. Ids, ranks and ratings stay, so agreement is what it was."""

from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from annotation.forgetting import erase_labeler
from annotation.models import Assignment, Membership, Prompt, User
from annotation.standing import pause
from annotation.takedown import erase_prompt
from annotation.turns import wait_for_turn
from ranking.datasets import DATASET_LOCK
from ranking.holdings import Holding, datasets_with_labeler, datasets_with_prompt
from ranking.losses import mark, remove_exports
from ranking.models import Draft, Ranking, RefusedSubmission
from ranking.summaries import summarize

FORGOTTEN: Final = "A labeler whose rankings it holds asked to be forgotten."


@dataclass(frozen=True)
class Removed:
    """What was done. `is_new`: False where it had been done before."""

    is_new: bool
    datasets: list[Holding]


def take_down(prompt: Prompt, *, reason: str, user: User | None) -> Removed:
    """Replace the texts of a prompt and of its responses for good.

    1. Wait for a freeze of this project: a dataset is either there and gets its mark,
       or is frozen afterwards and leaves the prompt out.
    2. The texts, what people hold of it, and their words about it: `erase_prompt`.
    3. Drafts go; notes and measurements of its rankings too. Their ranks stay. The
       summary row, under the prompt's lock since step 2, forgets how long texts were.
    4. Datasets that hold it are marked; after the commit the files made of them go.

    Done again, it changes nothing. Downloads and models that people have are theirs to
    delete: the page names the models.
    """
    with transaction.atomic():
        wait_for_turn(DATASET_LOCK, prompt.project_id)
        is_new = erase_prompt(prompt, reason=reason, user=user)
        holdings = datasets_with_prompt(prompt)
        if is_new:
            _forget_words(Assignment.objects.filter(prompt=prompt))
            summarize(prompt.pk)
            told = f"The prompt {prompt.external_id} was taken down."
            mark(holdings, reason=told[:300], prompt=prompt)
        _remove_files_after_commit(holdings)
    return Removed(is_new, holdings)


def forget(labeler: Membership) -> Removed:
    """Forget who a labeler is and what they wrote, for good.

    1. Pause them, committed first: slots that they hold go to others.
    2. Wait for a freeze of this project, as in `take_down`.
    3. Name, account and words: `erase_labeler`.
    4. Drafts, notes and measurements of theirs go. Ranks, ratings and times stay.
    5. Datasets that hold their rankings are marked; the files made of them go.

    Done again, it changes nothing. Not to be called inside a transaction.
    """
    pause(labeler)
    with transaction.atomic():
        wait_for_turn(DATASET_LOCK, labeler.project_id)
        is_new = erase_labeler(labeler)
        holdings = datasets_with_labeler(labeler)
        if is_new:
            _forget_words(Assignment.objects.filter(labeler=labeler))
            mark(holdings, reason=FORGOTTEN, labeler=labeler)
        _remove_files_after_commit(holdings)
    return Removed(is_new, holdings)


def _forget_words(assignments: QuerySet[Assignment]) -> None:
    """A trigger lets rankings lose these two columns, and only where they must."""
    Draft.objects.filter(assignment__in=assignments).delete()
    rankings = Ranking.objects.filter(assignment__in=assignments)
    rankings.exclude(Q(note="") & Q(telemetry={})).update(note="", telemetry={})
    refused = RefusedSubmission.objects.filter(assignment__in=assignments)
    refused.exclude(content={}).update(content={})


def _remove_files_after_commit(holdings: list[Holding]) -> None:
    """Also when it was done before: a disk that failed then may do it now."""
    transaction.on_commit(lambda: remove_exports([one.dataset for one in holdings]))
