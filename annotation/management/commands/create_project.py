"""Makes a project from the command line."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from annotation.models import Membership, Project, Role, User


class Command(BaseCommand):
    """`create_project SLUG [options]`."""

    help = (
        "Make a project; the site's admins become its admins. Its name in addresses is"
        " SLUG: letters, digits, - and _."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The settings that most projects choose; the others have pages."""
        parser.add_argument("slug")
        parser.add_argument("--title", help="shown to people; default: SLUG")
        parser.add_argument("--overlap", type=int, default=1, metavar="N")
        parser.add_argument(
            "--overlap-fraction",
            type=float,
            default=1.0,
            metavar="F",
            help="share of prompts that get the overlap (0 to 1)",
        )
        parser.add_argument("--lease-minutes", type=int, default=30, metavar="N")
        parser.add_argument(
            "--archive",
            action="store_true",
            help="imports only: nothing is served, prompts take 2 to 9 responses",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Errors: CommandError that names the setting and what is wrong with it."""
        names = ("slug", "overlap", "overlap_fraction", "lease_minutes", "archive")
        project = Project(
            title=options["title"] or options["slug"],
            **{name: options[name] for name in names},
        )
        try:
            project.full_clean(exclude=["created_by"])
        except ValidationError as error:
            raise CommandError(_one_line(error), returncode=2) from error
        with transaction.atomic():
            project.save()
            Membership.objects.bulk_create(
                Membership(project=project, user=user, name=user.email, role=Role.ADMIN)
                for user in User.objects.filter(is_site_admin=True, is_active=True)
            )
        if options["json"]:
            self.stdout.write(json.dumps({"slug": project.slug, "id": project.pk}))
        else:
            self.stdout.write(f"Project {project.slug} is ready.")


def _one_line(error: ValidationError) -> str:
    """`overlap: Ensure this value is …; slug: …`"""
    return "; ".join(
        f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items()
    )
