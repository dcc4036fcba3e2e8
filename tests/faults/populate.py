"""Fills an installation: `python -m tests.faults.populate LABELERS PROMPTS OVERLAP`.

Prints what its tests need, as JSON: the session keys of the labelers, in their order.
"""

import json
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation.settings")
django.setup()

from django.conf import settings  # noqa: E402  Django is set up now
from django.test import Client  # noqa: E402

from annotation.models import (  # noqa: E402
    Membership,
    Project,
    Prompt,
    Response,
    Role,
    User,
)
from annotation.queue import choose_overlap, open_slots  # noqa: E402

K = 4


def populate(labelers: int, prompts: int, overlap: int) -> list[str]:
    """The project `faults`, its people and its prompts; sessions of the labelers."""
    project = Project.objects.create(slug="faults", title="Faults", overlap=overlap)
    made = [
        Prompt(
            project=project,
            external_id=f"p{number}",
            messages=[{"role": "user", "content": f"Question {number}?"}],
            line_sha256="0" * 64,
        )
        for number in range(prompts)
    ]
    choose_overlap(project=project, prompts=made)
    Prompt.objects.bulk_create(made)
    Response.objects.bulk_create(
        Response(prompt=prompt, external_id=f"r{n}", text=f"Answer {n} to {prompt}.")
        for prompt in made
        for n in range(K)
    )
    open_slots(made)
    return [_session_of(project, number) for number in range(labelers)]


def _session_of(project: Project, number: int) -> str:
    user = User.objects.create_user(f"labeler{number}@example.org")
    Membership.objects.create(
        project=project, user=user, name=f"labeler {number}", role=Role.LABELER
    )
    browser = Client()
    browser.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return browser.cookies[settings.SESSION_COOKIE_NAME].value


if __name__ == "__main__":
    print(json.dumps(populate(*map(int, sys.argv[1:]))))
