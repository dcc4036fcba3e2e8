"""The web process: `gunicorn annotation.wsgi`."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

# Python looks for cycles among its objects after so many new ones. A page makes and
# drops more than the usual 700 a hundred times over, and hardly any cycle.
NEW_OBJECTS = 50_000

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation.settings")
application = get_wsgi_application()
# All pages, now: else the first visitor of every process waits a second or two for them
# to be loaded, also after gunicorn has replaced one that died (with --preload).
get_resolver().url_patterns  # noqa: B018  reading it loads them
# What has been made so far stays, so the search for cycles need not look at it again.
gc.collect()
gc.freeze()
gc.set_threshold(NEW_OBJECTS)
