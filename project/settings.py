"""Django's settings: every variable of the environment is read here and nowhere else.

An installation is of one of three sorts:

- `WAYSTATION_EMBEDDED=on`, as `make up`, `make demo` and `make test` say: whatever
  `DATABASE_URL`, `REDIS_URL` or a secret leaves open is filled in from the servers
  and secrets that live in `WAYSTATION_DATA`.
- `WAYSTATION_DEBUG=on` implies the same unless `WAYSTATION_EMBEDDED=off`.
- Otherwise, as in production, a missing address or secret is an error at start-up.

`WAYSTATION_PUBLIC_URL` decides about transport security: an https address turns on
the redirect to it, HSTS and secure cookies; plain http is accepted for loopback only.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from project import addresses, admin_theme, embedded, env, keys

BASE_DIR = Path(__file__).resolve().parent.parent

# Which installation this is

DEBUG = env.boolean("WAYSTATION_DEBUG", default=False)
EMBEDDED = env.boolean("WAYSTATION_EMBEDDED", default=DEBUG)
DATA = Path(env.text("WAYSTATION_DATA", default=str(BASE_DIR / ".data"))).resolve()


def _secret(name: str, *, own: Callable[[], str]) -> str:
    """Return a setting that an embedded installation can fill in by itself."""
    try:
        return env.secret(name)
    except ImproperlyConfigured as error:
        if f"{name} must be set" not in str(error):
            raise
        if not EMBEDDED:
            hint = "WAYSTATION_EMBEDDED=on would use one of its own."
            raise ImproperlyConfigured(f"{error} {hint}") from None
    return own()


def _generated_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


SECRET_KEY = _secret(
    "SECRET_KEY",
    own=lambda: keys.kept(DATA / "secrets" / "secret-key", make=keys.long_password),
)
ENCRYPTION_KEYS = addresses.encryption_keys(
    _secret(
        "WAYSTATION_ENCRYPTION_KEY",
        own=lambda: keys.kept(DATA / "secrets" / "encryption-key", make=_generated_key),
    )
)
ENCRYPTION_KEY_ID = next(iter(ENCRYPTION_KEYS))
CHECKPOINT_KEY = hmac.digest(SECRET_KEY.encode(), b"waystation checkpoint", "sha256")
CHECKPOINT_VALIDITY = timedelta(days=60)

# Stores

DATABASE_URL = _secret("DATABASE_URL", own=lambda: embedded.urls(DATA).database)
REDIS_URL = _secret("REDIS_URL", own=lambda: embedded.urls(DATA).redis)
DATABASES = {"default": addresses.catalog(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CELERY_BROKER_URL = addresses.broker(REDIS_URL)

# The default staging server, and what is called when a database is made on it.
STAGING_SERVER_URL = env.secret("STAGING_SERVER_URL", default=DATABASE_URL)
STAGING_SEED = "replication.staging.install.install"

# Work

DISPATCH_INTERVAL = timedelta(seconds=2)
# Renewed while its worker lives; a killed one's work goes on after so long.
LEASE = timedelta(seconds=30)
TIME_SLICE = timedelta(seconds=20)
# How often the keys of tables that are polled by a modified time are compared with the
# source's: nothing else tells of deleted rows.
RECONCILE_INTERVAL = timedelta(
    seconds=env.number("WAYSTATION_RECONCILE_SECONDS", default=86_400, least=60)
)
DEFAULT_INTERVAL = timedelta(
    seconds=env.number("WAYSTATION_INTERVAL_SECONDS", default=30, least=1)
)
WORKER_THREADS = env.number("WAYSTATION_WORKER_THREADS", default=16, least=1)
# Devices of one organization whose edits are on their way at once; the source's budget
# may allow fewer.
WRITE_BACK_THREADS = env.number("WAYSTATION_WRITE_BACK_THREADS", default=16, least=1)
ORGANIZATION_CONCURRENCY = 2
# Tables of so many rows are loaded in parts, by so many workers as the source bears, and
# no more than this.
DIVIDE_FROM = env.number("WAYSTATION_DIVIDE_FROM", default=200_000, least=2)
PARTS_AT_ONCE = 8
# Only the sandbox lives on loopback; in production that address is an attack.
SOURCE_ALLOW_LOOPBACK = env.boolean(
    "WAYSTATION_SOURCE_ALLOW_LOOPBACK", default=EMBEDDED
)
# Names that sources and their authorities may have, `*` for any part; empty: any.
SOURCE_HOSTS = tuple(word.lower() for word in env.words("WAYSTATION_SOURCE_HOSTS"))
# Off, where all sources are on the internet: then private addresses are refused.
SOURCE_ALLOW_PRIVATE = env.boolean("WAYSTATION_SOURCE_ALLOW_PRIVATE", default=True)

# A set that several devices download is stored, serialised and compressed, if it has
# so many rows; all those of one organization take at most so much room.
STAGING_CONNECTIONS = env.number("WAYSTATION_STAGING_CONNECTIONS", default=100)
SEGMENT_ROWS = env.number("WAYSTATION_SEGMENT_ROWS", default=5_000, least=1)
SEGMENT_BYTES = env.number("WAYSTATION_SEGMENT_MEGABYTES", default=1_024) * 2**20

# Outcomes of mutations are kept so long after the device has stored them.
OUTCOME_RETENTION = timedelta(days=60)
# How many devices may wait for news in one web process (`/wait`): each holds a thread.
WAITING_DEVICES = env.number("WAYSTATION_WAITING_DEVICES", default=4)

# Where files of devices wait for their source; web and worker processes share it.
FILES_FOLDER = Path(env.text("WAYSTATION_FILES", default=str(DATA / "files"))).resolve()

# HTTP

WAYSTATION_PORT = env.port("WAYSTATION_PORT", default=8000)
_PUBLIC = addresses.public(
    env.text("WAYSTATION_PUBLIC_URL", default=f"http://127.0.0.1:{WAYSTATION_PORT}")
)
PUBLIC_URL = _PUBLIC.url
ALLOWED_HOSTS = [
    *env.words("ALLOWED_HOSTS", default=(_PUBLIC.host, "127.0.0.1", "localhost"))
]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
# The largest batch of device edits; it binds every body, DRF's too.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"

SECURE_SSL_REDIRECT = _PUBLIC.is_secure
SECURE_REDIRECT_EXEMPT = ["^healthz$", "^readyz$", "^metrics$"]
SECURE_HSTS_SECONDS = (
    env.number("WAYSTATION_HSTS_SECONDS", default=31_536_000)
    if _PUBLIC.is_secure
    else 0
)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = _PUBLIC.is_secure
SESSION_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = 8 * 3600
CSRF_COOKIE_SECURE = _PUBLIC.is_secure
CSRF_COOKIE_SAMESITE = "Strict"
X_FRAME_OPTIONS = "DENY"
if env.boolean("WAYSTATION_BEHIND_PROXY", default=False):
    # True only where a proxy of ours ends TLS and sets, never passes, this header.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Whose tokens let services into the admin API; nobody's, unless an authority is named.
ADMIN_IDENTITY = (
    {
        "authority": env.text("WAYSTATION_ADMIN_AUTHORITY"),
        "issuers": list(env.words("WAYSTATION_ADMIN_ISSUERS")),
        "audience": env.text("WAYSTATION_ADMIN_AUDIENCE"),
        "tenant_id": env.text("WAYSTATION_ADMIN_TENANT_ID"),
        "ca_file": env.text("WAYSTATION_ADMIN_CA_FILE", default=""),
    }
    if env.text("WAYSTATION_ADMIN_AUTHORITY", default="")
    else None
)
# While this file exists, the load balancer is asked to send traffic elsewhere.
DRAIN_FILE = Path(env.text("WAYSTATION_DRAIN_FILE", default=str(DATA / "drain")))

INSTALLED_APPS = [
    # Before the admin, whose templates and site it replaces.
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "provisioning",
    "replication",
    "syncapi",
]
MIDDLEWARE = [
    # Devices are answered by these two; the others serve operators.
    "syncapi.middleware.api_answers",
    "syncapi.middleware.device_endpoints",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
UNFOLD = admin_theme.THEME
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Static files come straight from the packages: there is no collecting step.
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Waystation administration",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["syncapi.admin_api.described.complete"],
}

# Language and time

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "project.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {
        "handlers": ["stderr"],
        "level": env.text("WAYSTATION_LOG_LEVEL", default="INFO"),
    },
    "loggers": {
        # Django's own handlers would print the same line a second time.
        "django": {"handlers": [], "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        # One line for every message that comes and goes drowns the others.
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        # One line per token and per request.
        "azure": {"level": "WARNING"},
        "msal": {"level": "WARNING"},
    },
}
