"""Settings, all of them from the environment (docs/configuration.md lists them)."""

import os
from pathlib import Path

from opscenter.base import config

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = config.data_dir(BASE_DIR)
DEBUG = False

SECRET_KEY = config.secret_key(DATA_DIR)
ENCRYPTION_KEYS = config.encryption_keys(DATA_DIR)
PORT = config.integer("OPSCENTER_PORT", 8000)
BIND = os.environ.get("OPSCENTER_BIND", "127.0.0.1")
PUBLIC_URL = os.environ.get("OPSCENTER_PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
ALLOWED_HOSTS = config.words("OPSCENTER_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")
OUTBOUND_ALLOW = config.words("OPSCENTER_OUTBOUND_ALLOW", "")

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

DATABASES = {"default": config.database(DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "workspaces.User"

ROOT_URLCONF = "opscenter.urls"
WSGI_APPLICATION = "opscenter.wsgi.application"

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "opscenter" / "locale"]
