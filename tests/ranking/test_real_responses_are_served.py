"""252 real prompts with nine answers each, imported and served one after the other."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from annotation.models import Membership, Project
from annotation.queue import claim, complete, lock_for_answer
from annotation.shown import LETTERS
from tests.pandalm import pandalm_files, records

pytestmark = pytest.mark.django_db

FILE = "selfinstruct_252_k9.jsonl.gz"


def test_every_prompt_is_served_whole_and_blind(
    project: Project,
    alice: Membership,
    signed_in: Callable[[Membership], Client],
    tmp_path: Path,
) -> None:
    prompts, _ = pandalm_files(tmp_path, FILE)
    call_command("import_prompts", project.slug, str(prompts), stdout=io.StringIO())
    names = {response["model"] for response in records(FILE)["response"]}
    assert len(names) == 9
    browser = signed_in(alice)
    served = 0
    while (assignment := claim(alice)) is not None:
        answer = browser.get(f"/p/tides/rank/{assignment.token}/")
        assert answer.status_code == 200
        page = answer.content.decode()
        assert [f'id="t{letter}"' in page for letter in LETTERS] == [True] * 9
        assert [name for name in names if name in page] == []
        complete(lock_for_answer(membership=alice, token=assignment.token))
        served += 1
    assert served == 252
