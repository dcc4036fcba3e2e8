"""Whatever command is given a slug says the same of one that nobody has."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "command",
    [
        ["import_prompts", "nowhere", "FILE"],
        ["import_rankings", "nowhere", "FILE"],
        ["generate_responses", "nowhere", "--sft", "m"],
        ["agreement", "nowhere"],
        ["export_dataset", "nowhere", "--kind", "pairs", "--out", "FILE"],
    ],
    ids=lambda command: str(command[0]),
)
def test_a_command_says_in_one_sentence_that_there_is_no_such_project(
    command: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "x"
    words = [str(file) if word == "FILE" else word for word in command]
    with pytest.raises(CommandError) as refused:
        call_command(*words)
    assert str(refused.value) == "there is no project 'nowhere'"
    assert not file.exists()
