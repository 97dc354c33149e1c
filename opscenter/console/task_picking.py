"""Fields that name tasks: chosen from what is found as one types, or typed by name or id, also without JavaScript."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from opscenter.production import listings, selectors
from opscenter.production.models import Task
from opscenter.workspaces.models import User, Workspace

FOUND = 20
"""Tasks that are offered at a time."""
SHOWN = 100
"""Tasks of a field that are shown by their names."""
_NAMED = 5
"""Ids that a sentence tells of tasks with the same name."""


@dataclass(frozen=True)
class Choice:
    """A task that can be chosen, or is.

    Attributes:
        place: its workspace, where that is another one than the reader's.
    """

    number: int
    name: str
    place: str = ""


@dataclass(frozen=True)
class Chosen:
    """What a field names: the tasks that are shown, and the ids of more of them, which are one value together: a request may
    have no more than a thousand."""

    shown: list[Choice]
    more: list[int]


@dataclass(frozen=True)
class Scope:
    """Whose tasks they are: those of the tenant that the reader may see."""

    user: User
    workspace: Workspace
    environment: str

    def search(self, text: str, without: Collection[int] = ()) -> list[Choice]:
        """What can be backfilled and fits the text; one more than ``FOUND`` where there is more."""
        found = listings.search_backfillable(self.user, self.workspace, self.environment, text)
        return [self._choice(task) for task in found.exclude(number__in=without)[: FOUND + 1]]

    def numbered(self, numbers: Collection[int]) -> dict[int, Choice]:
        """The tasks with these ids, those that cannot be backfilled too: why not is the preview's to say."""
        found = selectors.tasks_of_tenant(self.user, self.workspace, self.environment).filter(number__in=numbers)
        return {task.number: self._choice(task) for task in found}

    def called(self, names: Collection[str]) -> dict[str, list[Task]]:
        """The tasks of each name; those of this workspace alone where there are any."""
        found: dict[str, list[Task]] = {}
        if names:
            tasks = selectors.backfillable(self.user, self.workspace, self.environment).filter(name__in=names)
            for task in tasks.order_by("number"):
                found.setdefault(task.name, []).append(task)
        here = {name: [one for one in tasks if one.workspace_id == self.workspace.pk] for name, tasks in found.items()}
        return {name: here[name] or tasks for name, tasks in found.items()}

    def _choice(self, task: Task) -> Choice:
        place = "" if task.workspace_id == self.workspace.pk else str(task.workspace)
        return Choice(task.number, task.name, place)


@dataclass
class Read:
    """What was entered: the tasks that it names, and the words that name none."""

    numbers: dict[int, None] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class TaskInput(forms.TextInput):
    """The chosen tasks and the text come as values of one name. What is chosen is shown beside the text, not in it."""

    shown: str | None = None

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:
        values = data.getlist(name) if hasattr(data, "getlist") else [data.get(name) or ""]
        return ",".join(str(one) for one in values)

    def format_value(self, value: Any) -> str | None:
        return self.shown if self.shown is not None else super().format_value(value)


class TasksField(forms.CharField):
    """Tasks by their ids or names, with commas between them; its value is their ids. ``scope`` is set by the form."""

    scope: Scope

    def __init__(self, **kwargs: Any) -> None:
        hint = gettext_lazy("Search by name or id")
        widget = TaskInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": hint})
        super().__init__(required=False, max_length=100_000, widget=widget, **kwargs)

    def clean(self, value: Any) -> Any:
        read = self.read(super().clean(value))
        if read.problems:
            raise forms.ValidationError(read.problems)
        return tuple(read.numbers)

    def chosen(self, value: Any) -> Chosen:
        """What is shown as chosen; the widget shows the other words."""
        read = self.read(value or "")
        known = self.scope.numbered(read.numbers)
        missing = [str(number) for number in read.numbers if number not in known]
        assert isinstance(self.widget, TaskInput)
        self.widget.shown = ", ".join([*missing, *read.rest])
        found = [known[number] for number in read.numbers if number in known]
        return Chosen(found[:SHOWN], [one.number for one in found[SHOWN:]])

    def read(self, value: str) -> Read:
        """Words that are no names are taken apart at their spaces."""
        words = [word.strip() for word in re.split(r"[,，\n]+", value) if word.strip()]
        known = self.scope.called({one for word in words for one in (word, *word.split()) if not is_id(one)})
        found = Read()
        for word in words:
            for part in [word] if is_id(word) or word in known else word.split():
                self._take(found, part, known)
        return found

    def _take(self, found: Read, word: str, known: dict[str, list[Task]]) -> None:
        if is_id(word):
            found.numbers[int(word)] = None
        elif len(tasks := known.get(word, [])) == 1:
            found.numbers[tasks[0].number] = None
        else:
            found.rest.append(word)
            found.problems.append(_ambiguous(word, tasks) if tasks else _unknown(word))


def is_id(word: str) -> bool:
    """Whether it is a number that can be a task's."""
    return word.isascii() and word.isdigit() and len(word) < 19


def _unknown(word: str) -> str:
    return _(
        "There is no task “%(word)s” among those that you may see and backfill. Search for it, or give its id."
    ) % {"word": word[:50]}


def _ambiguous(word: str, tasks: Iterable[Task]) -> str:
    ids = [str(task.number) for task in tasks]
    told = ", ".join(ids[:_NAMED]) + (" …" if len(ids) > _NAMED else "")
    return _("Several tasks are called “%(word)s”: %(ids)s. Give the id of the one that is meant.") % {
        "word": word[:50],
        "ids": told,
    }
