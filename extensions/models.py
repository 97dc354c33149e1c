"""Extensions, where they are enabled, the events they get, the checks they answer, and every delivery."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from opscenter.production.models import Environment
from opscenter.workspaces.models import AccessKey, Tenant, User, Workspace


def new_code() -> str:
    """An ExtensionCode: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def new_biz_id() -> str:
    """An extensionBizId: 16 hexadecimal digits."""
    return uuid.uuid4().hex[:16]


class Extension(models.Model):
    """An external program that is asked before an operation takes effect. ``code`` is the API's ExtensionCode."""

    class Status(models.IntegerChoices):
        """The API's numbers; 2 is not used there either."""

        TESTING = 0, _("Testing")
        ONLINE = 1, _("Online")
        DISABLED = 3, _("Disabled")
        IN_REVIEW = 4, _("In approval")
        APPROVED = 5, _("Approved")
        REFUSED = 6, _("Refused")

    code = models.CharField(max_length=36, unique=True, default=new_code, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="extensions")
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="extensions")
    name = models.CharField(max_length=128)
    description = models.CharField(max_length=1000, blank=True)
    webhook_url = models.CharField(max_length=2048)
    points = ArrayField(models.CharField(max_length=64), help_text="codes of extension points")
    test_workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    detail_url = models.CharField(max_length=2048, blank=True)
    help_url = models.CharField(max_length=2048, blank=True)
    parameters = models.CharField(
        max_length=4000, blank=True, help_text="ParameterSetting: key=value lines, without manual passing"
    )
    options = models.TextField(blank=True, help_text="OptionSetting: JSON schema of the form that workspaces fill in")
    allows_mark_passed = models.BooleanField(default=False, help_text="a workspace administrator may pass its checks")
    status = models.SmallIntegerField(choices=Status.choices, default=Status.TESTING)
    status_at = models.DateTimeField(db_default=Now())
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    review_comment = models.CharField(max_length=1000, blank=True)
    gone_at = models.DateTimeField(null=True, help_text="since when nothing is sent: 410 Gone, or failures for days")
    gone_reason = models.JSONField(null=True, help_text="why nothing is sent")
    failing_since = models.DateTimeField(null=True, help_text="the first failure after the last success")
    failures = models.IntegerField(default=0, help_text="requests that failed since then")
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    modified_at = models.DateTimeField(db_default=Now())
    modified_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="extension_name")]

    def __str__(self) -> str:
        return self.name


class ExtensionSecret(models.Model):
    """What its messages are signed with; shown once. After a rotation the older one stays valid until ``expires_at``."""

    extension = models.ForeignKey(Extension, on_delete=models.CASCADE, related_name="secrets")
    secret = models.TextField(help_text="encrypted")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)


class ExtensionKey(models.Model):
    """An access key granted to an extension: with it, the extension answers. It may do nothing else."""

    extension = models.ForeignKey(Extension, on_delete=models.CASCADE, related_name="keys")
    access_key = models.OneToOneField(AccessKey, on_delete=models.CASCADE, related_name="extension_key")


class Enablement(models.Model):
    """An extension in a workspace, as its administrator has set it."""

    extension = models.ForeignKey(Extension, on_delete=models.CASCADE, related_name="enablements")
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="enablements")
    is_enabled = models.BooleanField(default=False)
    is_mandatory = models.BooleanField(
        default=True, help_text="False: advisory; its verdict is shown and blocks nothing"
    )
    answer_limit = models.IntegerField(default=600, help_text="seconds")
    silence_blocks = models.BooleanField(default=True, help_text="what no answer in time means, mandatory ones only")
    option_values = models.JSONField(default=dict, help_text="what the workspace chose, by the option's name")
    agreed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    agreed_at = models.DateTimeField(null=True, help_text="when the data authorization was given")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["extension", "workspace"], name="enablement_once")]
        indexes = [models.Index(fields=["workspace"], condition=models.Q(is_enabled=True), name="enablement_listeners")]


class Event(models.Model):
    """One message to the extensions that listen: what is about to be done, or at a regular point what has happened. Its
    id is the callback's MessageId.

    A batch is one event. At an extension point, an event without operation is a test delivery.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    point = models.CharField(max_length=64)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT)
    environment = models.CharField(max_length=4, choices=Environment.choices)
    operator = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    operation = models.BigIntegerField(null=True, db_index=True, help_text="operations.Operation that waits for it")
    biz_id = models.CharField(max_length=36, default=new_biz_id, help_text="extensionBizId")
    message = models.JSONField(help_text="the envelope as sent, without what differs by extension")
    at = models.DateTimeField()


class Check(models.Model):
    """Our wait for one extension's verdict on one event."""

    class State(models.TextChoices):
        CHECKING = "checking", _("Checking")
        PASSED = "passed", _("Passed")
        FAILED = "failed", _("Failed")
        ENDED = "ended", _("No longer needed")

    class Verdict(models.TextChoices):
        """What the extension said itself; empty while it has not."""

        OK = "OK", "OK"
        WARN = "WARN", "WARN"
        FAIL = "FAIL", "FAIL"

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="checks")
    extension = models.ForeignKey(Extension, on_delete=models.PROTECT, related_name="checks")
    is_mandatory = models.BooleanField()
    silence_blocks = models.BooleanField()
    answer_limit = models.IntegerField(help_text="seconds that a progress report gives again")
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, help_text="end of the answer limit, while checking")
    state = models.CharField(max_length=8, choices=State.choices, default=State.CHECKING)
    verdict = models.CharField(max_length=4, choices=Verdict.choices, blank=True)
    words = models.CharField(max_length=2000, blank=True, help_text="what the extension says")
    reason = models.JSONField(null=True, help_text="why it ended so")
    answered_via = models.CharField(max_length=16, blank=True, help_text="api or callback")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    progress = models.SmallIntegerField(null=True, help_text="percent")
    progress_words = models.CharField(max_length=1000, blank=True)
    progress_at = models.DateTimeField(null=True)
    reports = models.IntegerField(default=0, help_text="progress reports so far")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event", "extension"], name="check_once")]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(state="checking"), name="check_due"),
            models.Index(fields=["extension"], condition=models.Q(state="checking"), name="check_open"),
            models.Index(fields=["extension", "-id"], name="check_of_extension"),
        ]


class Delivery(models.Model):
    """A message on its way to one extension; this table is the courier's outbox. A replay is a delivery of its own."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Under way")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")
        ENDED = "ended", _("No longer needed")

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    of_check = models.ForeignKey(
        Check,
        on_delete=models.CASCADE,
        null=True,
        related_name="deliveries",
        db_index=False,
        help_text="none: nobody waits for an answer",
    )
    extension = models.ForeignKey(Extension, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    subject = models.CharField(
        max_length=32, blank=True, help_text="what a regular event is about: its messages are sent one after the other"
    )
    is_replay = models.BooleanField(default=False)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.PENDING)
    tries = models.IntegerField(default=0)
    due_at = models.DateTimeField(
        null=True, help_text="when it is sent (again); while being sent, when that counts as lost"
    )
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["extension", "due_at"],
                condition=models.Q(status="pending", of_check__isnull=False),
                name="delivery_due",
            ),
            models.Index(
                fields=["extension", "due_at", "id"],
                condition=models.Q(status="pending", of_check__isnull=True),
                name="notice_due",
            ),
            models.Index(
                fields=["extension", "subject", "id"],
                condition=models.Q(status="pending", of_check__isnull=True),
                name="notice_order",
            ),
            models.Index(fields=["extension", "-id"], name="delivery_of_extension"),
            models.Index(fields=["of_check"], condition=models.Q(of_check__isnull=False), name="delivery_of_check"),
        ]


class DeliveryTry(models.Model):
    """One request of a delivery, and what came back."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="requests", db_index=False)
    number = models.IntegerField()
    at = models.DateTimeField()
    url = models.CharField(max_length=2048)
    headers = models.JSONField(default=dict, help_text="as sent")
    milliseconds = models.IntegerField(null=True)
    status = models.IntegerField(null=True, help_text="of the answer; none when there was no answer")
    answer_headers = models.JSONField(default=dict)
    answer_body = models.TextField(blank=True)
    reason = models.JSONField(null=True, help_text="why there was no answer")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="delivery_try_number")]


class Watch(models.Model):
    """A workspace whose instances' changes somebody has subscribed to: they are noted in the transaction of the change."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True, related_name="+")


class Change(models.Model):
    """Instances of a workspace that changed their state in one statement; taken away by who makes events of it.

    One row, however many instances: it is written where the engine is at its fastest. Its number follows the order of
    changes of each instance, since both are made while the instance is locked.
    """

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    at = models.DateTimeField()
    instances = ArrayField(models.BigIntegerField())
    befores = ArrayField(models.SmallIntegerField())
    states = ArrayField(models.SmallIntegerField())
    waiting_resource_at = ArrayField(models.DateTimeField(null=True))
    started_at = ArrayField(models.DateTimeField(null=True))
    finished_at = ArrayField(models.DateTimeField(null=True))


class DagStatus(models.Model):
    """The status of a workflow instance that subscribers were told last."""

    workflow_instance = models.BigIntegerField(primary_key=True)
    status = models.SmallIntegerField()
    at = models.DateTimeField(db_default=Now())
