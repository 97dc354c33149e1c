"""The product's settings, for tests: a data folder of their own, fast hashes, files as they lie in the tree."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_folder = tempfile.mkdtemp(prefix="opscenter-tests-")
Path(_folder).chmod(0o711)  # the database's user passes through
os.environ["OPSCENTER_DATA"] = _folder
_owner = os.getpid()


def _remove() -> None:
    if os.getpid() == _owner:  # not in what a test forks
        shutil.rmtree(_folder, ignore_errors=True)


atexit.register(_remove)

from opscenter.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
ALLOWED_HOSTS = ["*"]
