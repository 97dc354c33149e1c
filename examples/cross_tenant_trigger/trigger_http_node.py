"""Open an HTTP trigger node of another tenant with the official DataWorks SDK.

    python trigger_http_node.py <task id> <Prod|Dev> "<scheduled time, yyyy-MM-dd HH:mm:ss>"

The time is read in this process's time zone (the variable TZ), as the trigger node's tenant has it. Replace endpoint and
access key below with the ones of the tenant that owns the trigger node, or set the three environment variables.
"""

import json
import os
import sys
from datetime import datetime

from alibabacloud_dataworks_public20240518.client import Client
from alibabacloud_dataworks_public20240518.models import TriggerSchedulerTaskInstanceRequest
from alibabacloud_tea_openapi.models import Config
from Tea.exceptions import TeaException

ENDPOINT = os.environ.get("DATAWORKS_ENDPOINT", "<endpoint>")
ACCESS_KEY_ID = os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_ID", "<access key id>")
ACCESS_KEY_SECRET = os.environ.get("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "<access key secret>")
PROTOCOL = os.environ.get("DATAWORKS_PROTOCOL", "http")


def create_client() -> Client:
    """A client that signs its requests with the access key."""
    return Client(
        Config(
            access_key_id=ACCESS_KEY_ID,
            access_key_secret=ACCESS_KEY_SECRET,
            endpoint=ENDPOINT,
            protocol=PROTOCOL,
        )
    )


def main(task_id: str, environment: str, scheduled: str) -> int:
    """Trigger the one instance of the task at that time; the exit code is 0 if the call was accepted."""
    trigger_time = int(datetime.strptime(scheduled, "%Y-%m-%d %H:%M:%S").timestamp() * 1000)
    print(f"Triggering task {task_id} ({environment}) of {scheduled} = {trigger_time} at {ENDPOINT}", flush=True)
    request = TriggerSchedulerTaskInstanceRequest(task_id=int(task_id), env_type=environment, trigger_time=trigger_time)
    try:
        response = create_client().trigger_scheduler_task_instance(request)
    except TeaException as error:
        print(f"Refused: {error.code}: {error.message}", file=sys.stderr)
        return 1
    print(json.dumps(response.body.to_map()))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(f'Usage: {sys.argv[0]} <task id> <Prod|Dev> "<yyyy-MM-dd HH:mm:ss>"')
    sys.exit(main(*sys.argv[1:]))
