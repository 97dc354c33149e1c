"""FlowSpec documents (spec/openapi.md 7): read leniently into our own normal form, or refused with place and reason.

Pure: no database, no clock.
"""

from workflows.flowspec import sentences  # noqa: F401  registers what problems say
from workflows.flowspec.document import Document, DocumentWorkflow, read
from workflows.flowspec.problems import BadDocument, Problem, Severity

__all__ = ["BadDocument", "Document", "DocumentWorkflow", "Problem", "Severity", "read"]
