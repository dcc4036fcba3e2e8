"""Deletes the HTML that older versions of the renderer made."""

from typing import Any

from django.core.management.base import BaseCommand

from annotation.rendered import drop_outdated


class Command(BaseCommand):
    """`drop_outdated_html`."""

    help = (
        "Delete the HTML of prompts and responses that an older version of the"
        " renderer made. Nothing is lost: it is not read any more, and each text is"
        " rendered anew when it is next shown. Run it once every web process has the"
        " new version."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """One DELETE."""
        self.stdout.write(f"{drop_outdated()} outdated texts deleted.")
