"""What is answered beyond the documented fields while extensions are asked: the operation, and how it stands."""

from extensions.models import Check
from opscenter.openapi.registry import Args
from opscenter.operations.models import Operation


def waits(operation: Operation) -> str:
    """Whose verdict an operation waits for."""
    checks = Check.objects.filter(event__operation=operation.pk, state=Check.State.CHECKING, is_mandatory=True)
    names = checks.order_by("extension__name").values_list("extension__name", flat=True)
    return f"Waits for the verdict of {', '.join(names)}; operation {operation.pk}."


def told(operation: Operation) -> Args:
    """The operation and how it stands."""
    found = {"OperationId": str(operation.pk), "Status": operation.status.capitalize()}
    return found | ({"Message": waits(operation)} if operation.status == Operation.Status.CHECKING else {})
