"""A page, and a computation that is spread over processes."""

import multiprocessing
import sys

from flask import Flask
from waitress import create_server

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name):
    return {"hello": name, "executable": sys.executable}


def main():
    """Serves the page at a free port, which the first line of standard error says."""
    server = create_server(app, host="127.0.0.1", port=0)
    print(server.effective_port, file=sys.stderr, flush=True)
    server.run()


def square(number):
    return number * number


def workers():
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(sum(pool.map(square, range(10))))
