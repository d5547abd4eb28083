"""A tiny origin and a bounded client: load.py PORT ORIGIN_PORT REQUESTS COMMAND …

Runs COMMAND (a proxy that listens on PORT and passes on to ORIGIN_PORT), sends so many requests over one connection once
it accepts, ends it with SIGTERM, and exits with its status.
"""

import signal
import socket
import subprocess
import sys
import threading
import time

BODY = b"x" * 1024
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
FIELDS = b"User-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\n"
REQUEST = b"GET /api/articles/4711?page=2 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" + FIELDS + b"\r\n"


def origin(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    read = b""
    while chunk := connection.recv(65536):
        read += chunk
        while b"\r\n\r\n" in read:
            read = read.split(b"\r\n\r\n", 1)[1]
            connection.sendall(ANSWER)


def connect(port, process, patience=60):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"the proxy ended with status {process.returncode}")
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def ask(connection, request):
    connection.sendall(request)
    read = b""
    while b"\r\n\r\n" not in read:
        chunk = connection.recv(65536)
        if not chunk:
            sys.exit("the proxy closed the connection")
        read += chunk
    head, body = read.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit(head.decode(errors="replace"))
    while len(body) < len(BODY):
        body += connection.recv(65536)


def main():
    port, origin_port, requests = (int(argument) for argument in sys.argv[1:4])
    listener = socket.create_server(("127.0.0.1", origin_port), backlog=128)
    threading.Thread(target=origin, args=(listener,), daemon=True).start()
    process = subprocess.Popen(sys.argv[4:], stdout=subprocess.DEVNULL)
    try:
        connection = connect(port, process)
        for _ in range(requests):
            ask(connection, REQUEST % port)
        connection.close()
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=120)
    sys.exit(status)


main()
