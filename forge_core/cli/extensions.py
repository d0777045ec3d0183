"""``forge extensions``: own indicators, structures, metrics, strategies, sources and formats."""

from typing import Annotated

import typer

from forge_core.cli.console import Commands, reports_errors, say, show_table

app = Commands(help="Extensions: your own indicators, strategies, metrics, sources and import formats.")


@app.command("list")
@reports_errors
def list_extensions() -> None:
    """List the parts that the files of extensions/ and installed packages add, and the refused files.

    Example: `forge extensions list`
    """
    from forge_core.extension_files import extension_folder, load_extensions, shown_path

    extensions = load_extensions()
    rows = [
        (part.kind, part.name, f"{shown_path(part.file)}:{part.line}", part.version)
        for part in extensions.parts.values()
    ]
    if rows:
        show_table(("kind", "name", "defined in", "version"), rows)
    folder = extension_folder()
    if not rows and not extensions.refused:
        say(f"no extensions in {folder}" if folder else "extensions are switched off: FORGE_EXTENSIONS is empty")
    for refusal in extensions.refused:
        say(f"refused: {refusal.message}")


@app.command("check")
@reports_errors
def check() -> None:
    """Load all extensions with their checks (scale, outputs, look-ahead, determinism); fail if a file is refused.

    Example: `forge extensions check`
    """
    from forge_core.errors import ConfigError
    from forge_core.extension_files import load_extensions

    extensions = load_extensions()
    if extensions.refused:
        raise ConfigError("\n".join(refusal.message for refusal in extensions.refused))
    say(f"{len(extensions.parts)} parts of {len(extensions.files)} files are valid")


@app.command("new")
@reports_errors
def new(
    kind: Annotated[str, typer.Argument(help="indicator, structure, metric, strategy, source or format.")],
    name: Annotated[str, typer.Argument(help="Name of the part, and of its file.")],
) -> None:
    """Write a part that works to extensions/, to be edited.

    Example: `forge extensions new indicator my_gap`
    """
    from forge_core.extensions.scaffold import new_extension

    path = new_extension(kind, name)
    say(f"{path}\nnext: edit it, then `forge extensions check`")
