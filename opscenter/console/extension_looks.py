"""How extensions and what they are sent look: word, icon, colour."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from extensions.models import Delivery, DeliveryTry, Extension
from opscenter.console.templatetags.looks import Look

Status = Extension.Status

STATUSES: dict[Status, Look] = {
    Status.TESTING: Look("wait_time", "flask-conical", Status.TESTING.label),
    Status.IN_REVIEW: Look("checking", "hourglass", Status.IN_REVIEW.label),
    Status.APPROVED: Look("running", "check", Status.APPROVED.label),
    Status.REFUSED: Look("failure", "circle-x", Status.REFUSED.label),
    Status.ONLINE: Look("success", "circle-check", Status.ONLINE.label),
    Status.DISABLED: Look("not_run", "circle-slash", Status.DISABLED.label),
}

DELIVERIES: dict[str, Look] = {
    Delivery.Status.PENDING: Look("wait_trigger", "hourglass", Delivery.Status.PENDING.label),
    Delivery.Status.DELIVERED: Look("success", "circle-check", Delivery.Status.DELIVERED.label),
    Delivery.Status.FAILED: Look("failure", "circle-x", Delivery.Status.FAILED.label),
    Delivery.Status.ENDED: Look("not_run", "circle-minus", Delivery.Status.ENDED.label),
}

CURRENT_SECRET = Look("success", "circle-check", pgettext_lazy("secret", "In use"))
ENDING_SECRET = Look("wait_time", "hourglass", pgettext_lazy("secret", "Still valid"))
ENDED_SECRET = Look("not_run", "circle-slash", pgettext_lazy("secret", "Ended"))

ENABLED = Look("success", "circle-check", pgettext_lazy("extension", "Enabled"))
NOT_ENABLED = Look("not_run", "circle", pgettext_lazy("extension", "Not enabled"))
IDLE = Look("wait_time", "triangle-alert", _("Enabled, not in effect"))


def of_status(extension: Extension) -> Look:
    """How an extension stands."""
    return STATUSES[Status(extension.status)]


def of_delivery(delivery: Delivery) -> Look:
    """What became of a delivery."""
    return DELIVERIES[delivery.status]


def of_try(request: DeliveryTry) -> Look:
    """What a request was answered with."""
    if request.status is None:
        return Look("failure", "circle-slash", _("No answer"))
    is_fine = 200 <= request.status < 300
    return Look("success" if is_fine else "failure", "check" if is_fine else "x", f"HTTP {request.status}")
