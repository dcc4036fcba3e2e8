"""Settings of the whole site. Everything that differs between machines is read from
the environment, here and nowhere else; `.env.example` lists every name.

`SITE_URL` is the one switch: `https://…` means production, which starts only with
secrets and servers of its own. Plain http is for loopback names only.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.core.exceptions import ImproperlyConfigured
from environs import Env

from annotation import api_settings
from annotation.embedded.places import places_of
from annotation.job_settings import *  # noqa: F403  settings like those below
from annotation.logs import AS_JSON, PROCESSORS
from annotation.sign_in_settings import *  # noqa: F403  settings like those below

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
env.read_env(BASE_DIR / ".env", recurse=False)

# --- Which site this is -----------------------------------------------------------

SITE_URL = (env.str("SITE_URL", "") or "http://127.0.0.1:8000").rstrip("/")
PRODUCTION = urlsplit(SITE_URL).scheme == "https"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
if not PRODUCTION and urlsplit(SITE_URL).hostname not in LOOPBACK_NAMES:
    raise ImproperlyConfigured(
        f"SITE_URL is {SITE_URL!r}: plain http is for 127.0.0.1 and localhost only."
        " Use an https:// address."
    )
DEBUG = env.bool("DEBUG", False)
if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG must be off when SITE_URL is https.")


def _needed_in_production(name: str) -> str:
    value = env.str(name, "")
    if PRODUCTION and not value:
        raise ImproperlyConfigured(f"{name} must be set when SITE_URL is https.")
    return value


# The fallback guards nothing but one machine's loopback address.
SECRET_KEY = _needed_in_production("SECRET_KEY") or "insecure-loopback-only-" * 3
if PRODUCTION and (
    len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 10 or "insecure" in SECRET_KEY
):
    raise ImproperlyConfigured(
        "SECRET_KEY must be at least 50 random characters when SITE_URL is https."
    )
ALLOWED_HOSTS = _needed_in_production("ALLOWED_HOSTS").replace(",", " ").split()
if not PRODUCTION:
    ALLOWED_HOSTS += [*LOOPBACK_NAMES, "[::1]"]
elif not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts of this site.")
# On: one reverse proxy of ours stands in front and sets X-Forwarded-For and -Proto.
BEHIND_PROXY = env.bool("BEHIND_PROXY", False)

VAR_DIR = Path(env.str("VAR_DIR", "") or BASE_DIR / "var").resolve()
MODEL_ROOT = VAR_DIR / "models"
# What clients of `serve_reward_model` must send; empty: nobody is asked.
SCORE_TOKEN = env.str("RANKWELL_SCORE_TOKEN", "")
# Files that people send to be imported: bytes as sent, and when unpacked.
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_BYTES", 2 * 10**9)
UNPACKED_MAX_BYTES = env.int("UNPACKED_MAX_BYTES", 20 * 10**9)

# --- Servers ----------------------------------------------------------------------

EMBEDDED_POSTGRES = not _needed_in_production("DATABASE_URL")
EMBEDDED_VALKEY = not _needed_in_production("REDIS_URL")
EMBEDDED_PLACES = places_of(VAR_DIR, postgres=EMBEDDED_POSTGRES, valkey=EMBEDDED_VALKEY)
_database: dict[str, Any] = {
    "ENGINE": "annotation.embedded",
    "NAME": "rankwell",
    "USER": "rankwell",
    "HOST": str(EMBEDDED_PLACES.sockets),
    "PORT": "5432",
}
if not EMBEDDED_POSTGRES:
    _database = dict(env.dj_db_url("DATABASE_URL"))
    if _database["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured("DATABASE_URL must begin with postgres://")
    _database["ENGINE"] = "annotation.postgres"
# Of every connection, ours and those that DATABASE_URL describes; what the URL itself
# says comes later and wins.
LOCK_TIMEOUT = 3_000  # ms; who waits longer is told to come again
IDLE_IN_TRANSACTION_TIMEOUT = 30_000  # ms; then Postgres ends what a dead process began
_limits = (
    f"-c lock_timeout={LOCK_TIMEOUT}"
    f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT}"
)
_given: dict[str, Any] = _database.get("OPTIONS", {})
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **_database,
        "CONN_MAX_AGE": env.int("CONN_MAX_AGE", 600),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            # Together they save Postgres half of its work on a label: a statement is
            # parsed and planned once a connection. Either alone gains nothing.
            "server_side_binding": True,
            "prepare_threshold": 5,  # times that a statement runs unprepared
            **_given,
            "options": f"{_limits} {_given.get('options', '')}".strip(),
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# `/readyz` is red unless the database says "on" to each: a commit is then on disk.
DURABLE_WHEN_ON = ["synchronous_commit", "fsync", "full_page_writes"]

# What is the same on every machine: job_settings.
CELERY_BROKER_URL = env.str("REDIS_URL", "") or (
    f"redis+socket://{EMBEDDED_PLACES.valkey_socket}"
)
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")

# Where downloads of datasets lie: below VAR_DIR, or in any S3-compatible store.
EXPORTS_S3: dict[str, Any] = {}
if env.str("EXPORTS_S3_BUCKET", ""):
    EXPORTS_S3 = {
        "bucket_name": env.str("EXPORTS_S3_BUCKET"),
        "endpoint_url": env.str("EXPORTS_S3_ENDPOINT", "") or None,
        "region_name": env.str("EXPORTS_S3_REGION", "") or None,
        "access_key": env.str("EXPORTS_S3_KEY", "") or None,
        "secret_key": env.str("EXPORTS_S3_SECRET", "") or None,
    }
# Days that such a file stays once it is written; 0: for ever.
EXPORTS_KEPT_DAYS = env.int("EXPORTS_KEPT_DAYS", 90)
if EXPORTS_KEPT_DAYS < 0:
    raise ImproperlyConfigured("EXPORTS_KEPT_DAYS is a number of days, 0 or more.")

# --- Django -----------------------------------------------------------------------

ROOT_URLCONF = "annotation.urls"
WSGI_APPLICATION = "annotation.wsgi.application"
INSTALLED_APPS = [
    "annotation",
    "ranking",
    "rm_training",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "axes",
    "csp",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_structlog",
    "drf_spectacular",
    "knox",
    "rest_framework",
]
MIDDLEWARE = [
    # First, so that redirects and error pages of the others carry the policy too.
    "csp.middleware.CSPMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    # Before the next one, which reads a form for its token.
    "annotation.body_limit.BodyLimit",
    "django.middleware.csrf.CsrfViewMiddleware",
    "annotation.sessions.SignedInAccount",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "annotation.request_log.RequestLog",
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "annotation.static_files.HashedStaticFiles"},
}
WHITENOISE_USE_FINDERS = not PRODUCTION  # the demo serves without collectstatic
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# --- Who may come in; what is the same on every machine: sign_in_settings ------------

ALLAUTH_TRUSTED_PROXY_COUNT = int(BEHIND_PROXY)
# One OpenID Connect server, if the environment names one.
OIDC_PROVIDER = "oidc"
OIDC_SERVER_URL = env.str("OIDC_SERVER_URL", "").rstrip("/")
OIDC_NAME = env.str("OIDC_NAME", "") or "single sign-on"
if PRODUCTION and OIDC_SERVER_URL and not OIDC_SERVER_URL.startswith("https://"):
    raise ImproperlyConfigured("OIDC_SERVER_URL must begin with https://")
_oidc_app = {
    "provider_id": OIDC_PROVIDER,
    "name": OIDC_NAME,
    "client_id": env.str("OIDC_CLIENT_ID", ""),
    "secret": env.str("OIDC_CLIENT_SECRET", ""),
    "settings": {
        "server_url": OIDC_SERVER_URL,
        "verified_email": env.bool("OIDC_EMAILS_ARE_VERIFIED", False),
        "oauth_pkce_enabled": True,
    },
}
if OIDC_SERVER_URL and not (_oidc_app["client_id"] and _oidc_app["secret"]):
    raise ImproperlyConfigured(
        "OIDC_CLIENT_ID and OIDC_CLIENT_SECRET must be set with OIDC_SERVER_URL."
    )
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {"APPS": [_oidc_app] if OIDC_SERVER_URL else []}
}
SESSION_ENGINE = "annotation.sessions"
SESSION_IDLE = timedelta(hours=env.float("SESSION_IDLE_HOURS", 7 * 24))
SESSION_ABSOLUTE = timedelta(hours=env.float("SESSION_HOURS", 30 * 24))
if not timedelta(0) < SESSION_IDLE <= SESSION_ABSOLUTE:
    raise ImproperlyConfigured(
        "SESSION_IDLE_HOURS must be above 0, and at most SESSION_HOURS."
    )
SESSION_COOKIE_AGE = int(SESSION_ABSOLUTE.total_seconds())
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "annotation.errors.csrf_failure"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$"]  # probes come by plain http
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY and PRODUCTION else None
)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- The API; what is the same on every machine: api_settings -----------------------

REST_FRAMEWORK = {**api_settings.REST_FRAMEWORK, "NUM_PROXIES": int(BEHIND_PROXY)}
SPECTACULAR_SETTINGS = api_settings.SPECTACULAR_SETTINGS

# --- Letters and logs -------------------------------------------------------------

# Without EMAIL_URL nothing is sent: invitations and resets are links to copy.
EMAIL_URL = env.str("EMAIL_URL", "")
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
if EMAIL_URL:
    vars().update(env.dj_email_url("EMAIL_URL"))
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", "") or (
    f"rankwell@{urlsplit(SITE_URL).hostname}"
)
LOGGING = AS_JSON
structlog.configure(
    processors=[*PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
