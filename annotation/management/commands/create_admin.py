"""Makes a site admin and prints a link that signs them in once."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from annotation.accounts import account_of, end_access, make_sign_in_link


class Command(BaseCommand):
    """`create_admin EMAIL`; running it again makes a fresh link."""

    help = (
        "Make a site admin (they create projects) and print a link that signs them in"
        " once, within two days. An existing account becomes a site admin."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One e-mail address."""
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        """Errors: CommandError for what is no e-mail address."""
        email = email.strip().lower()
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email!r} is not an e-mail address.") from error
        user, _ = account_of(email)
        user.is_site_admin = user.is_active = True
        user.save(update_fields=["is_site_admin", "is_active"])
        end_access(user)
        self.stdout.write(make_sign_in_link(user))
