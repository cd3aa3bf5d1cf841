"""Serves one JSON document on this machine, fetches it with the given program, and compares."""

import http.server
import json
import subprocess
import sys
import threading

DOCUMENT = {"packed": True, "name": "na\u00efve"}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every GET with DOCUMENT."""

    def do_GET(self):
        body = json.dumps(DOCUMENT).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"
command = [sys.argv[1], "--ignore-stdin", "--body", url]
answer = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
if json.loads(answer) != DOCUMENT:
    sys.exit(f"error: {url} gave {answer!r}")
print(answer.decode().strip())
