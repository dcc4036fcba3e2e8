"""Prints a one-time link for somebody who cannot get in."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation.accounts import make_sign_in_link
from annotation.models import User


class Command(BaseCommand):
    """`sign_in_link EMAIL`, for whoever runs the machine."""

    help = (
        "Print a link that signs an existing account in once, within two days."
        " Earlier links of that account end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One e-mail address."""
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        """Errors: CommandError for an address without an open account."""
        email = email.strip().lower()
        user = User.objects.filter(email__iexact=email, is_active=True).first()
        if user is None:
            raise CommandError(
                f"Nobody with an open account has the address {email!r}."
            )
        self.stdout.write(make_sign_in_link(user))
