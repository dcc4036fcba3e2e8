"""A simulated project in the database, as if everybody had come and worked.

Rows are copied in, table by table, for a project may have a hundred thousand rankings.
They are what the verbs would have made: each prompt's slots completed by its labelers,
repeats as direct assignments, every ranking complete.
"""

import uuid
from itertools import repeat
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models.functions import Now
from psycopg.types.json import Jsonb

from annotation.accounts import account_of
from annotation.models import Instructions, Membership, Project, Qualification, Role
from ranking.summaries import lock_and_summarize
from tests.simulated_labelers import Simulation, response_ids

# What the responses say. Only their lengths matter.
WORDS = "the sea is deep where the old city fell and nobody has gone to see it since; "


@transaction.atomic
def store(
    project: Project, simulation: Simulation, *, checked: bool = True
) -> list[Membership]:
    """Put the simulation into a project without prompts; its labelers, in their order.

    Prompt number 7 has the outside id `s7`, its responses are r1, r2, … With
    `checked=False` the checks of triggers and foreign keys are left out, which take
    most of the time at a hundred thousand rankings; only a superuser may do so.
    """
    if not checked:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
    labelers = [_labeler(project, name) for name in simulation.names]
    prompts = _store_prompts(project, simulation)
    responses = _store_responses(simulation, prompts)
    versions = _versions(project, simulation)
    assignments = _store_assignments(
        simulation,
        project_id=project.pk,
        prompt_id=_picked(prompts, simulation.prompt),
        labeler_id=_picked([one.pk for one in labelers], simulation.labeler),
        instructions_id=versions,
    )
    rankings = _store_rankings(
        simulation,
        project_id=project.pk,
        assignment_id=assignments,
        instructions_id=versions,
    )
    _store_placements(simulation, rankings, responses)
    lock_and_summarize(prompts)
    return labelers


def _labeler(project: Project, name: str) -> Membership:
    user, _ = account_of(f"{name}@{project.slug}.example")
    return Membership.objects.create(
        project=project,
        user=user,
        name=name,
        role=Role.LABELER,
        qualification=Qualification.PASSED,
        qualification_decided_at=Now(),
    )


def _store_prompts(project: Project, simulation: Simulation) -> range:
    count = len(simulation.k)
    work = simulation.prompt[simulation.repeat == 0]
    return _copy(
        "annotation_prompt",
        count,
        project_id=project.pk,
        external_id=[f"s{number}" for number in range(count)],
        messages=[
            Jsonb([{"role": "user", "content": f"Question {number}?"}])
            for number in range(count)
        ],
        tags=simulation.tags,
        purpose="work",
        metadata=Jsonb({}),
        line_sha256="0" * 64,
        overlap=int(np.bincount(work).max(initial=1)),
        priority=0,
        failure="",
    )


def _store_responses(simulation: Simulation, prompts: range) -> range:
    """All responses of one prompt after the other."""
    sizes = simulation.k.tolist()
    lengths = simulation.lengths[simulation.lengths >= 0].tolist()
    return _copy(
        "annotation_response",
        len(lengths),
        prompt_id=[pk for pk, k in zip(prompts, sizes, strict=True) for _ in range(k)],
        external_id=[name for k in sizes for name in response_ids(k)],
        text=list(map(text_of, lengths)),
        model="simulated",
        params=Jsonb({}),
    )


def text_of(length: int) -> str:
    """So many characters."""
    return (WORDS * (length // len(WORDS) + 1))[:length]


def _versions(project: Project, simulation: Simulation) -> list[int]:
    """The instructions of each ranking; versions that are missing are written."""
    ids = [
        Instructions.objects.get_or_create(
            project=project, version=version, defaults={"text": f"Be fair ({version})."}
        )[0].pk
        for version in range(1, int(simulation.version.max(initial=1)) + 1)
    ]
    return _picked(ids, simulation.version - 1)


def _store_assignments(simulation: Simulation, **columns: Any) -> range:
    count = len(simulation.prompt)
    began = simulation.submitted_at - simulation.seconds.astype("timedelta64[s]")
    places = np.where(simulation.positions < 0, 99, simulation.positions)
    orders = np.argsort(places, axis=1).tolist()
    sizes = simulation.k[simulation.prompt].tolist()
    again = simulation.repeat.tolist()
    return _copy(
        "annotation_assignment",
        count,
        **columns,
        slot=_slots(simulation),
        repeat=again,
        source=["direct" if repeated else "queue" for repeated in again],
        pool="random",
        seq=simulation.prompt.tolist(),
        state="completed",
        token=[f"sim-{uuid.uuid4().hex}" for _ in range(count)],
        display_order=[o[:k] for o, k in zip(orders, sizes, strict=True)],
        claimed_at=_utc(began),
        shown_at=_utc(began),
        closed_at=_utc(simulation.submitted_at),
    )


def _slots(simulation: Simulation) -> list[int]:
    """0, 1, 2 … for the rankings of each prompt; 0 for repeats, which have none."""
    order = np.lexsort([simulation.repeat, simulation.prompt])
    new = np.diff(simulation.prompt[order], prepend=-1) != 0
    slots = np.empty(len(order), np.int64)
    slots[order] = np.arange(len(order)) - np.flatnonzero(new)[np.cumsum(new) - 1]
    kept: list[int] = np.where(simulation.repeat > 0, 0, slots).tolist()
    return kept


def _store_rankings(simulation: Simulation, **columns: Any) -> range:
    count = len(simulation.prompt)
    return _copy(
        "ranking_ranking",
        count,
        **columns,
        status="counted",
        submission_uuid=[uuid.uuid4() for _ in range(count)],
        body_sha256="0" * 64,
        active_seconds=simulation.seconds.tolist(),
        note="",
        render_mode="rich",
        telemetry=Jsonb({}),
        submitted_at=_utc(simulation.submitted_at),
    )


def _store_placements(simulation: Simulation, rankings: range, first: range) -> None:
    """`first.start` is the id of the first response of all."""
    starts = np.concatenate([[0], np.cumsum(simulation.k)])
    sizes = simulation.k[simulation.prompt]
    row, place = np.nonzero(np.arange(sizes.max(initial=1)) < sizes[:, None])
    response = first.start + starts[simulation.prompt[row]] + place
    _copy(
        "ranking_placement",
        len(row),
        ranking_id=(rankings.start + row).tolist(),
        response_id=response.tolist(),
        rank=simulation.ranks[row, place].tolist(),
    )


def _copy(table: str, count: int, **columns: Any) -> range:
    """So many rows with fresh ids in one row; a column is a list, or the same for all.

    Nothing may be asked of the database while rows are made: it is busy with the copy.
    """
    ids = _fresh_ids(table, count)
    names = ", ".join(["id", *columns])
    values = [
        c if isinstance(c, list | range) else repeat(c, count) for c in columns.values()
    ]
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy,
    ):
        for row in zip(ids, *values, strict=True):
            copy.write_row(row)
    return ids


def _fresh_ids(table: str, count: int) -> range:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(%s, 'id'),"
            " nextval(pg_get_serial_sequence(%s, 'id')) + %s)",
            [table, table, count],
        )
        [(last,)] = cursor.fetchall()
    return range(last - count, last)


def _picked(ids: Any, places: Any) -> list[int]:
    picked: list[int] = np.array(ids)[places].tolist()
    return picked


def _utc(moments: Any) -> list[str]:
    return [f"{moment}+00" for moment in moments.astype(str).tolist()]
