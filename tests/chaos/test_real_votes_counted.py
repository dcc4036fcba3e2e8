"""Real pair votes give exactly their known counts, of an archive of pairs.

Rankings, on each commit: `tests/ranking/test_real_counts.py`.
"""

from pathlib import Path

import pytest

from annotation.models import Project
from tests.pandalm import pair_files
from tests.ranking.real_counts import Expected, assert_counts

pytestmark = pytest.mark.django_db


@pytest.fixture
def archive(db: None) -> Project:
    return Project.objects.create(slug="old", title="Old", archive=True)


MTBENCH = Expected(
    prompts=1_814,
    labelers=65,
    rankings=3_354,
    strict=3_354 - 779,
    ties=779,
    without_a_pair=779,
    repeats=1,
)
LLMFAO = Expected(
    prompts=2_139,
    labelers=124,
    rankings=8_931,
    strict=5_460,
    ties=3_471,
    without_a_pair=3_471,
)
PANDALM = Expected(
    prompts=999,
    labelers=3,
    rankings=2_997,
    strict=2_997 - 326,
    ties=326,
    without_a_pair=326,
)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("mtbench_human_votes.jsonl.gz", MTBENCH),
        ("llmfao_crowd.jsonl.gz", LLMFAO),
        ("pandalm_testset.jsonl.gz", PANDALM),
    ],
)
def test_votes_give_their_known_counts(
    archive: Project, tmp_path: Path, file: str, expected: Expected
) -> None:
    assert_counts(archive, pair_files(tmp_path, file), expected, tmp_path)
