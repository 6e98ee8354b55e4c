"""The command line: `quintet up`, `worker`, `demo`, `user`, `key`, `env`, `migrate`, `doctor`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from quintet import __version__
from quintet.cli import accounts, checks, client_env
from quintet.domain.errors import QuintetError
from quintet.server.settings import Settings, StartupError, describe, load_settings

EXAMPLES = """examples:
  quintet up                                    start on ./quintet-data, port 8008
  quintet up --data /srv/quintet --port 9000    another folder and port
  quintet up --database postgresql://me@db/q    PostgreSQL instead of SQLite
  quintet key create --label laptop             a key for a client
  quintet env clearml                           the variables that the clearml SDK needs
  quintet worker --server http://host:8008 --queue default
  quintet doctor                                what is wrong, and how to mend it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 for success, 1 for a failure, 2 for wrong usage."""
    parser = make_parser()
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except StartupError as error:
        print(f"quintet: {error}", file=sys.stderr)
        return error.code
    except QuintetError as error:
        print(f"quintet: {error.message}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough (`quintet doctor | head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"quintet: {error.filename or given.command}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command; what it parses has `run`, a function from itself to an exit status."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="quintet", description="One server for the whole life of a model.", epilog=EXAMPLES,
        formatter_class=formatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"quintet {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start the server", epilog=EXAMPLES, formatter_class=formatter)
    add_settings(up)
    up.set_defaults(run=_up)

    worker = commands.add_parser("worker", help="take runs from a server's queues and execute them")
    worker.add_argument("--server", default="http://127.0.0.1:8008", help="URL of the server")
    worker.add_argument("--queue", action="append", help="queue to take from (repeatable; `default`)")
    worker.add_argument("--key", help="API key (or QUINTET_KEY)")
    worker.add_argument("--name", help="name of this worker (host name and process id)")
    worker.add_argument("--work-dir", help="scratch folder (a temporary one)")
    worker.add_argument("--once", action="store_true", help="end after one run")
    worker.set_defaults(run=_worker)

    demo = commands.add_parser("demo", help="the whole life of a model through all five APIs")
    demo.add_argument("--out", default="quintet-demo", help="folder of the report")
    demo.add_argument("--data", default="quintet-demo/data", help="data folder of the demo's server")
    demo.add_argument("--port", type=int, default=8008)
    demo.add_argument("--clients", default=".venv-clients/bin/python", help="Python that has the clients installed")
    demo.set_defaults(run=_demo)

    accounts.add_commands(commands)
    client_env.add_commands(commands)
    checks.add_commands(commands)
    return parser


def add_settings(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting, and `--config` for a TOML file of them."""
    parser.add_argument("--config", help="TOML file with settings (or QUINTET_CONFIG)")
    for name, default, help_text in describe():
        kind = int if isinstance(default, int) else str
        shown = f" (default: {default})" if default not in ("", None) else ""
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=None, help=help_text + shown)


def settings_of(given: argparse.Namespace) -> Settings:
    """The settings that a command line asks for."""
    flags = {name: getattr(given, name, None) for name, _, _ in describe()}
    return load_settings(flags, getattr(given, "config", None))[0]


def _up(given: argparse.Namespace) -> int:
    from quintet.server.serve import serve

    settings = settings_of(given)
    level = logging.getLevelName(settings.log_level.upper())
    if not isinstance(level, int):
        raise StartupError(f"'{settings.log_level}' is no log level; use debug, info, warning or error", 2)
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("quintet").setLevel(level)
    return serve(settings, client_env.announce)


def _worker(given: argparse.Namespace) -> int:
    from quintet.server.worker import worker_command

    return worker_command(given.server, given.key, given.queue or ["default"], given.name, given.work_dir, given.once)


def _demo(given: argparse.Namespace) -> int:
    from quintet.demo.story import run_demo

    return run_demo(given.out, given.data, given.port, given.clients)


if __name__ == "__main__":
    sys.exit(main())
