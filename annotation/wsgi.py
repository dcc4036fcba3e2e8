"""The web process: `gunicorn annotation.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation.settings")
application = get_wsgi_application()
# All pages, now: else the first visitor of every process waits a second or two for them
# to be loaded, also after gunicorn has replaced one that died (with --preload).
get_resolver().url_patterns  # noqa: B018  reading it loads them
