"""The command `weir`, of the wheel: start an installation, or work on it.

Without a verb it is `run`. Verbs that are commands of `manage.py` take the same arguments here.
Completion of verbs and options: eval "$(_WEIR_COMPLETE=bash_source weir)", or zsh_source,
fish_source.
"""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import platformdirs

from lib import env
from lib.extensions.installed import installed
from stack.origin import ROOT

# Verb -> command of manage.py. All other commands of manage.py keep their names here.
VERBS = {
    "apply": ("apply", "Make the installation equal to a file."),
    "export": ("export", "Print the installation as such a file."),
    "verify": ("verify", "Check the books and the background jobs."),
    "import": ("import_from", "Bring over what another hub has."),
    "backup": ("backup", "Back the installation up into one file, while it runs."),
    "migrate": ("migrate", "Update the database to this version."),
}
_UNPARSED: dict[str, Any] = {"ignore_unknown_options": True}

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="DATA_DIR",
    default=lambda: platformdirs.user_data_path("weir"),
    show_default="the user's data folder",
    help="Folder of the database, the secrets and the logs.",
)


def management_commands() -> set[str]:
    """Return the names of our management commands, and of those of extensions, from the names of
    their files."""
    folders = [*ROOT.glob("*/management/commands")]
    for one in installed():
        app = one.extension.app if one.state == "on" else ""
        spec = find_spec(app) if app else None
        if spec and spec.origin:
            folders.append(Path(spec.origin).parent / "management/commands")
    return {file.stem for folder in folders for file in folder.glob("[a-z]*.py")}


class Verbs(click.Group):
    """The verbs; without a verb, `run` is used."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and (args[0] in ("--help", "--version") or not args[0].startswith("-"))
        if not named and not ctx.resilient_parsing:  # completion parses this way
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None and cmd_name in management_commands():
            return management_verb(cmd_name, cmd_name, "")
        return command


def show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django

        from config.management.faults import faults_as_sentences
        from config.version import VERSION, commit

        click.echo(f"weir {VERSION} ({commit()[:12]})" if commit() else f"weir {VERSION}")
        with faults_as_sentences():
            django.setup()
        for one in installed():
            state = f"failed: {one.error}" if one.state == "failed" else one.state
            click.echo(f"extension {one.name} {one.version}, {state}")
        ctx.exit()


@click.group(cls=Verbs, help="Weir, a self-hosted LLM hub. Without a verb: run.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version,
    help="Show the version and exit.",
)  # fmt: skip
def weir() -> None: ...


@weir.command()
@data_option
@click.option("--host", envvar="HOST", help="Address to listen on; by default 127.0.0.1.")
@click.option(
    "--port", envvar="PORT", help="Port to listen on; by default 8000, or the next one free."
)
@click.option("--open", "opens", is_flag=True, help="Sign in with the browser of this machine.")
@click.option(
    "--model/--no-model", default=None,
    help="Fetch a small local model, 127 MB, if it is missing. The first start does so by itself.",
)  # fmt: skip
def run(data: Path, host: str | None, port: str | None, opens: bool, model: bool | None) -> None:
    """Start the whole installation on this machine."""
    from stack import up

    sys.exit(up.main({"data": data, "host": host, "port": port, "opens": opens, "model": model}))


@weir.command()
@data_option
@click.argument("backup", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(data: Path, backup: Path) -> None:
    """Restore a backup into a new data folder, which has the secrets of the old one."""
    from config.management.faults import faults_as_sentences

    with faults_as_sentences():
        database_url = env.text("DATABASE_URL", "")
    if database_url:
        run_management("restore", data, [str(backup)])
    from stack.restore import run as run_restore

    sys.exit(run_restore(backup.resolve(), data.absolute()))


@weir.command()
@data_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option(
    "--proxies", default="127.0.0.1", show_default=True,
    help="Networks of the proxy in front, which are trusted to report the client's address.",
)  # fmt: skip
def web(data: Path, host: str, port: int, proxies: str) -> None:
    """Serve the API and the pages behind a proxy, with an external database."""
    from stack.processes.commands import web_command

    execute(data, web_command(host, port, proxies))


@weir.command()
@data_option
@click.option("--concurrency", default=8, show_default=True, help="Jobs at the same time.")
def worker(data: Path, concurrency: int) -> None:
    """Run background jobs for an installation with an external database and broker."""
    from stack.processes.commands import worker_command

    execute(data, worker_command(concurrency))


@weir.command()
@data_option
def scheduler(data: Path) -> None:
    """Start background jobs when they are due; one per installation."""
    from stack.processes.commands import SCHEDULER

    execute(data, SCHEDULER)


def execute(data: Path, command: list[str]) -> None:
    """Replace this process by `command` on the installation in `data`."""
    use_data(data)
    os.execv(command[0], command)


def use_data(data: Path) -> None:
    os.environ["DATA_DIR"] = str(data.absolute())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def run_management(command: str, data: Path, arguments: list[str]) -> None:
    use_data(data)
    from config.management import command_line

    command_line.run(["weir", command, *arguments])
    sys.exit(0)


def management_verb(verb: str, command: str, text: str) -> click.Command:
    """Return a verb that passes its arguments on to a command of manage.py."""

    @click.command(verb, help=text, context_settings=_UNPARSED, add_help_option=False)
    @data_option
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def pass_on(data: Path, arguments: tuple[str, ...]) -> None:
        run_management(command, data, list(arguments))

    return pass_on


_commands = management_commands()
for _verb, (_command, _text) in VERBS.items():
    # One of an extension that is off is not there.
    if _command in _commands:
        weir.add_command(management_verb(_verb, _command, _text))

main: Callable[[], None] = weir
