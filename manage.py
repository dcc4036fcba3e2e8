#!/usr/bin/env python
"""The command line of Rankwell: `python manage.py help` lists the commands."""

import os
import signal
import sys
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import Error as DatabaseError
from environs import EnvError


def main() -> None:
    """Run one command; a setting, server or disk that is missing costs one line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation.settings")
    # SIGTERM ends a command the orderly way: it leaves the embedded servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        import_module(os.environ["DJANGO_SETTINGS_MODULE"])
        execute_from_command_line(sys.argv)
    except (ImproperlyConfigured, EnvError, DatabaseError, OSError) as error:
        if "--traceback" in sys.argv:
            raise
        first_line = str(error).strip().splitlines()[0] if str(error) else repr(error)
        sys.exit(f"{type(error).__name__}: {first_line}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
