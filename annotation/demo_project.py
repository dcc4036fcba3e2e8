"""The demo's people, instructions and prompts. Seeding twice changes nothing.

One prompt comes with responses and a known order: labelers practise on it first, and
it can be ranked before the model has written anything.
"""

from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from annotation.imports import import_prompts
from annotation.instructions import current_instructions, write_instructions
from annotation.models import Membership, Project, Role, User

SLUG = "demo"
PROMPTS = Path(__file__).with_name("demo_prompts.jsonl")
PEOPLE = {  # what the terminal calls them: e-mail address, name, role
    "Labeler 1": ("labeler-1@demo.example", "Labeler 1", Role.LABELER),
    "Labeler 2": ("labeler-2@demo.example", "Labeler 2", Role.LABELER),
    "Admin": ("admin@demo.example", "Admin", Role.ADMIN),
    "Researcher": ("researcher@demo.example", "Researcher", Role.RESEARCHER),
}
INSTRUCTIONS = """\
Put the responses in order, the best first. Ask yourself which one you would rather
have received, had you written the prompt.

1. **Helpful**: it does what was asked, with the form and the length that was asked for.
2. **True**: a wrong fact or a wrong sum weighs more than clumsy words.
3. **Harmless**: it hurts nobody, and gives no dangerous advice.

Two responses that are equally good share a place; do not search for a difference
where you see none. A response that breaks off in the middle is judged by what is
there. The model that wrote them is a small one: some responses are simply silly.
"""


class DemoRefusedError(Exception):
    """The demo's project cannot be made; the message says why, in one line."""


@dataclass(frozen=True)
class Demo:
    """The seeded project, and its people by what the terminal calls them."""

    project: Project
    people: dict[str, User]


@transaction.atomic
def seed() -> Demo:
    """Make what is missing of the demo.

    Errors: DemoRefusedError when somebody else's project has the name: nobody is let
    into it.
    """
    people = {
        title: User.objects.get_or_create(email=email)[0]
        for title, (email, _, _) in PEOPLE.items()
    }
    project, _ = Project.objects.get_or_create(
        slug=SLUG,
        defaults={
            "title": "Demo: everyday questions",
            "created_by": people["Admin"],
            "overlap": 2,
            "k_min": 4,
            "k_max": 6,
            "temperature": 0.8,
            "max_new_tokens": 80,
            "flags": ["does not follow the instruction", "made up", "harmful"],
        },
    )
    if project.created_by_id != people["Admin"].pk:
        raise DemoRefusedError(
            f"a project called {SLUG!r} exists here that the demo did not make. Set"
            " VAR_DIR to another folder, for data of the demo's own."
        )
    for title, (_, name, role) in PEOPLE.items():
        Membership.objects.get_or_create(
            project=project,
            user=people[title],
            defaults={"name": name, "role": role},
        )
    if current_instructions(project) is None:
        write_instructions(project, text=INSTRUCTIONS, user=people["Admin"])
    with PROMPTS.open("rb") as file:
        report = import_prompts(project, file)
    if report.refused:
        raise DemoRefusedError(
            f"{PROMPTS.name} does not fit what is stored: {report.problems[0].message}"
        )
    return Demo(project, people)
