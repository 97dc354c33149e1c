"""Tenants, workspaces, their people and keys, and what they did."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import JSONObject, Lower, Now
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from opscenter.workspaces.roles import Permission, Role, granted, holders, roles_of

name_validator = RegexValidator(
    r"^[A-Za-z][A-Za-z0-9_-]{1,62}$", _("Use 2 to 63 letters, digits, _ or -, a letter first.")
)


class Tenant(models.Model):
    """One customer of the installation; owns workspaces, users, and one time zone (edges cross workspaces, so zones must not)."""

    name = models.CharField(max_length=63, unique=True, validators=[name_validator])
    display_name = models.CharField(max_length=128, blank=True)
    time_zone = models.CharField(max_length=63, default="UTC")
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.display_name or self.name


class UserManager(BaseUserManager["User"]):
    def create_user(self, username: str, password: str | None = None, **fields: Any) -> "User":
        """A user with a hashed password; ``tenant`` is required."""
        user = self.model(username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A person or a program's account in one tenant. ``uid`` is the number the APIs call Owner, CreateUser, operator."""

    uid = models.BigIntegerField(unique=True, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="users")
    username = models.CharField(max_length=63, unique=True, validators=[name_validator])
    display_name = models.CharField(max_length=128, blank=True)
    email = models.EmailField(blank=True)
    is_active = models.BooleanField(default=True)
    is_tenant_admin = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.uid is None:
            from opscenter.base import ids

            self.uid = ids.next_value("user_uid")[0]
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.display_name or self.username


class WorkspaceQuerySet(models.QuerySet["Workspace"]):
    def visible_to(self, user: User) -> "WorkspaceQuerySet":
        """The workspaces whose existence this user may know of: those they are a member of."""
        return self.filter(members__user=user)

    def permitting(self, user: User, permission: Permission) -> "WorkspaceQuerySet":
        """The workspaces in which the user has a permission for everything."""
        built_in = [role.code for role in holders(permission)]
        own = WorkspaceRole.objects.filter(
            _AmongItems(F("code"), OuterRef("roles")),
            workspace=OuterRef("workspace"),
            grants__contains=[permission.value],
        )
        return self.filter(members__in=Member.objects.filter(Q(roles__overlap=built_in) | Exists(own), user=user))


class _AmongItems(models.Func):
    """Whether a value is an item of an array."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = models.BooleanField()


class Workspace(models.Model):
    """What the 2024 API calls project and the 2020 API app; its id is the APIs' ProjectId and AppId."""

    class Mode(models.TextChoices):
        BASIC = "basic", _("Basic")
        STANDARD = "standard", _("Standard")

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="workspaces")
    name = models.CharField(max_length=63, validators=[name_validator])
    display_name = models.CharField(max_length=128, blank=True)
    description = models.CharField(max_length=1000, blank=True)
    mode = models.CharField(max_length=16, choices=Mode.choices, default=Mode.STANDARD)
    periodic_scheduling = models.BooleanField(default=True)
    # retention, in whole days of the tenant's time zone
    keep_instances = models.PositiveIntegerField(default=90)
    keep_logs = models.PositiveIntegerField(default=30)
    keep_events = models.PositiveIntegerField(default=30)
    keep_receipts = models.PositiveIntegerField(default=90)
    created_at = models.DateTimeField(db_default=Now())

    objects = WorkspaceQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="workspace_name")]

    def __str__(self) -> str:
        return self.display_name or self.name


class WorkspaceRole(models.Model):
    """A role of one workspace's own, made of the registry's permissions."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="own_roles")
    code = models.CharField(max_length=64, unique=True, help_text="as members' roles name it")
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=200, blank=True)
    grants = ArrayField(models.CharField(max_length=64))
    own_only = ArrayField(models.CharField(max_length=64), default=list)
    created_at = models.DateTimeField(db_default=Now())
    modified_at = models.DateTimeField(db_default=Now())
    modified_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint("workspace", Lower("name"), name="workspace_role_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def role(self) -> Role:
        """The same as the registry's roles are."""
        return _role(self.code, self.name, self.grants, self.own_only)


def _role(code: str, name: str, grants: list[str], own_only: list[str]) -> Role:
    """A permission that this version does not know grants nothing."""
    known = {permission.value: permission for permission in Permission}
    everywhere, own = (frozenset(known[value] for value in values if value in known) for values in (grants, own_only))
    return Role(code, name, everywhere, own)


class MemberManager(models.Manager["Member"]):
    def get_queryset(self) -> "models.QuerySet[Member]":
        """With the workspace's own roles, so that no check of a permission asks for them."""
        roles = WorkspaceRole.objects.filter(workspace=OuterRef("workspace")).order_by("name", "pk")
        plain = JSONObject(code="code", name="name", grants="grants", own_only="own_only")
        return super().get_queryset().annotate(roles_here=ArraySubquery(roles.values(json=plain)))


class Member(models.Model):
    """A user in a workspace, with the codes of their roles."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    roles = ArrayField(models.CharField(max_length=64))
    created_at = models.DateTimeField(db_default=Now())

    objects = MemberManager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="member_once")]

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        for name in ("roles_here", "custom_roles"):
            self.__dict__.pop(name, None)

    @cached_property
    def custom_roles(self) -> dict[str, Role]:
        """The workspace's own roles, whoever has them, by code; as they were when the member was read."""
        rows = self.__dict__.get("roles_here")
        if rows is None:  # a member just made
            rows = WorkspaceRole.objects.filter(workspace=self.workspace_id).order_by("name", "pk")
            return {row.code: row.role for row in rows}
        return {row["code"]: _role(**row) for row in rows}

    def may(self, permission: Permission, *, own: bool = False) -> bool:
        """Whether this member has the permission; ``own``: for a task that they own."""
        return granted(self.roles, permission, own=own, custom=self.custom_roles)

    @property
    def held_roles(self) -> list[Role]:
        """The roles that the member has."""
        return roles_of(self.roles, self.custom_roles)

    def lacks(self, role: Role) -> list[Permission]:
        """What the role allows and the member may not do: they can neither give nor take it."""
        return [
            permission
            for permission in Permission
            if (permission in role.grants and not self.may(permission))
            or (permission in role.own_only and not self.may(permission, own=True))
        ]


class AccessKey(models.Model):
    """A program's identity: acts as its user, within its scope. The secret is encrypted at rest and shown once."""

    class Scope(models.TextChoices):
        ALL = "all", _("Everything its user may do")
        CALLBACK = "callback", _("Answering checks of one extension")

    key_id = models.CharField(max_length=32, unique=True)
    secret = models.TextField(help_text="encrypted")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="access_keys")
    description = models.CharField(max_length=200, blank=True)
    scope = models.CharField(max_length=16, choices=Scope.choices, default=Scope.ALL)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    last_used_from = models.GenericIPAddressField(null=True)
    revoked_at = models.DateTimeField(null=True)


class Nonce(models.Model):
    """A signature nonce that was used; shared by all web processes so that no request is accepted twice."""

    pk = models.CompositePrimaryKey("key_id", "nonce")
    key_id = models.CharField(max_length=32)
    nonce = models.CharField(max_length=128)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="nonce_expiry")]  # swept by the scheduler


class AuditEntry(models.Model):
    """Who did what, by which face; written in the transaction that did it. A code and parameters, never a sentence."""

    class Face(models.TextChoices):
        CONSOLE = "console", _("Console")
        API = "api", _("API")
        COMMAND = "command", _("Command line")
        SYSTEM = "system", _("Opscenter")

    at = models.DateTimeField(db_default=Now())
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, null=True)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True)
    face = models.CharField(max_length=16, choices=Face.choices)
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=32)
    object_id = models.CharField(max_length=64)
    object_name = models.CharField(max_length=255, blank=True)
    params = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "-id"], name="audit_workspace"),  # the workspace's audit page
            models.Index(fields=["object_type", "object_id", "-id"], name="audit_object"),  # history of one thing
        ]
