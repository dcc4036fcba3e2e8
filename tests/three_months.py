"""A project in which eight people have worked for three months, to look at.

Some work is left, some of it held; the labelers differ in care and habits, and one has
grown careless lately.
"""

from annotation.models import Assignment, Membership, Project, Prompt
from ranking.summaries import lock_and_summarize
from tests.conftest import make_prompt
from tests.simulated_labelers import Labeler, Setting, simulate
from tests.stored_simulation import store

LABELERS = (
    Labeler(name="Ada Lindqvist", noise=0.4, tie_width=0.1),
    Labeler(name="Björn", noise=0.5, tie_width=0.15),
    Labeler(name="Chiamaka Okonkwo-Thompson", noise=0.6, tie_width=0.05),
    Labeler(name="Dae", noise=0.7, tie_width=0.2, position_bias=0.8),
    Labeler(name="Elif", noise=0.5, tie_width=0.1, length_bias=0.3),
    Labeler(name="Farid", noise=0.8, tie_width=0.02),
    Labeler(name="Gintarė", noise=0.6, tie_width=0.4),
    Labeler(name="Hugo", noise=0.5, tie_width=0.1, drift=0.2),
)


def three_months_of_work(project: Project, *, rankings_a_day: int = 6) -> None:
    """Fill a project without prompts: 12 weeks of 5 days by 8 people."""
    setting = Setting(
        prompts=12 * 5 * len(LABELERS) * rankings_a_day // 3,
        labelers=LABELERS,
        overlap=3,
        ks=(4, 6, 9),
        contrasts=(0.3, 0.7, 1.2),
        tags={"code": 0.3, "law": 0.1, "poems": 0.2, "long conversations": 0.15},
        sitting=rankings_a_day,
        days_per_version=25,
    )
    labelers = store(project, simulate(setting, seed=11))
    ranked = Prompt.objects.filter(project=project).values_list("pk", flat=True)
    lock_and_summarize(list(ranked))
    for number in range(40):
        make_prompt(project, f"left{number}", k=6, slots=3)
    hand_out(labelers[:3])


def hand_out(labelers: list[Membership]) -> None:
    """Each of them holds a prompt."""
    waiting = Assignment.objects.filter(state="open").order_by("pk")
    for labeler, row in zip(labelers, waiting[::4], strict=False):
        row.labeler, row.state = labeler, "claimed"
        row.claimed_at = row.lease_until = row.prompt.created_at
        row.save()
