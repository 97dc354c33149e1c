"""manage.py parameters: what scheduling parameters would give for a task and a business date."""

import json
from argparse import ArgumentTypeError
from datetime import date, time, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from opscenter.base import clock
from opscenter.base.reasons import Reason, say
from opscenter.production import parameter_values
from opscenter.production.models import Environment, Task
from opscenter.production.names import LEVELS
from opscenter.production.parameter_values import Parameters
from opscenter.production.rules import preview
from opscenter.production.rules.preview import Answer


class Command(BaseCommand):
    help = "Show what scheduling parameters give: of expressions, and of a task. Ends with 1 if one has no value."
    requires_system_checks: list[str] = []  # made by make lint; here they would only cost time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "expressions", nargs="*", metavar="TEXT", help="an expression, or assignments: 'dt=$bizdate hour=$[hh24]'"
        )
        parser.add_argument("--task", type=int, metavar="N", help="id of a task; its own parameters are shown too")
        parser.add_argument("--environment", default=Environment.PROD, choices=Environment.values)
        parser.add_argument("--date", type=_date, metavar="DATE", help="business date (default: yesterday)")
        parser.add_argument(
            "--at", type=_time, metavar="TIME", help="scheduled time of day (default: when the task first runs)"
        )
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        task = _task(options["task"], options["environment"])
        if task is None and not options["expressions"]:
            raise CommandError("Give an expression, or a task with --task.")
        bizdate = options["date"] or clock.now().date() - timedelta(days=1)
        try:
            context = parameter_values.planned(task, bizdate, options["at"] or parameter_values.first_time_of_day(task))
        except OverflowError:
            raise CommandError(
                "--date: the scheduled day is the day after, and the calendar ends with this one."
            ) from None
        answers = preview.preview("\n".join(options["expressions"]), context)
        found = parameter_values.of_task(task, context) if task is not None else None
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(context, answers, found), ensure_ascii=False, indent=2))
        else:
            self.stdout.write(f"Business date {context.bizdate}, scheduled {context.scheduled_local}")
            self._tell(answers)
            self._tell_task(found)
        wrong = any(one.error for one in answers) or (found and (found.error or any(row.error for row in found.rows)))
        if wrong:
            raise CommandError("Not every expression has a value.")

    def _tell(self, answers: list[Answer]) -> None:
        for one in answers:
            if one.error is None:
                left = f"{one.name}={one.expression}" if one.name else one.expression
                self.stdout.write(f"{left}  ->  {one.value}")
            else:
                self.stdout.write(one.text)
                self.stdout.write(" " * one.start + "^" * max(1, one.end - one.start) + f" {_say(one.error)}")

    def _tell_task(self, found: Parameters | None) -> None:
        if found is None:
            return
        if found.error is not None:
            self.stdout.write(f"The task's parameters: {_say(found.error)}")
        for row in found.rows:
            one = row.parameter
            hides = "".join(f"; hides {LEVELS[level]}: {text}" for level, text in one.hides)
            value = row.value if row.error is None else f"no value: {_say(row.error)}"
            self.stdout.write(f"{one.name}={one.expression}  ->  {value}  ({LEVELS[one.level]}{hides})")


def _as_json(context: Any, answers: list[Answer], found: Parameters | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "bizdate": context.bizdate.isoformat(),
        "scheduled": context.scheduled_local.isoformat(" "),
        "expressions": [
            {"line": one.line, "name": one.name, "expression": one.expression, "value": one.value, **_error(one.error)}
            | ({"start": one.start, "end": one.end} if one.error else {})
            for one in answers
        ],
        "built_ins": dict(preview.built_ins(context)),
    }
    if found is not None:
        told["task"] = [
            {
                "name": row.parameter.name,
                "expression": row.parameter.expression,
                "value": row.value,
                "level": row.parameter.level.value,
                "hides": [{"level": level.value, "expression": text} for level, text in row.parameter.hides],
                **_error(row.error),
            }
            for row in found.rows
        ]
        told |= {"task_error": _error(found.error)["error"]} if found.error else {}
    return told


def _error(error: Reason | None) -> dict[str, Any]:
    return {} if error is None else {"error": {**error.as_json(), "text": _say(error)}}


def _say(error: Reason) -> str:
    return say(error.code, error.params)


def _task(number: int | None, environment: str) -> Task | None:
    if number is None:
        return None
    found = Task.objects.select_related("version", "workflow", "workspace__tenant")
    task = found.filter(number=number, environment=environment).first()
    if task is None:
        raise CommandError(f"There is no task {number} in {environment}.")
    return task


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no date. Write it as 2025-12-31.") from None


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text).replace(microsecond=0, tzinfo=None)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no time of day. Write it as 02:30:00.") from None
