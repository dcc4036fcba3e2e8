"""The site's settings, with data of the tests' own and a fast password hasher."""

import os
from pathlib import Path

os.environ.setdefault(
    "VAR_DIR", str(Path(__file__).resolve().parent.parent / "var" / "test")
)
# Playwright's sync API runs an event loop in the main thread; Django would refuse
# the ORM there.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

from annotation.settings import *  # noqa: F403  the same settings, but for these
from annotation.settings import DATABASES, DURABLE_WHEN_ON, LOGGING, STATIC_ROOT

STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns when it is missing

# Unit tests survive a power cut without their data; chaos tests keep the default.
DATABASES["default"]["OPTIONS"]["options"] += " -c synchronous_commit=off"
DURABLE_WHEN_ON.remove("synchronous_commit")
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGGING["root"]["level"] = "WARNING"
