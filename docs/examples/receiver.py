"""A receiver of Spendbeat's webhooks: checks the signature, and takes each message once.

    WEBHOOK_SECRET=whsec_... python receiver.py 8080

Needs nothing but Python. The checks are those of https://www.standardwebhooks.com; libraries for
many languages are linked there.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
# A request that was recorded and sent again later is refused.
TOLERANCE_SECONDS = 300
MOST_BYTES = 1_000_000


def genuine(headers, body):
    """Whether somebody who knows the secret sent this, a short while ago."""
    message_id = headers.get("webhook-id", "")
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > TOLERANCE_SECONDS:
        return False
    signed = f"{message_id}.{sent_at}.".encode() + body
    wanted = base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    # Several while a secret is being replaced; one that fits is enough.
    for entry in headers.get("webhook-signature", "").split():
        version, _, given = entry.partition(",")
        if version == "v1" and hmac.compare_digest(given.encode(), wanted.encode()):
            return True
    return False


def handle(message, seen):
    """Do what is to be done, in one transaction with noting the id."""
    with seen:  # commits at the end, or nothing has happened and the message comes again
        data = message["content"]["data"]
        new = seen.execute(
            "INSERT INTO seen (id) VALUES (?) ON CONFLICT DO NOTHING", (message["id"],)
        ).rowcount
        if new and data.get("version") == 1:
            print(message["content"]["type"], data.get("title", ""), flush=True)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        if length > MOST_BYTES:
            self.answer(413)
            return
        body = self.rfile.read(length)
        if not genuine(self.headers, body):
            self.answer(401)
            return
        seen = sqlite3.connect(os.environ.get("SEEN", "seen.sqlite"))
        seen.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")
        handle({"id": self.headers["webhook-id"], "content": json.loads(body)}, seen)
        seen.close()
        self.answer(204)  # only now: before this it comes again, after it never

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print(f"Listening on port {server.server_port}", flush=True)
    server.serve_forever()
