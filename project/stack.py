"""Run everything that Waystation needs on one machine, as `make up` does.

PostgreSQL, Redis, the sandbox, web, worker and beat run in the foreground and end
together: on Ctrl-C, when this process is killed, and when one of them crashes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import requests
from django.core.exceptions import ImproperlyConfigured

from project import children, embedded, env, keys
from project.children import Child, Watch
from project.errors import MisconfiguredError
from project.operator_account import USERNAME

BASE_DIR = Path(__file__).resolve().parent.parent
# Whom tokens are for, and whose they are; the tenant answers to this name as well.
AUDIENCE = "api://waystation"
SANDBOX_TENANT = "contoso"
LOOPBACK = "127.0.0.1,localhost"
# Sources that hang hold the threads of their worker only: what keeps the others
# going, and brings organizations, has a worker of its own.
WORKERS = (
    ("worker", "replication,writeback", "16"),
    ("upkeep", "provisioning,maintenance", "4"),
)
START_LIMIT = 120.0
STOP_PATIENCE = 10.0
POLL_INTERVAL = 0.1
PROBE_TIMEOUT = 5.0

Say = Callable[[str], None]


class StackError(MisconfiguredError):
    code = "stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What distinguishes one stack on a machine from another."""

    data: Path
    web_port: int
    sandbox_port: int
    admin_password: str | None = None
    # Added to the environment of every process.
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def sandbox_url(self) -> str:
        return f"https://127.0.0.1:{self.sandbox_port}"

    @property
    def sandbox_ca(self) -> Path:
        return self.data / "sandbox-ca.pem"


class Stack:
    """The running processes, in the order in which they were started."""

    def __init__(self, plan: Plan, *, watch: Watch) -> None:
        self.plan = plan
        self.environment = _environment(plan)
        self._watch = watch
        self._servers: tuple[Child, ...] = ()
        self._children: list[Child] = []

    @property
    def admin_password(self) -> str:
        return self.environment["WAYSTATION_ADMIN_PASSWORD"]

    def adopt(self, servers: Sequence[Child]) -> None:
        """Watch over processes that somebody else stops."""
        for child in servers:
            self._watch.over(child)
        self._servers = (*self._servers, *servers)

    def launch(self, name: str, *command: str) -> Child:
        child = children.start(
            name,
            command=[sys.executable, "-m", *command],
            log=self.plan.data / "logs" / f"{name}.log",
            environment=self.environment,
            folder=BASE_DIR,
        )
        self._watch.over(child)
        return child

    def run(self, name: str, *command: str) -> Child:
        """Start a process that shall live as long as the stack."""
        child = self.launch(name, *command)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Notice a crash.

        :raises StackError: one process ended; the message names it and says why.
        """
        for child in (*self._servers, *self._children):
            if not child.is_alive:
                raise StackError(
                    f"{child.name} ended by itself: {child.how_it_ended()}"
                )

    def wait_until(self, condition: Callable[[], bool], *, what: str) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise StackError(f"{what} was not ready after {START_LIMIT:.0f} s.")
            time.sleep(POLL_INTERVAL)

    def complete(self, child: Child) -> None:
        """Wait for a process that ends by itself.

        :raises StackError: it failed.
        """
        self.wait_until(lambda: not child.is_alive, what=child.name)
        if child.process.returncode:
            raise StackError(f"{child.name} failed: {child.last_words()}")

    def stop(self) -> None:
        # All are asked before any is waited for, so that they end side by side.
        for child in self._children:
            child.process.send_signal(signal.SIGTERM)
        for child in reversed(self._children):
            children.await_end(child, patience=STOP_PATIENCE)
        self._children.clear()


@contextlib.contextmanager
def running(plan: Plan, *, say: Say) -> Iterator[Stack]:
    """Run the whole stack for as long as the context lasts.

    Call it from the main thread: the processes end when the calling thread does.

    :raises StackError: a port is taken, or a process does not start.
    :raises EmbeddedServerError: PostgreSQL or Redis does not start.
    """
    _refuse_taken_ports(plan)
    with contextlib.ExitStack() as cleanup:
        watch = cleanup.enter_context(children.watched())
        servers = cleanup.enter_context(_servers(plan))
        stack = Stack(plan, watch=watch)
        stack.adopt(servers)
        cleanup.callback(stack.stop)
        say(f"PostgreSQL and Redis    {plan.data}")
        _start_sandbox_and_catalog(stack)
        say(f"sandbox                 {plan.sandbox_url}")
        _start_waystation(stack)
        say(f"web, worker, beat       {plan.web_url}")
        yield stack


@contextlib.contextmanager
def _servers(plan: Plan) -> Iterator[tuple[Child, ...]]:
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        yield ()
    else:
        with embedded.running(plan.data) as servers:
            yield servers


def _start_sandbox_and_catalog(stack: Stack) -> None:
    sandbox = stack.run("sandbox", "sandbox")
    stack.complete(stack.launch("migrate", "django", "migrate", "--noinput"))
    stack.complete(stack.launch("operator-account", "project.operator_account"))
    stack.wait_until(
        lambda: _answers(f"{stack.plan.sandbox_url}/healthz", ca=stack.plan.sandbox_ca),
        what=sandbox.name,
    )
    stack.environment.update(_trust_in_sandbox(stack.plan))


def _trust_in_sandbox(plan: Plan) -> dict[str, str]:
    """Let services with a token of the sandbox's issuer into the admin API."""
    authority = f"{plan.sandbox_url}/{SANDBOX_TENANT}/v2.0"
    with local_session(ca=plan.sandbox_ca) as session:
        answer = session.get(
            f"{authority}/.well-known/openid-configuration", timeout=PROBE_TIMEOUT
        )
    if not answer.ok:
        raise StackError(f"The sandbox's issuer answers {answer.status_code}.")
    issuer = str(answer.json()["issuer"])
    return {
        "WAYSTATION_ADMIN_AUTHORITY": issuer,
        "WAYSTATION_ADMIN_ISSUERS": issuer,
        "WAYSTATION_ADMIN_AUDIENCE": AUDIENCE,
        "WAYSTATION_ADMIN_TENANT_ID": issuer.rstrip("/").split("/")[-2],
        "WAYSTATION_ADMIN_CA_FILE": str(plan.sandbox_ca),
    }


def _start_waystation(stack: Stack) -> None:
    web = stack.run("web", "granian", *_granian_options(stack.plan))
    for name, queues, threads in WORKERS:
        stack.run(name, *worker_command(name, queues, threads))
    stack.run(
        "beat",
        *("celery", "--app", "project", "beat", "--loglevel", "info"),
        # A killed beat must not leave a file that keeps the next one from starting.
        *("--pidfile=", "--schedule", str(stack.plan.data / "beat-schedule")),
    )
    stack.wait_until(
        lambda: _answers(f"{stack.plan.web_url}/readyz", ca=None), what=web.name
    )


def worker_command(name: str, queues: str, threads: str) -> tuple[str, ...]:
    """Return what `python -m` has to run for one of `WORKERS`."""
    return (
        *("celery", "--app", "project", "worker", "--pool", "threads"),
        *("--concurrency", threads, "--queues", queues, "--loglevel", "info"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        *("--hostname", f"{name}@%h"),
    )


def _granian_options(plan: Plan) -> tuple[str, ...]:
    return (
        *("--interface", "wsgi", "--host", "127.0.0.1", "--port", str(plan.web_port)),
        *("--workers", "2", "--blocking-threads", "8", "--no-ws"),
        *("--workers-kill-timeout", "5", "project.wsgi:application"),
    )


def local_session(*, ca: Path | None) -> requests.Session:
    """Return a session for addresses on this machine, past any proxy."""
    session = requests.Session()
    session.trust_env = False
    if ca is not None:
        session.verify = str(ca)
    return session


def _answers(url: str, *, ca: Path | None) -> bool:
    if ca is not None and not ca.exists():
        return False
    with local_session(ca=ca) as session:
        try:
            return session.get(url, timeout=PROBE_TIMEOUT).ok
        except requests.RequestException:
            return False


def _environment(plan: Plan) -> dict[str, str]:
    return {
        "WAYSTATION_INTERVAL_SECONDS": "5",
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "no_proxy": ",".join(filter(None, (os.environ.get("no_proxy"), LOOPBACK))),
        "PYTHONUNBUFFERED": "1",
        "SANDBOX_PORT": str(plan.sandbox_port),
        "WAYSTATION_ADMIN_PASSWORD": _password(plan),
        "WAYSTATION_DATA": str(plan.data),
        "WAYSTATION_EMBEDDED": "on",
        "WAYSTATION_PORT": str(plan.web_port),
        **plan.environment,
    }


def _password(plan: Plan) -> str:
    file = plan.data / "secrets" / "admin-password"
    return plan.admin_password or keys.kept(file, make=keys.password)


def _refuse_taken_ports(plan: Plan) -> None:
    ports = {"WAYSTATION_PORT": plan.web_port, "SANDBOX_PORT": plan.sandbox_port}
    for variable, port in ports.items():
        with socket.socket() as probe:
            # As servers do: connections of an earlier run that fade out do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise StackError(
                    f"Port {port} cannot be used ({error.strerror}): "
                    f"set {variable} to another one."
                ) from error


def plan_from_environment() -> Plan:
    data = env.text("WAYSTATION_DATA", default=str(BASE_DIR / ".data"))
    return Plan(
        data=Path(data).resolve(),
        web_port=env.port("WAYSTATION_PORT", default=8000),
        sandbox_port=env.port("SANDBOX_PORT", default=8143),
        admin_password=os.environ.get("WAYSTATION_ADMIN_PASSWORD") or None,
    )


def end_on_signals() -> None:
    """Turn every polite request to end into the exception that Ctrl-C raises."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def tell(line: str) -> None:
    sys.stdout.write(f"waystation  {line}\n")
    sys.stdout.flush()


def main() -> int:
    end_on_signals()
    try:
        with running(plan_from_environment(), say=tell) as stack:
            tell(f"admin                   {stack.plan.web_url}/admin/")
            tell(f"                        {USERNAME} / {stack.admin_password}")
            tell("Ctrl-C ends it.")
            while True:
                stack.check()
                time.sleep(POLL_INTERVAL)
    except KeyboardInterrupt:
        tell("ended.")
        return 0
    except (MisconfiguredError, ImproperlyConfigured, OSError) as error:
        tell(f"stopped: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
