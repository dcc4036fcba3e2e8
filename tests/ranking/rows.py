"""Rankings put straight into the database, in states that no verb makes alone.

Summary rows are made anew as everywhere; whoever changes anything else of a ranking, or
of its assignment, makes them anew by `lock_and_summarize`.
"""

import uuid
from typing import Any

from django.db import transaction

from annotation.models import Assignment, AssignmentState, Membership, Prompt
from ranking.models import Placement, Ranking, RankingStatus
from ranking.summaries import summarize


def store_ranking(
    prompt: Prompt,
    labeler: Membership,
    ranks: dict[str, int],
    *,
    assignment: dict[str, Any] | None = None,
    said: dict[str, dict[str, Any]] | None = None,
    **ranking: Any,
) -> Ranking:
    """A completed assignment with its first ranking; further fields by name, those of
    a placement in `said`, by response."""
    number = Assignment.objects.filter(prompt=prompt).count()
    done = Assignment.objects.create(
        project=prompt.project,
        prompt=prompt,
        labeler=labeler,
        state=AssignmentState.COMPLETED,
        **{"slot": 100 + number, **(assignment or {})},
    )
    return _place(done, ranks, ranking, said)


def revise(first: Ranking, ranks: dict[str, int], **ranking: Any) -> Ranking:
    """A correction of a ranking; further fields by name."""
    return _place(first.assignment, ranks, {"revises": first, **ranking})


@transaction.atomic  # a ranking must be complete when its transaction ends
def _place(
    assignment: Assignment,
    ranks: dict[str, int],
    fields: dict[str, Any],
    said: dict[str, dict[str, Any]] | None = None,
) -> Ranking:
    ranking = Ranking.objects.create(
        project=assignment.project,
        assignment=assignment,
        **{"status": RankingStatus.COUNTED, **fields},
        submission_uuid=uuid.uuid4(),
        body_sha256="0" * 64,
    )
    Placement.objects.bulk_create(
        Placement(
            ranking=ranking,
            response=response,
            rank=ranks[response.external_id],
            **(said or {}).get(response.external_id, {}),
        )
        for response in assignment.prompt.responses.all()
    )
    summarize(assignment.prompt_id)
    return ranking
