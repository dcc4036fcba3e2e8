"""Fills a benchmark's database. Runs in processes of their own, for their settings:

manage.py shell -c "from tests.benchmarks import seeding; seeding.main('FILE')"
"""

import time

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client

from annotation.accounts import account_of
from annotation.demo_project import INSTRUCTIONS
from annotation.instructions import write_instructions
from annotation.models import Membership, Project, PromptImport, Role
from annotation.rendered_prompts import render_some
from tests.benchmarks.material import FLAGS, SLUG


def main(prompts: str) -> None:
    """Make the site, and a project with the prompts of a file and one labeler.

    Prints the labeler's session: they are signed in.
    """
    for command in ("migrate", "collectstatic"):
        call_command(command, interactive=False, verbosity=0)
    labeler = make_labeler()
    call_command("import_prompts", SLUG, prompts, verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")  # as autovacuum has done within the hour
    assert labeler.user is not None
    browser = Client()
    browser.force_login(labeler.user, settings.AUTHENTICATION_BACKENDS[-1])
    print(browser.cookies[settings.SESSION_COOKIE_NAME].value)


def render_ahead() -> None:
    """Do what a worker does after an import.

    Prints the CPU milliseconds of this process for a prompt, without Postgres'.
    """
    kept = PromptImport.objects.get()
    started = time.process_time()
    last = 0
    while (following := render_some(kept.pk, after=last)) is not None:
        last = following
    print((time.process_time() - started) * 1_000 / kept.imported)


def make_labeler() -> Membership:
    """The labeler of a project in which every feature is switched on."""
    user, _ = account_of("labeler@example.org")
    project = Project.objects.create(
        slug=SLUG,
        title="Benchmark",
        rate_first=True,
        flags=list(FLAGS),
        show_word_counts=True,
        labelers_see_agreement=True,
    )
    write_instructions(project, text=INSTRUCTIONS, user=None)
    return Membership.objects.create(
        project=project, user=user, name="labeler", role=Role.LABELER
    )
