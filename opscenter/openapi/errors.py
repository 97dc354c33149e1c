"""Every error the wire can answer with: its code, HTTP status, sentence and advice, each written once.

The wire speaks English whatever the console's language is, so these sentences are not translated. ``Missing{Name}``
and ``Invalid{Name}`` exist for each parameter; the others are in FAULTS. The text of SignatureDoesNotMatch up to its
colon is read by official clients (spec/openapi.md 4.1) and must not change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One error: the HTTP status, what is wrong (``str.format`` template), and what to do about it."""

    http: int
    message: str
    advice: str


_STS = "Opscenter issues no security tokens. Sign with the access key alone; create one under your account."
_SIGNATURE = "Check that the access key secret is the right one, and that no proxy changes Host, query or body."
_LOOK_UP = "Check the id, the environment, and that the key's user is a member of the workspace."

FAULTS: dict[str, Fault] = {
    "InvalidApi.NotFound": Fault(
        404,
        "Specified api is not found, please check your url and method. There is no {action} in {version}.",
        "Check the spelling of the action and its version. Not every operation of the service exists here.",
    ),
    "InvalidVersion": Fault(
        400,
        "Specified parameter Version is not valid. Known versions: 2020-05-18, 2024-05-18.",
        "Use one of the known versions.",
    ),
    "UnsupportedHTTPMethod": Fault(400, "The HTTP method {method} is not supported.", "Send GET, POST or PUT."),
    "InvalidParameter.Format": Fault(
        400, "Specified parameter format is not valid. {detail}", "Send UTF-8 form fields or one JSON object."
    ),
    "RequestTooLarge": Fault(413, "The request body is larger than {limit} bytes.", "Split the request."),
    "IncompleteSignature": Fault(
        400,
        "The request signature does not conform to Aliyun standards. {detail}",
        "Sign with an official client, or follow the documented scheme exactly.",
    ),
    "InvalidSignatureMethod": Fault(
        400,
        "Specified signature method is not valid. {method} is not one of {known}.",
        "Use a signature method that is listed.",
    ),
    "SignatureDoesNotMatch": Fault(
        400,
        "Specified signature is not matched with our calculation. server string to sign is:{string}",
        _SIGNATURE,
    ),
    "SignatureNonceUsed": Fault(
        400, "Specified signature nonce was used already.", "Sign each request anew; never send one twice."
    ),
    "InvalidTimeStamp.Format": Fault(
        400,
        "Specified time stamp or date value is not well formatted. It must be like 2026-11-21T02:31:24Z, in UTC.",
        "Let the client make the time stamp.",
    ),
    "InvalidTimeStamp.Expired": Fault(
        400,
        "Specified time stamp or date value is expired. The server's time is {now}; 15 minutes off are allowed.",
        "Set the clock of the calling host.",
    ),
    "InvalidAccessKeyId.NotFound": Fault(
        404, "Specified access key is not found.", "Check the access key id, or create a new key under your account."
    ),
    "InvalidAccessKeyId.Inactive": Fault(
        400, "Specified access key is disabled.", "The key was revoked, or its user is disabled; use another key."
    ),
    "InvalidSecurityToken.Malformed": Fault(400, "Specified SecurityToken is malformed. " + _STS, _STS),
    "Throttling.User": Fault(
        429,
        "Request was denied due to user flow control. This access key may make {rate} calls a second.",
        "Wait as long as x-acs-retry-after (milliseconds) says, then call again.",
    ),
    "ResourceNotAuthorized.Api": Fault(
        403,
        "You are not authorized to access the resources. {detail}",
        "Ask an administrator of the workspace for one of the roles that are named.",
    ),
    "Forbidden.AccessKey.Scope": Fault(
        403,
        "This access key was made for an extension: it may call only {theirs}, not {action}.",
        "Call this action with an access key of your own account.",
    ),
    "InternalError.System": Fault(
        500,
        "The request failed because of an error on our side. Quote the RequestId to your administrator.",
        "The log of the web process names this RequestId and the cause.",
    ),
    "ServiceUnavailable": Fault(
        503, "The database cannot be reached at the moment.", "Try again; the request was not carried out."
    ),
    "Invalid.Tenant.ProjectNotExists": Fault(404, "{detail}", _LOOK_UP),
    "Invalid.Task.NotExist": Fault(404, "{detail}", _LOOK_UP),
    "Invalid.Workflow.NotExist": Fault(404, "{detail}", _LOOK_UP),
    "Invalid.TaskInstance.NotExist": Fault(404, "{detail}", _LOOK_UP),
    "Invalid.TaskInstance.RunNotExist": Fault(404, "{detail}", "List the instance's runs and name one of them."),
    "Invalid.WorkflowInstance.NotExist": Fault(404, "{detail}", _LOOK_UP),
    "Invalid.WorkflowInstance.Contradiction": Fault(409, "{detail}", "Change what is asked for, then call again."),
    "Invalid.WorkflowInstance.OperationNotExist": Fault(404, "{detail}", "Use the OperationId that was answered."),
    "Invalid.Task.NotTriggerNode": Fault(400, "{detail}", "Name the task id of an HTTP trigger node."),
    "Invalid.Task.Frozen": Fault(409, "{detail}", "Unfreeze the task, then call again."),
    "Invalid.Task.Offline": Fault(409, "{detail}", "Publish the task again."),
    "Invalid.ResourceGroup.NotExist": Fault(404, "{detail}", "List the resource groups and name one of them."),
    "Invalid.ResourceGroup.InUse": Fault(409, "{detail}", "Publish the tasks with another group, then call again."),
    "Invalid.TaskInstance.Frozen": Fault(409, "{detail}", "Unfreeze the instance, then call again."),
    "Invalid.TaskInstance.TriggerBypassed": Fault(409, "{detail}", "Nothing to do: such instances need no trigger."),
    "Invalid.TaskInstance.Failed": Fault(409, "{detail}", "Rerun the instance, then call again."),
    "Invalid.Task.NotFrozen": Fault(409, "{detail}", "Nothing to do: the task is not frozen."),
    "Invalid.Task.Root": Fault(409, "{detail}", "Name tasks other than the workspace's root node."),
    "Invalid.Task.Downstream": Fault(
        409, "{detail}", "Undeploy what waits for the task first; ListDownstreamTasks names what you may see of it."
    ),
    "Invalid.Operation.Open": Fault(
        409, "{detail}", "Wait for the verdict, or cancel the operation on its page in the console, then ask again."
    ),
    "Invalid.Operation.Blocked": Fault(
        409,
        "{detail}",
        "Do what the extension asks for, then call again; its pages are linked at the operation's page.",
    ),
    "Invalid.Operation.Refused": Fault(409, "{detail}", "The message names the condition that does not hold."),
    "Invalid.Operation.Request": Fault(400, "{detail}", "Correct the request as the message says."),
    "Invalid.Operation.NotFound": Fault(404, "{detail}", _LOOK_UP),
    "Invalid.Extension.NotExist": Fault(404, "{detail}", "Copy the code from the extension's page."),
    "Invalid.Check.MessageNotExist": Fault(
        404, "{detail}", "Answer with the id of the message as it came, by a key of the tenant that sent it."
    ),
    "Invalid.Check.NotAsked": Fault(
        404, "{detail}", "Answer with the code of the extension that got the message, and with that message's id."
    ),
    "Invalid.Check.NotExist": Fault(404, "{detail}", "Answer at the callbackUrl of the message, unchanged."),
    "Forbidden.Check.ForeignKey": Fault(
        403, "{detail}", "The extension's page makes access keys for it; the key of its owner works too."
    ),
    "Forbidden.Check.Requester": Fault(
        403, "{detail}", "Let the extension answer with a key that was made for it on its page."
    ),
    "Invalid.Check.Token": Fault(401, "{detail}", "Send the header: Authorization: Bearer <callbackToken>."),
    "Invalid.Check.Contradiction": Fault(
        409, "{detail}", "Nothing to do: the first verdict stands. To repeat it is no error."
    ),
    "Invalid.Check.TooManyReports": Fault(409, "{detail}", "Give the verdict, or wait until it can be given."),
    "Invalid.Callback.Method": Fault(
        405,
        "This address takes the verdict of an extension by POST, not {method}, such as: "
        'curl -X POST "$callbackUrl" -H "Authorization: Bearer $callbackToken" -d result=OK',
        "POST result=OK, WARN or FAIL with a message, or progress=0 to 100 while you work, as form fields or JSON.",
    ),
    "Invalid.Callback.MediaType": Fault(
        415, "The body is of the type {kind}.", "Send application/x-www-form-urlencoded or application/json."
    ),
    "Throttling.Callback": Fault(
        429, "This check was answered more than {rate} times a second.", "Wait as long as Retry-After says."
    ),
    # 410: the check is over for good, so that the same answer again will never be taken; clients treat it as any 4xx
    "Invalid.Check.Late": Fault(
        410, "{detail}", "Nothing to do for this message. The answer limit is set where the extension is enabled."
    ),
    "Invalid.Check.Over": Fault(410, "{detail}", "Nothing to do: the operation was decided without this verdict."),
    "Invalid.Check.ExtensionDisabled": Fault(
        410, "{detail}", "Nothing to do for this message. Enable the extension to be asked again."
    ),
}


@dataclass
class WireError(Exception):
    """A request that is answered with an error body."""

    code: str
    http: int
    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def fault(code: str, **params: Any) -> WireError:
    """The error of FAULTS with its sentence filled in."""
    known = FAULTS[code]
    return WireError(code, known.http, known.message.format(**params).rstrip())


def missing(name: str) -> WireError:
    """A required parameter was not given."""
    return WireError(f"Missing{name}", 400, f"{name} is mandatory for this action.")


def invalid(name: str, why: str) -> WireError:
    """A parameter has a value that cannot be; ``why`` says what is expected."""
    return WireError(f"Invalid{name}", 400, f"Specified parameter {name} is not valid. {why}")
