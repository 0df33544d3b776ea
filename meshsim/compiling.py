"""Compiles the hot path with mypyc into the environment that runs this (``make fast``).

The build is made aside of a copy of the sources, and put in its place when it is whole, with their fingerprint (see
``meshsim.compiled``, which loads it). What is built of these very sources already is left as it is. One at a time
builds in an environment; others wait for it. Ends with exit code 3 where a tool is missing.
"""

from __future__ import annotations

import fcntl
import io
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from meshsim import compiled

TOOL_MISSING = 3
WITHOUT = "meshsim works without, only slower"
# `make types` is strict. Here types of other packages bring nothing, and reading them takes long.
MYPY = """
[mypy]
follow_imports = silent
[mypy-cedarpy.*,cryptography.*,gmpy2.*,h2.*,hpack.*,jwt.*,matplotlib.*,networkx.*,ngh2.*,numpy.*,OpenSSL.*]
follow_imports = skip
ignore_missing_imports = True
[mypy-pandas.*,pyarrow.*,pydantic.*,regopy.*,rich.*,ruamel.*,simpy.*,spiffe.*,typer.*]
follow_imports = skip
ignore_missing_imports = True
"""
PRODUCTS_OF = "int_ops.c"
"""The file of mypyc's runtime with the products of large integers."""
PRODUCTS = compiled.PACKAGE / "products.h"
TRY = """
import sys
sys.prefix = folder = sys.argv[1]
sys.path.insert(0, folder)
import meshsim.world.world
from meshsim.compiled import in_use
raise SystemExit(not in_use())
"""
"""For a process of its own: loads what was built in a folder, beside the copy of the sources."""


def main() -> None:
    """Build, unless that is done; end with a line about what is missing if it cannot be."""
    if not compiled.fits():
        with _alone():
            if not compiled.fits():  # and nobody else has built it meanwhile
                _look_for_tools()
                _make()
                return
    print(f"{len(compiled.MODULES)} modules are compiled already, of these sources")


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until nobody else builds in this environment, and keep others waiting."""
    with compiled.HOME.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another `make fast` is at work in this environment; waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in compiled.HOME.parent.glob(f"{compiled.HOME.name}-*"):  # of one that was killed
            shutil.rmtree(stale)
        yield


def _make() -> None:
    """Compile a copy of the sources, try what came of it, and put it in its place."""
    began_s = time.monotonic()
    print(f"Compiling {len(compiled.MODULES)} modules (a minute or two) ...", flush=True)
    # Made beside its place, so that it can be moved there whole.
    with TemporaryDirectory(prefix=f"{compiled.HOME.name}-", dir=compiled.HOME.parent) as folder:
        made, sources = Path(folder) / compiled.HOME.name, Path(folder) / "meshsim"
        shutil.copytree(compiled.PACKAGE, sources, ignore=shutil.ignore_patterns("__pycache__"))
        _build(Path(folder), made)
        (made / compiled.FINGERPRINT).write_text(compiled.fingerprint(sources), encoding="ascii")
        environment = {name: value for name, value in os.environ.items() if name != compiled.PURE_VARIABLE}
        if subprocess.run([sys.executable, "-c", TRY, folder], check=False, env=environment).returncode:
            sys.exit("make fast: what was built does not work here; nothing has changed")
        if compiled.HOME.exists():
            compiled.HOME.rename(Path(folder) / "former")
        made.rename(compiled.HOME)
    print(f"Compiled in {time.monotonic() - began_s:.0f} s. meshsim takes these modules until a source changes.")


def _look_for_tools() -> None:
    """End with one line unless there are mypyc, setuptools, a C compiler and Python's headers."""
    absent = [name for name in ("mypy", "mypyc", "setuptools") if find_spec(name) is None]
    if absent:
        _miss(f"{' and '.join(absent)} missing in this environment (pip install mypy setuptools); {WITHOUT}")
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        _miss(f"there is no C compiler {compiler!r} (CC=... names another one); {WITHOUT}")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        _miss(f"{header} is missing (Debian and Ubuntu have it in python3-dev); {WITHOUT}")


def _miss(what: str) -> NoReturn:
    print(f"make fast: {what}", file=sys.stderr)
    sys.exit(TOOL_MISSING)


def _build(scratch: Path, made: Path) -> None:
    """Translate the modules of a scratch folder into C, and compile that."""
    from mypyc.build import mypycify
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler

    (scratch / "mypy.ini").write_text(MYPY, encoding="utf-8")
    sources = [f"meshsim/{name.replace('.', '/')}.py" for name in compiled.MODULES]
    cache = compiled.PACKAGE.parent / ".mypy_cache" / "fast"
    said = io.StringIO()
    try:
        with chdir(scratch), redirect_stdout(said):  # mypy finds the rest of the package by the folder it is in
            extensions = mypycify(
                ["--config-file", "mypy.ini", "--cache-dir", str(cache), *sources],
                opt_level="2",
                debug_level="0",
                multi_file=True,  # so that files can be compiled at the same time
                group_name=compiled.GROUP,
                target_dir=str(scratch / "c"),
            )
    except SystemExit:
        sys.exit(f"{said.getvalue()}make fast: mypyc refuses these sources")
    compiler: Any = new_compiler()
    customize_compiler(compiler)

    def compile_one(job: tuple[Any, str]) -> list[str]:
        extension, source = job
        flags = [flag for flag in extension.extra_compile_args if flag != "-Werror"] + [*compiled.FLAGS]
        if Path(source).name == PRODUCTS_OF:
            flags += ["-include", str(PRODUCTS)]
        include = [*extension.include_dirs, sysconfig.get_path("include")]
        found: list[str] = compiler.compile([source], "/", include_dirs=include, extra_postargs=flags)
        return found

    jobs = [(extension, source) for extension in extensions for source in extension.sources]
    jobs.sort(key=lambda job: -Path(job[1]).stat().st_size)  # the longest first
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = dict(zip((source for _, source in jobs), pool.map(compile_one, jobs), strict=True))
    for extension in extensions:
        target = made / compiled.file_of(extension.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        parts = [one for source in extension.sources for one in objects[source]]
        compiler.link_shared_object(parts, str(target), extra_postargs=extension.extra_link_args)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("make fast: interrupted; nothing has changed")
    except OSError as error:  # a full disk, an environment that is not ours to change
        sys.exit(f"make fast: {error}; nothing has changed")
