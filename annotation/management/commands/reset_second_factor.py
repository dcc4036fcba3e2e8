"""Takes the second factor off an account whose phone and codes are lost."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.accounts import end_access
from annotation.models import User
from annotation.second_factor import turn_off


class Command(BaseCommand):
    """`reset_second_factor EMAIL`, for whoever runs the machine."""

    help = (
        "Take the second factor off an account whose phone and recovery codes are lost."
        " It is signed out everywhere; its links and API tokens end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One e-mail address."""
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        """Errors: CommandError when there is no such account or no second factor."""
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None or not turn_off(user):
            raise CommandError(
                f"Nobody with a second factor has the address {email!r}."
            )
        end_access(user)
        self.stdout.write(f"{user} has no second factor any more.")
