"""The real data gives exactly its known counts: import, filter, freeze, export.

The rankings of PandaLM stand in `test_export`, the sets of pair votes in
`tests/chaos/test_real_votes_counted.py`.
"""

from pathlib import Path

import pytest

from annotation.models import Project
from tests.pandalm import pandalm_files
from tests.ranking.real_counts import Expected, assert_counts

pytestmark = pytest.mark.django_db


@pytest.fixture
def archive(db: None) -> Project:
    return Project.objects.create(slug="old", title="Old", archive=True)


def rankme(*, labelers: int, strict: int, without_a_pair: int) -> Expected:
    """18 rankings of six prompts have one response: those are refused."""
    return Expected(
        prompts=94,
        labelers=labelers,
        rankings=282,
        strict=strict,
        ties=774 - strict,
        without_a_pair=without_a_pair - 18,
        refused=18,
    )


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ("quality", rankme(labelers=7, strict=316, without_a_pair=140)),
        ("naturalness", rankme(labelers=7, strict=233, without_a_pair=198)),
        ("informativeness", rankme(labelers=10, strict=489, without_a_pair=74)),
    ],
)
def test_rankme(
    archive: Project, tmp_path: Path, criterion: str, expected: Expected
) -> None:
    name = f"rankme-cc-by-sa/rankme_{criterion}_k3.jsonl.gz"
    assert_counts(archive, pandalm_files(tmp_path, name), expected, tmp_path)
