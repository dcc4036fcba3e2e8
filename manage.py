#!/usr/bin/env python
"""The command line of Rankwell: `python manage.py help` lists the commands."""

import os
import sys

from django.core.management import execute_from_command_line
from django.db import Error as DatabaseError


def main() -> None:
    """Run one command; a server or a disk that is missing costs one clear line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation.settings")
    try:
        execute_from_command_line(sys.argv)
    except (DatabaseError, OSError) as error:
        if "--traceback" in sys.argv:
            raise
        first_line = str(error).strip().splitlines()[0] if str(error) else repr(error)
        sys.exit(f"{type(error).__name__}: {first_line}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
