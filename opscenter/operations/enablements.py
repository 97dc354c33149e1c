"""Extensions in a workspace: enabled, set and disabled by who manages extensions there."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from extensions import lifecycle, options
from extensions.models import Enablement, Extension
from extensions.rules import DEFAULT_LIMIT, LONGEST_LIMIT, SHORTEST_LIMIT
from opscenter.base import clock
from opscenter.base.reasons import Invalid, NotFound, Refused, sentence
from opscenter.engine.locks import repeated
from opscenter.operations import checked
from opscenter.operations.actor import Actor
from opscenter.operations.extensions import record
from opscenter.operations.permits import require
from opscenter.workspaces.models import Workspace
from opscenter.workspaces.roles import Permission


@dataclass(frozen=True)
class Settings:
    """What a workspace decides about an extension.

    Attributes:
        is_mandatory: its verdict decides; an advisory one's is shown and blocks nothing.
        answer_limit: seconds.
        silence_blocks: whether no answer in time counts as FAIL, rather than as passed.
        option_values: the options that the extension defines, by name; of those left out the defaults.
    """

    is_mandatory: bool = True
    answer_limit: int = DEFAULT_LIMIT
    silence_blocks: bool = True
    option_values: Mapping[str, Any] = field(default_factory=dict)


@transaction.atomic
def enable(
    actor: Actor, workspace: Workspace, code: str, settings: Settings = Settings(), *, has_agreed: bool
) -> Enablement:
    """From now on the extension is asked about operations in the workspace.

    Args:
        has_agreed: the data authorization was given: the extension gets what its messages say.

    Raises:
        NotFound: the actor is a stranger, or there is no extension that may be enabled here.
        Forbidden: the actor may not manage extensions in the workspace.
        Refused: it is enabled already.
        Invalid: the authorization was not given, or a setting cannot be; ``field`` names which.
    """
    require(actor, workspace, Permission.MANAGE_EXTENSIONS)
    extension = lifecycle.effective_in(workspace).select_for_update(no_key=True).filter(code=code).first()
    if extension is None:
        raise NotFound("enablement.unknown", extension=code[:64], workspace=str(workspace))
    if not has_agreed:
        raise Invalid("enablement.authorization", field="agrees", extension=extension.name)
    settings = _checked(extension, settings)
    enablement, _made = Enablement.objects.get_or_create(extension=extension, workspace=workspace)
    if enablement.is_enabled:
        raise Refused("enablement.enabled", extension=extension.name)
    _apply(enablement, settings)
    enablement.is_enabled, enablement.agreed_by, enablement.agreed_at = True, actor.user, clock.now()
    enablement.save()
    lifecycle.watch(workspace.tenant_id)
    record(actor, "extension.enable", extension, asdict(settings), workspace)
    return enablement


@transaction.atomic
def change(actor: Actor, workspace: Workspace, code: str, settings: Settings) -> Enablement:
    """Other settings; they hold for operations asked for from now on.

    Raises:
        NotFound, Forbidden: the actor may not manage extensions here, or the extension is not enabled.
        Invalid: a setting cannot be; ``field`` names which.
    """
    enablement = _locked(actor, workspace, code)
    settings = _checked(enablement.extension, settings)
    before = {name: getattr(enablement, name) for name in asdict(settings)}
    changed = {name: [before[name], value] for name, value in asdict(settings).items() if before[name] != value}
    if changed:
        _apply(enablement, settings)
        enablement.save()
        record(actor, "extension.settings", enablement.extension, {"changed": changed}, workspace)
    return enablement


@repeated
def disable(actor: Actor, workspace: Workspace, code: str) -> int:
    """The extension is not asked here any more; its open checks of this workspace end as passed.

    Returns:
        How many checks ended so.

    Raises:
        NotFound, Forbidden: the actor may not manage extensions here, or the extension is not enabled.
    """
    enablement = _locked(actor, workspace, code)
    enablement.is_enabled = False
    enablement.save(update_fields=["is_enabled"])
    lifecycle.watch(workspace.tenant_id)
    count = checked.release(enablement.extension, actor, workspace)
    record(actor, "extension.disable_here", enablement.extension, {"checks": count}, workspace)
    return count


def find(workspace: Workspace, code: str) -> Enablement:
    """An extension as it is enabled in the workspace, whatever its status.

    Raises:
        NotFound: it is not enabled here.
    """
    found = Enablement.objects.filter(workspace=workspace, extension__code=code, is_enabled=True)
    enablement = found.select_related("extension__test_workspace").first()
    if enablement is None:
        raise NotFound("enablement.disabled", extension=code[:64], workspace=str(workspace))
    return enablement


def _locked(actor: Actor, workspace: Workspace, code: str) -> Enablement:
    """The enablement, with its extension's row locked: no operation that asks extensions begins meanwhile."""
    require(actor, workspace, Permission.MANAGE_EXTENSIONS)
    Extension.objects.select_for_update(no_key=True).filter(pk=find(workspace, code).extension_id).first()
    return find(workspace, code)


def _checked(extension: Extension, settings: Settings) -> Settings:
    """The settings with the options as they are kept.

    Raises:
        Invalid: a setting or an option cannot be; ``field`` names which.
    """
    if not SHORTEST_LIMIT <= settings.answer_limit <= LONGEST_LIMIT:
        raise Invalid("enablement.limit", field="answer_limit", least=SHORTEST_LIMIT, most=LONGEST_LIMIT)
    return replace(settings, option_values=options.check(options.read(extension.options), settings.option_values))


def _apply(enablement: Enablement, settings: Settings) -> None:
    for name, value in asdict(settings).items():
        setattr(enablement, name, value)


@sentence("enablement.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return (
        _(
            "There is no extension “%(extension)s” that may be enabled in “%(workspace)s”: it must be online, or "
            "this must be its test workspace."
        )
        % params
    )


@sentence("enablement.disabled")
def _disabled(params: Mapping[str, Any]) -> str:
    return _("The extension “%(extension)s” is not enabled in “%(workspace)s”.") % params


@sentence("enablement.enabled")
def _enabled(params: Mapping[str, Any]) -> str:
    return _("The extension “%(extension)s” is enabled here already. Somebody may have done it just now.") % params


@sentence("enablement.authorization")
def _authorization(params: Mapping[str, Any]) -> str:
    return _("Read what “%(extension)s” gets, and tick that you agree.") % params


@sentence("enablement.limit")
def _limit(params: Mapping[str, Any]) -> str:
    return _("Between %(least)s and %(most)s seconds.") % params
