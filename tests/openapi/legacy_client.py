"""Runs in a process of its own with a legacy SDK on its path: makes the calls it reads, prints what the client says.

Input: JSON on standard input, {"host", "port", "key", "secret", "calls": [{"module", "request", "params"}]}; a call without
module goes through CommonRequest. Output: one JSON line a call.
"""

import importlib
import json
import sys
from typing import Any

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest


def build(job: dict[str, Any], call: dict[str, Any]) -> Any:
    if "module" not in call:
        request = CommonRequest(domain=job["host"], version="2024-05-18", action_name=call["request"])
        request.set_method("POST")
        for name, value in call["params"].items():
            request.add_body_params(name, value)
        return request
    module = importlib.import_module(f"aliyunsdkdataworks_public.request.{call['module']}.{call['request']}Request")
    request = getattr(module, f"{call['request']}Request")()
    for name, value in call["params"].items():
        getattr(request, f"set_{name}")(value)
    request.set_endpoint(job["host"])
    return request


def answer(client: Any, request: Any) -> dict[str, Any]:
    try:
        return {"body": json.loads(client.do_action_with_exception(request))}
    except ServerException as error:
        return {"code": error.get_error_code(), "status": error.get_http_status(), "message": error.get_error_msg()}
    except ClientException as error:
        return {"client_code": error.get_error_code(), "message": error.get_error_msg()}


def main() -> None:
    job = json.load(sys.stdin)
    client = AcsClient(job["key"], job["secret"], "cn-shanghai", port=job["port"])
    for call in job["calls"]:
        print(json.dumps(answer(client, build(job, call))))


if __name__ == "__main__":
    main()
