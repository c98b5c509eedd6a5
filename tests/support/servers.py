"""Servers of production as a test has them for itself, on this machine alone: PostgreSQL in a folder, S3 by moto, and a
collector of OpenLineage."""

import json
import logging
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.needs import needs

SUPERUSER = "operator"
PASSWORD = "a password of tests"
BUCKET = "mesh"


def free_port() -> int:
    """Return a port of this machine at which nobody listens, and which the system gives to nobody by itself, neither
    to a client nor to a server that asks for any."""
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(given.read_text(encoding="ascii").split()[0]) if given.exists() else 32_768
    for port in random.SystemRandom().sample(range(10_000, first), 100):  # other processes of tests draw here too
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port below {first} is free")


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """Run a PostgreSQL that asks for a password. Yield the standard variables by which clients find it."""
    programs = needs(*sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")), package="postgresql").parent
    folder = Path(tempfile.mkdtemp(prefix="storymesh-postgres-"))
    # The server refuses to run as root, which continuous integration is.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    (folder / "password").write_text(PASSWORD)
    if as_user:
        account = pwd.getpwnam("postgres")
        for path in (folder, folder / "password"):
            os.chown(path, account.pw_uid, account.pw_gid)
    port = free_port()

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        run("initdb", "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
        run("pg_ctl", "start", "-w", "-t", "600", "-l", str(folder / "log"), "-o", options)
        try:
            yield {
                "PGHOST": "127.0.0.1",
                "PGPORT": str(port),
                "PGUSER": SUPERUSER,
                "PGPASSWORD": PASSWORD,
                "PGDATABASE": "postgres",
            }
        finally:
            run("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


@contextmanager
def s3(bucket: str = BUCKET) -> Iterator[dict[str, str]]:
    """Run an S3 with an empty `bucket`, whose name no other S3 of this process has. Yield the standard variables by
    which clients find it."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        found = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "an-id",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        client = boto3.client(
            "s3",
            endpoint_url=found["AWS_ENDPOINT_URL"],
            region_name=found["AWS_REGION"],
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": found["AWS_REGION"]})
        yield found
    finally:
        server.stop()


@contextmanager
def collector(events: list[dict[str, Any]], status: int = 201) -> Iterator[str]:
    """Run a server to which OpenLineage's events are posted, and add them to `events`. Yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mariadb() -> Iterator[dict[str, str]]:
    """Run a MariaDB on this machine alone. Yield its host and port; `root` may do everything, without a password."""
    install = needs(*filter(None, [shutil.which("mariadb-install-db")]), package="mariadb-server")
    folder = Path(tempfile.mkdtemp(prefix="storymesh-mariadb-"))
    as_user = ["--user=root"] if os.geteuid() == 0 else []
    port = free_port()
    made = subprocess.run(
        [
            install,
            "--no-defaults",
            *as_user,
            f"--datadir={folder / 'data'}",
            "--auth-root-authentication-method=normal",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    options = [f"--datadir={folder / 'data'}", f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 's'}"]
    small = ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"]
    server = subprocess.Popen(
        ["mariadbd", "--no-defaults", *as_user, *options, *small], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            assert server.poll() is None
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield {"host": "127.0.0.1", "port": str(port)}
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)
