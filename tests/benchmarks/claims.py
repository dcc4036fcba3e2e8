"""The cost of a claim, measured in a small and a large project side by side.

A cost is the CPU time of this process and of its Postgres backend together, per claim,
as the median of ROUNDS rounds that go back and forth between the two projects. It is
all that `queue.claim` does: asking who it is, and taking the row.

Each prompt has three slots. The first one the finisher has ranked everywhere, and the
third one of the first tenth of the queue the veteran has; everything else is open. The
slots of a prompt lie side by side, which is the worst case: a hundred thousand open
slots in a row that the veteran cannot have. Rows are made by SQL, with their places and
display orders; a claim reads neither texts nor responses.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from annotation import queue
from annotation.accounts import account_of
from annotation.models import Instructions, Membership, Project, Qualification, Role

SMALL = 1_000
ROUNDS, CLAIMS_A_ROUND = 5, 40
DEAD_ENTRIES = 40_000
MOST_RATIO, MOST_MS = 1.5, 1.0

PROMPTS = """
INSERT INTO annotation_prompt (project_id, external_id, messages, tags, purpose,
    metadata, line_sha256, overlap, priority, failure)
SELECT %(project)s, 'p' || number, '[{"role": "user", "content": "Why is it so?"}]',
    '{}', 'work', '{}', repeat('0', 64), 3, 0, ''
FROM generate_series(1, %(count)s) number
"""
# Places as annotation.slots makes them: priority 0, one arrival, the rest random.
SLOTS = """
INSERT INTO annotation_assignment (project_id, prompt_id, slot, repeat, source, pool,
    seq, state, labeler_id, token, display_order, claimed_at, closed_at)
SELECT project_id, id, slot, 0, 'queue', 'random', seq,
    CASE WHEN labeler IS NULL THEN 'open' ELSE 'completed' END, labeler,
    'bench-' || id || '-' || slot, '{2,0,3,1}',
    CASE WHEN labeler IS NOT NULL THEN now() END,
    CASE WHEN labeler IS NOT NULL THEN now() END
FROM (
    SELECT id, project_id, slot,
        (50::bigint << 56) + (1::bigint << 28) + place AS seq,
        CASE WHEN slot = 0 THEN %(finisher)s
            WHEN slot = 2 AND place < (1 << 28) / 10 THEN %(veteran)s END AS labeler
    FROM (
        SELECT id, project_id, floor(random() * (1 << 28))::bigint AS place
        FROM annotation_prompt WHERE project_id = %(project)s) prompt,
        generate_series(0, 2) slot) made
"""
CLOSE = """
UPDATE annotation_assignment SET state = 'completed', closed_at = now() WHERE id = %s
"""
# What two others did while an export held its snapshot: the entries of these rows in
# the index of open slots are dead, and cannot be cleaned away.
OTHERS_GO_AHEAD = """
UPDATE annotation_assignment SET state = 'completed', closed_at = now(),
    labeler_id = CASE slot WHEN 1 THEN %(one)s::bigint ELSE %(another)s::bigint END
WHERE id IN (
    SELECT id FROM annotation_assignment
    WHERE project_id = %(project)s AND state = 'open'
      AND seq > (SELECT cursor_seq FROM annotation_membership WHERE id = %(ahead_of)s)
    ORDER BY seq, slot LIMIT %(count)s)
"""


class Bench:
    """A project of so many prompts, and its people."""

    def __init__(self, prompts: int) -> None:
        self.prompts = prompts
        self.project = Project.objects.create(
            slug=f"claims-{prompts}", title=f"{prompts:,} prompts", overlap=3
        )
        Instructions.objects.create(project=self.project, version=1, text="Be fair.")
        self.veteran, self.finisher = self.labeler("veteran"), self.labeler("finisher")
        self._fill()

    def labeler(self, name: str) -> Membership:
        """Somebody new, who is let in."""
        user, _ = account_of(f"{name}@{self.project.slug}.example")
        return Membership.objects.create(
            project=self.project,
            user=user,
            name=name,
            role=Role.LABELER,
            qualification=Qualification.PASSED,
            qualification_decided_at=Now(),
        )

    def _fill(self) -> None:
        keys = {"project": self.project.pk, "count": self.prompts}
        people = {"veteran": self.veteran.pk, "finisher": self.finisher.pk}
        with connection.cursor() as cursor:
            # The checks of foreign keys, row by row, would take most of the time.
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(PROMPTS, keys)
            cursor.execute(SLOTS, keys | people)
            cursor.execute("RESET session_replication_role")

    def others_go_ahead(self) -> None:
        """Work is done in front of the veteran."""
        rows = min(DEAD_ENTRIES, self.prompts // 4)
        people = {"one": self.labeler("one").pk, "another": self.labeler("another").pk}
        keys = {"project": self.project.pk, "ahead_of": self.veteran.pk, "count": rows}
        with connection.cursor() as cursor:
            cursor.execute(OTHERS_GO_AHEAD, keys | people)


def cost_of_a_claim(labeler: Membership) -> float:
    """Claims once, and closes it; the CPU time of the claim alone, in ms."""
    backend = connection.connection.info.backend_pid
    before, started = _cpu_ns(backend), time.process_time_ns()
    claimed = queue.claim(labeler)
    own = time.process_time_ns() - started
    spent = own + _cpu_ns(backend) - before
    if claimed is not None:
        with connection.cursor() as cursor:
            cursor.execute(CLOSE, [claimed.pk])
    return spent / 1e6


def _cpu_ns(pid: int) -> int:
    """CPU time that an idle process has used so far; Linux counts nanoseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


@dataclass(frozen=True)
class Figure:
    """A claim in both projects, in ms of CPU time."""

    what: str
    small: float
    large: float
    first_large: float

    @property
    def ratio(self) -> float:
        """How many times the cost of the small project the large one's is."""
        return self.large / self.small

    @property
    def held(self) -> bool:
        """Whether one of the two bars is held."""
        return self.ratio <= MOST_RATIO or self.large <= MOST_MS


def measured(what: str, small: Membership, large: Membership) -> Figure:
    """Rounds in both projects, in turn. The first look of each stands apart."""
    cost_of_a_claim(small)
    first_large = cost_of_a_claim(large)
    rounds = [(_round(small), _round(large)) for _ in range(ROUNDS)]
    in_small, in_large = zip(*rounds, strict=True)
    return Figure(
        what,
        small=statistics.median(in_small),
        large=statistics.median(in_large),
        first_large=first_large,
    )


def _round(labeler: Membership) -> float:
    return statistics.mean(cost_of_a_claim(labeler) for _ in range(CLAIMS_A_ROUND))


@contextmanager
def a_snapshot_held_open() -> Iterator[None]:
    """Another connection reads, as an export does, and does not end."""
    with psycopg.connect(**connection.get_connection_params()) as export:
        export.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        # An export is never idle for long; this one only stands there.
        export.execute("SET idle_in_transaction_session_timeout = 0")
        export.execute("SELECT count(*) FROM annotation_project")
        yield


def all_figures(small: Bench, large: Bench) -> Iterator[Figure]:
    """One figure for each kind of labeler."""
    yield measured("who ranked the first tenth", small.veteran, large.veteran)
    newcomers = small.labeler("newcomer"), large.labeler("newcomer")
    yield measured("a newcomer", *newcomers)
    with a_snapshot_held_open():
        small.others_go_ahead()
        large.others_go_ahead()
        yield measured("beside an open snapshot", small.veteran, large.veteran)
    yield measured("who has done everything", small.finisher, large.finisher)


def main(prompts: int) -> None:
    """Build, measure, print; exits with 1 when a bar is missed."""
    call_command("migrate", verbosity=0)
    started = time.monotonic()
    small, large = Bench(SMALL), Bench(prompts)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
    print(f"built in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    figures = list(all_figures(small, large))
    _print(figures, prompts)
    sys.exit(not all(figure.held for figure in figures))


def _print(figures: list[Figure], prompts: int) -> None:
    print(f"A claim, ms of CPU time (web and Postgres), at {SMALL:,} and {prompts:,}")
    print(f"prompts. Bar: at most {MOST_RATIO} times, or at most {MOST_MS:.0f} ms.")
    print("`once`: the first look from the start of the queue, after it has changed.")
    print(f"\n{'':28}{'small':>8}{'large':>8}{'ratio':>8}{'bar':>8}{'once':>10}")
    for figure in figures:
        print(
            f"{figure.what:28}{figure.small:8.2f}{figure.large:8.2f}"
            f"{figure.ratio:8.2f}{'held' if figure.held else 'MISSED':>8}"
            f"{figure.first_large:10.1f}"
        )
