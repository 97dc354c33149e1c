"""Settings, all of them from the environment (docs/configuration.md lists them)."""

import os
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from opscenter.base import addresses, config, logs

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = config.data_dir(BASE_DIR)
DEBUG = False
LOGGING = logs.configure()

SECRET_KEY = config.secret_key(DATA_DIR)
ENCRYPTION_KEYS = config.encryption_keys(DATA_DIR)
PORT = config.integer("OPSCENTER_PORT", 8000)
BIND = os.environ.get("OPSCENTER_BIND", "127.0.0.1")
PUBLIC_URL = os.environ.get("OPSCENTER_PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
OUTBOUND_ALLOW = config.words("OPSCENTER_OUTBOUND_ALLOW", "")
addresses.parse_allow(OUTBOUND_ALLOW)  # a word that cannot be read ends the process here, not a call later
WEB_PROCESSES = config.integer("OPSCENTER_WEB_PROCESSES", 1, most=64)
WEB_THREADS = config.integer("OPSCENTER_WEB_THREADS", 8, most=256)
WORKERS = config.integer("OPSCENTER_WORKERS", 4, most=512)
SQLITE_DIR = config.sqlite_dir(BASE_DIR, DATA_DIR)
NODE_PYTHON = config.program("OPSCENTER_NODE_PYTHON")
STOP_GRACE = config.integer("OPSCENTER_STOP_GRACE", 4, least=0, most=24 * 3600)
POSTGRES_USER = os.environ.get("OPSCENTER_POSTGRES_USER", "")

_public = urlsplit(PUBLIC_URL)
if _public.scheme not in ("http", "https") or not _public.hostname:
    raise config.Misconfigured(
        f"OPSCENTER_PUBLIC_URL must look like https://opscenter.example.com, not {PUBLIC_URL!r}."
    )
ALLOWED_HOSTS = [
    *config.words("OPSCENTER_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]"),
    f"[{_public.hostname}]" if ":" in _public.hostname else _public.hostname,
]
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]

globals().update(config.mail(_public.hostname))  # EMAIL_...: one variable says all of it

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_htmx",
    "django_q",
    "opscenter.base",
    "opscenter.workspaces",
    "opscenter.production",
    "extensions",
    "workflows",
    "opscenter.engine",
    "opscenter.operations",
    "opscenter.console",
    "opscenter.openapi",
    "opscenter.processes",
]

MIDDLEWARE = [
    "opscenter.processes.middleware.request_id",
    "opscenter.processes.middleware.health",
    # the OpenAPI face answers here: before hosts, sessions, CSRF and languages, which are the console's
    "opscenter.openapi.middleware.OpenApiMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "opscenter.processes.middleware.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "opscenter.console.middleware.ReasonsMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "opscenter.console.context.frame",
            ],
        },
    }
]

DATABASES = {"default": config.database(DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "workspaces.User"
LOGIN_URL = "console:login"
LOGIN_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

ROOT_URLCONF = "opscenter.urls"
WSGI_APPLICATION = "opscenter.wsgi.application"
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000  # a form names up to 1,000 objects, and as many that come after them

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "opscenter" / "locale"]

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

_is_https = _public.scheme == "https"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _is_https
SESSION_COOKIE_NAME = "opscenter_session"
CSRF_COOKIE_NAME = "opscenter_csrf"
CSRF_FAILURE_VIEW = "opscenter.console.views.errors.csrf_failure"
if _is_https:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; "
    "img-src 'self' data:"
)

# django-q2 executes, the instance table is the queue (DESIGN.md 4): it keeps, retries, schedules and times out nothing
Q_CLUSTER = {
    "name": "opscenter",
    "orm": "default",
    "workers": WORKERS,
    "queue_limit": WORKERS,
    "bulk": 1,
    "poll": 0.2,
    "timeout": None,
    "retry": 20,  # what chores need is in engine/chores.py; instances do not come this way
    "max_attempts": 0,
    "ack_failures": True,
    "save_limit": -1,
    "recycle": 10_000,
    "scheduler": False,
    "catch_up": False,
    "log_level": "WARNING",
}
# it warns of any configuration without a timeout; ours are in the engine and end the whole process group
warnings.filterwarnings("ignore", "Retry and timeout are misconfigured", UserWarning)
