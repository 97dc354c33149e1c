"""Runs in a process of its own with a legacy SDK on its path: makes the calls it reads, prints what the client says.

Input: JSON on standard input, {"host", "port", "key", "secret", "calls": [{"module", "request", "params"}]}; a call without
module goes through CommonRequest, of the 2024 API unless it has a "version", with parameters in the query if it has
"in": "query". Output: one JSON line a call.
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
        version = call.get("version", "2024-05-18")
        request = CommonRequest(domain=job["host"], version=version, action_name=call["request"])
        request.set_method("POST")
        add = request.add_query_param if call.get("in") == "query" else request.add_body_params
        for name, value in call["params"].items():
            add(name, value)
        return request
    module = importlib.import_module(f"aliyunsdkdataworks_public.request.{call['module']}.{call['request']}Request")
    request = getattr(module, f"{call['request']}Request")()
    for name, value in call["params"].items():
        getattr(request, f"set_{name}")(value)
    request.set_endpoint(job["host"])
    request.set_protocol_type("http")  # some models ask for https
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
