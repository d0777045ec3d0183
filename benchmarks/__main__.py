"""``python -m benchmarks [SUITE ...] [--quick] [--bars N]``: run suites, print tables, write JSON files."""

import argparse
import pkgutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from benchmarks import suites
from benchmarks.options import OUT, Options
from forge_core.files import write_json


def main() -> None:
    """Run the named suites, or all."""
    known = sorted(module.name for module in pkgutil.iter_modules(suites.__path__))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Forge and other engines.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"suites to run (default: all): {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="few rounds and sizes: about a minute for the engine")
    parser.add_argument("--bars", type=int, help="number of SIM bars that replace the default data")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the JSON files (%(default)s)")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(known)
    if unknown:
        parser.error(f"unknown suite {sorted(unknown)[0]!r}; known: {', '.join(known)}")
    options = Options.quick(arguments.out) if arguments.quick else Options(out=arguments.out)
    options = replace(options, length=arguments.bars)
    for name in arguments.suites or known:
        result = import_module(f"{suites.__name__}.{name}").run(options)
        path = options.out / f"{name}.json"
        write_json(path, result)
        print(f"written: {path}\n")


if __name__ == "__main__":
    main()
