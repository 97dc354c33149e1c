"""Guards freezing: an extension for Opscenter that decides by a rule which you can change while it runs.

    python guard.py --config guard.json

README.md beside it says what stands in the two files. Needs alibabacloud-dataworks-public20200518.
"""

import argparse
import base64
import hmac
import json
import sys
import time
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from alibabacloud_dataworks_public20200518.client import Client
from alibabacloud_dataworks_public20200518.models import UpdateWorkbenchEventResultRequest
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.utils_models import Config
from darabonba.runtime import RuntimeOptions

TOLERANCE = 5 * 60  # seconds between the signing of a message and its arrival; older ones may be recordings
MOST_BYTES = 1024 * 1024
REMEMBERED = 10_000


def is_genuine(headers, body, secrets):
    """Whether one of our secrets signed this message, a moment ago (Standard Webhooks 1.0)."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if len(timestamp) > 12 or not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    given = [word.removeprefix("v1,") for word in headers.get("webhook-signature", "").split() if word[:3] == "v1,"]
    ours = [hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, "sha256") for secret in secrets]
    # every pair is compared, in constant time: around a rotation there are several secrets, and several signatures
    matches = [hmac.compare_digest(base64.b64encode(one), word.encode()) for one in ours for word in given]
    return any(matches)


def judge(data, rules):
    """The rule: verdict and words for one operation. The words are what the person who asked for it will read."""
    if data["eventCode"] != "freeze-node":
        return "OK", "Only freezing is guarded."
    tasks, most = data["nodeIds"], rules["most_tasks_at_once"]
    if len(tasks) > most:
        return "FAIL", f"At most {most} tasks may be frozen at once, and these are {len(tasks)}."
    protected = sorted(set(tasks) & set(rules["protected_tasks"]))
    if protected:
        return "FAIL", f"Protected tasks are never frozen: {', '.join(map(str, protected))}."
    return "OK", f"Within the rules: at most {most} tasks at once, none of them protected."


def tell(config, message_id, verdict, words):
    """Give the verdict with the official SDK. True when nothing more can be said: it was taken, or comes too late."""
    client = Client(
        Config(
            access_key_id=config["access_key_id"],
            access_key_secret=config["access_key_secret"],
            endpoint=config["endpoint"],
            protocol=config.get("protocol", "http"),
        )
    )
    request = UpdateWorkbenchEventResultRequest(
        message_id=message_id, extension_code=config["extension_code"], check_result=verdict, check_result_tip=words
    )
    try:
        client.update_workbench_event_result_with_options(
            request, RuntimeOptions(connect_timeout=3000, read_timeout=8000)
        )
    except AlibabaCloudException as error:
        print(f"{message_id}: {error.code}: {error.message}")
        return error.status_code in (409, 410)  # another verdict stands; nobody waits any more
    except Exception as error:  # no connection, no answer
        print(f"{message_id}: the verdict could not be given: {type(error).__name__}")
        return False
    return True


class Guard(BaseHTTPRequestHandler):
    """Takes messages. The answer is 2xx only when the verdict has been given: whatever breaks, the message comes again."""

    config_file: Path
    answered: OrderedDict = OrderedDict()  # ids of messages that are done: each may come more than once
    timeout = 10
    server_version, sys_version = "guard", ""

    def do_POST(self):
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > MOST_BYTES:
            return self.reply(413, "too large")
        body = self.rfile.read(int(size))
        try:  # both files are read for each message, so that a change holds at once
            config = json.loads(self.config_file.read_text())
            rules = json.loads((self.config_file.parent / config["rules_file"]).read_text())
            if not is_genuine(self.headers, body, config["secrets"]):
                return self.reply(401, "no valid signature")
            return self.take(config, rules, json.loads(body))
        except (OSError, ValueError, LookupError, TypeError) as error:
            print(f"Cannot decide: {type(error).__name__}: {error}")
            return self.reply(500, "cannot decide; the guard's output says why")

    def take(self, config, rules, message):
        message_id, data = self.headers["webhook-id"], message["data"]
        if message_id in self.answered:
            return self.reply(200, "answered before")
        if "callbackUrl" not in data:  # a regular event: it tells what has happened, and nobody waits for an answer
            return self.reply(200, "thank you")
        verdict, words = judge(data, rules)
        print(f"{message_id}: {data['eventCode']} {data.get('nodeIds', '')}: {verdict}: {words}")
        if not tell(config, message_id, verdict, words):
            return self.reply(503, "the verdict could not be given")
        self.answered[message_id] = True
        while len(self.answered) > REMEMBERED:
            self.answered.popitem(last=False)
        return self.reply(200, "verdict given")

    def reply(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """What matters is printed where it happens."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="guard.json, see README.md")
    Guard.config_file = parser.parse_args().config.resolve()
    sys.stdout.reconfigure(line_buffering=True)
    port = json.loads(Guard.config_file.read_text())["port"]
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Guard)
    except OSError as error:
        sys.exit(f"Cannot listen on port {port} of 127.0.0.1: {error.strerror}. Stop what uses it, or change the port.")
    print(f"Listening on http://127.0.0.1:{port}/")
    server.serve_forever()


if __name__ == "__main__":
    main()
