"""A process that makes a backfill in the tests' own database, as a worker's chore does, and can be killed while it does."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def making(job: int) -> "Iterator[subprocess.Popen[bytes]]":
    """The process, which has begun; it is killed at the end of the block."""
    from django.conf import settings
    from django.db import connection

    where = {name: str(connection.settings_dict[name]) for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    with tempfile.TemporaryDirectory() as folder:  # who is killed tidies nothing up
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.operations.maker", json.dumps({"database": where, "job": job})],
            env={**os.environ, "OPSCENTER_SECRET_KEY": settings.SECRET_KEY, "TMPDIR": folder},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def main(told: dict[str, Any]) -> None:
    """Make it."""
    import django
    from django.conf import settings

    settings.DATABASES["default"].update(told["database"])
    django.setup()
    from opscenter.engine import backfill_make

    backfill_make.make(told["job"])


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    main(json.loads(sys.argv[1]))
