"""A process that gives one verdict in the tests' own database, and can be killed while it does."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from extensions.models import Check


@contextmanager
def answering(check: "Check", verdict: str) -> "Iterator[subprocess.Popen[bytes]]":
    """The process, which has begun; it is gone at the end of the block."""
    from django.conf import settings
    from django.db import connection

    from extensions.tokens import token_of

    where = {name: str(connection.settings_dict[name]) for name in ("NAME", "HOST", "PORT", "USER", "PASSWORD")}
    told = {"database": where, "check": check.pk, "token": token_of(check), "verdict": verdict}
    with tempfile.TemporaryDirectory() as folder:  # who is killed tidies nothing up
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.operations.answerer", json.dumps(told)],
            env={**os.environ, "OPSCENTER_SECRET_KEY": settings.SECRET_KEY, "TMPDIR": folder},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)


def main(told: dict[str, Any]) -> None:
    """Give the verdict."""
    import django
    from django.conf import settings

    settings.DATABASES["default"].update(told["database"])
    django.setup()
    from extensions.models import Check
    from opscenter.operations import checked

    checked.answer_by_token(told["check"], told["token"], Check.Verdict(told["verdict"]), "said in time")


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    main(json.loads(sys.argv[1]))
